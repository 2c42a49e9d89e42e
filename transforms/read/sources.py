"""The sources there are, by the form of the argument that names one.

    -                                          JSON lines on standard input            transforms.read.stdin
    kafka://…                                  a topic                                 transforms.read.kafka
    feed+http(s)://…  feeds:FILE               one feed; a list of feeds, or OPML      transforms.read.feeds
    sitemap+http(s)://…                        a news sitemap                          transforms.read.sitemaps
    whatever else                              files, folders, globs, object prefixes  transforms.read.files

A module of the middle rows is imported when it is asked for, because its library is an extra, and offers
`open_source(uri, options) -> Source`.
"""

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from schemas.errors import UsageError
from transforms.read.files import FileSource
from transforms.read.inputs import STDIN, Known, ReadOptions
from transforms.read.source import Source
from transforms.read.stdin import StdinSource


class Scheme(NamedTuple):
    """A module that opens sources, and the extra that it needs."""

    module: str
    extra: str


SCHEMES: Mapping[str, Scheme] = {
    "kafka://": Scheme("transforms.read.kafka", "kafka"),
    "feed+http://": Scheme("transforms.read.feeds", "feeds"),
    "feed+https://": Scheme("transforms.read.feeds", "feeds"),
    "feeds:": Scheme("transforms.read.feeds", "feeds"),
    "sitemap+http://": Scheme("transforms.read.sitemaps", "feeds"),
    "sitemap+https://": Scheme("transforms.read.sitemaps", "feeds"),
}
"""What an argument begins with → who opens it."""


def is_read_once(argument: str) -> bool:
    """Whether `run` reads all that an argument names whenever it is given: files, and standard input."""
    return not any(argument.startswith(prefix) for prefix in SCHEMES)


def source_of(argument: str, options: ReadOptions, known: Mapping[str, Known] = MappingProxyType({})) -> Source:
    """Open the source that an argument names.

    Args:
      argument: as above.
      options: how it is read.
      known: what a metadata file says of input files.

    Raises:
      UsageError: it cannot be meant, or its extra is not installed.
    """
    if argument == STDIN:
        return StdinSource(options.split_bytes)
    scheme = next((scheme for prefix, scheme in SCHEMES.items() if argument.startswith(prefix)), None)
    if scheme is None:
        return FileSource(argument, options.split_bytes, known)
    try:
        module = importlib.import_module(scheme.module)
    except ModuleNotFoundError as error:
        what = f"needs {error.name}, which is not installed: pip install 'copydesk[{scheme.extra}]'"
        raise UsageError(f"{argument.partition(':')[0]}: {what}") from error
    source: Source = module.open_source(argument, options)
    return source
