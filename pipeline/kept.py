"""What a run adds to: the labels of the articles that a snapshot holds, and which of them a new one may still join."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.manifests import Manifest
from pipeline.reading import state_files
from schemas.blocks import store
from schemas.ids import parse_ids
from schemas.state import ALIASED, KEPT, LINKS, Kept

_DAY = 86_400_000_000  # µs


def keep(root: Path, base: Manifest, window_days: int, folder: Path, *, with_links: bool = True) -> Kept:
    """Read the labels of a snapshot's articles.

    Args:
      root: the dataset.
      base: the snapshot.
      window_days: a story is closed once it had no news for so long before the newest article.
      folder: where workers can read what is stored.
      with_links: begin with the stored links, not with what the table pairs tells of them.

    Raises:
      ContractMismatch: a state file is gone or damaged.
      OSError: a file of a table is gone or unreadable.
    """
    files = tuple(file._replace(path=str(root / file.path)) for file in base.files)
    articles = labels_of([file.path for file in files if file.table == "articles" and file.rows], window_days)
    aliases = _read([file.path for file in files if file.table == "aliases" and file.rows], ["kind", "alias_id", "id"])
    gone = [aliases["kind"], *(parse_ids(aliases[name]) for name in ("alias_id", "id"))]
    links = [str(path) for _, path in state_files(root, base, LINKS.name)] if with_links else []
    return Kept(
        articles=store(articles, str(folder / "kept.arrow")).path,
        aliases=store(pa.table(gone, schema=ALIASED), str(folder / "aliased.arrow")).path,
        links=links[0] if links else "",
        files=files,
        run=base.snapshot + 1,
    )


def labels_of(paths: list[str], window_days: int) -> pa.Table:
    """KEPT rows of all articles in files of the table articles.

    An article is open as long as its story is, or its copy where stories are switched off; without dates it stays so.
    """
    table = _read(paths, ["article_id", "copy_id", "story_id", "date_published"])
    published = table["date_published"].combine_chunks()
    ids, copies = parse_ids(table["article_id"]), parse_ids(table["copy_id"])
    known = table["story_id"].is_valid().to_numpy()
    stories = np.zeros(len(ids), np.int64)
    stories[known] = parse_ids(table["story_id"].drop_null())
    _, group = np.unique(np.where(known, stories, copies), return_inverse=True)
    dated = published.is_valid().to_numpy(zero_copy_only=False)
    times = published.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    last = np.full(group.max(initial=-1) + 1, np.iinfo(np.int64).min)
    np.maximum.at(last, group[dated], times[dated])
    undated = last == np.iinfo(np.int64).min
    is_open = undated | (last >= times[dated].max(initial=0) - window_days * _DAY)
    columns = [ids, copies, pa.array(stories, mask=~known), published, pa.array(is_open[group])]
    rows = pa.table(columns, schema=KEPT)
    return rows.take(pc.sort_indices(rows["article_id"]))


def _read(paths: list[str], columns: list[str]) -> pa.Table:
    tables = [pq.read_table(path, columns=columns, partitioning=None) for path in paths]
    if not tables:
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    kinds = {"date_published": pa.timestamp("us", "UTC")}
    return pa.concat_tables(
        [table.cast(pa.schema([(n, kinds.get(n, pa.string())) for n in columns])) for table in tables]
    )
