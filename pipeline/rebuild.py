"""A dataset made anew from all its inputs: ids that were published stay with the articles that had them."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.manifests import Manifest
from pipeline.reading import check
from schemas.errors import ContractMismatch
from schemas.files import DataFile, read_whole
from schemas.ids import is_among, parse_ids
from schemas.state import LABELLED
from schemas.tables import ALIASES, ARTICLES

_COLUMNS = ["article_id", "copy_id", "story_id", "date_published"]
_NONE = -1  # no story


def published_labels(root: Path, files: Iterable[DataFile]) -> pa.Table:
    """LABELLED rows of the articles in some files, ascending; of those that are whole, since a rebuild mends damage.

    Args:
      root: what the files' paths are relative to.
      files: of all tables; those of the table articles are read.
    """
    tables = []
    for file in files:
        if file.table == ARTICLES.name and file.rows:
            with contextlib.suppress(ContractMismatch):
                content = pa.BufferReader(read_whole(file._replace(path=f"{root}/{file.path}")))
                tables.append(_labelled(pq.read_table(content, columns=_COLUMNS)))
    return pa.concat_tables([LABELLED.empty_table(), *tables]).sort_by("article_id").combine_chunks()


def differences(before: pa.Table, after: pa.Table, there: int) -> dict[str, int]:
    """How a rebuilt dataset differs from the one whose place it takes, as counts of articles.

    Args:
      before: LABELLED, ascending.
      after: likewise.
      there: articles before; those that `before` lacks were in damaged files, and their ids are lost.
    """
    old, new = before["article_id"].to_numpy(), after["article_id"].to_numpy()
    both = is_among(old, new)
    at = np.searchsorted(new, old[both])
    moved = {
        f"other_{kind}": int(np.count_nonzero(_ids(before, kind)[both] != _ids(after, kind)[at]))
        for kind in ("copy", "story")
    }
    counts = {"no_longer_there": int((~both).sum()), "not_there_before": len(new) - int(both.sum())}
    return counts | moved | {"damaged_before": there - len(old)}


def checked_aliases(root: Path, base: Manifest) -> None:
    """See that the aliases, which a rebuilt dataset keeps, are what their writers left.

    Raises:
      ContractMismatch: a file is gone or damaged; nothing else holds them.
    """
    for file in base.files:
        if file.table == ALIASES.name and file.rows:
            try:
                check(root / file.path, file)
            except OSError as error:
                raise ContractMismatch(f"{error}: restore it from a backup, or run into another OUT") from error


def left_behind(base: Manifest) -> frozenset[str]:
    """The paths of the base that a rebuilt dataset does without: all but the aliases and what is known of outlets."""
    tables = {file.path for file in base.files if file.table != ALIASES.name or not file.rows}
    return frozenset(tables | {file.path for file in base.state if not file.table.startswith("outlet_")})


def _labelled(articles: pa.Table) -> pa.Table:
    known = articles["story_id"].is_valid().to_numpy()
    stories = np.full(articles.num_rows, _NONE)
    stories[known] = parse_ids(articles["story_id"].drop_null())
    ids = [parse_ids(articles[name]) for name in ("article_id", "copy_id")]
    return pa.table([*ids, pa.array(stories, mask=~known), articles["date_published"]], schema=LABELLED)


def _ids(labels: pa.Table, kind: str) -> NDArray[np.int64]:
    return labels[f"{kind}_id"].fill_null(_NONE).to_numpy()
