"""The Beam runner: a named one, with options that are checked.

`DirectRunner` picks among three engines that differ in semantics and tries to download one of them, so Copydesk
names its engine: FnApiRunner unless told otherwise.
"""

import argparse
import logging
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from schemas.errors import UsageError

DEFAULT_RUNNER = "FnApiRunner"
_FIXED = ("--no_save_main_session", "--default_sdk_harness_log_level=WARNING")


def pipeline_options(workers: int, flags: Sequence[str]) -> PipelineOptions:
    """Beam's options, for `workers` processes on this machine.

    Raises:
      UsageError: a flag that no Beam option class knows; Beam itself would drop it with a warning.
    """
    unknown = _unknown(flags)
    if unknown:
        raise UsageError(f"{unknown[0]}: no such Beam option; see `--help` of the Beam runner")
    local = [] if workers == 1 else [f"--direct_num_workers={workers}", "--direct_running_mode=multi_processing"]
    return PipelineOptions([*_FIXED, *local, *flags])


def new_pipeline(runner: str, options: PipelineOptions) -> beam.Pipeline:
    """An empty pipeline on a runner.

    Raises:
      UsageError: Beam knows no such runner.
    """
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    try:
        return beam.Pipeline(runner=runner, options=options)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(f"--runner {runner}: {error}") from error


def _unknown(flags: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False, conflict_handler="resolve"
    )
    for each in _option_classes(PipelineOptions):
        declare = vars(each).get("_add_argparse_args")  # the hook by which Beam's option classes declare their flags
        if declare:
            declare.__get__(None, each)(parser)
    try:
        _, unknown = parser.parse_known_args(list(flags))
    except (argparse.ArgumentError, SystemExit) as error:
        raise UsageError(f"Beam options: {error}") from error
    return unknown


def _option_classes(base: type) -> Iterator[type]:
    classes: Iterable[type] = base.__subclasses__()
    for each in classes:
        yield each
        yield from _option_classes(each)
