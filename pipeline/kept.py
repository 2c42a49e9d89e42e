"""What a run adds to: what earlier runs kept in the state, or else what the tables tell of it."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.adopt import adopted
from pipeline.config import Config
from pipeline.manifests import Manifest
from pipeline.reading import state_files
from pipeline.rebuild import checked_aliases, published_labels
from schemas.blocks import BlockRef, load, store
from schemas.files import Staged
from schemas.state import (
    FILES,
    KEPT,
    KEPT_ARTICLES,
    LINKS,
    OUTLET_ARTICLES,
    OUTLET_LINES,
    SEEN,
    SIMILAR,
    Kept,
    block_table,
)
from schemas.window import DAY, believed_news
from transforms.match.keeping import keys_rule

OF_OUTLETS = {OUTLET_ARTICLES.name, OUTLET_LINES.name}  # what is known of outlets, not of articles


def beginning(run: int, config: Config) -> Kept:
    """What a run with that number begins with on a dataset without articles."""
    return Kept(run=run, now=time.time_ns() // 1000, window=config.kept.window_days * DAY)


def keep(  # noqa: PLR0913 -- where from and how
    root: Path, base: Manifest, config: Config, folder: Path, *, fresh: bool = False, rebuild: bool = False
) -> Kept:
    """What a run begins with on a snapshot.

    A snapshot that has no blocks of its articles, or has them by other rules of signing, or is to be begun afresh
    gives what its tables tell: articles are then read again and signed in that run.

    Args:
      root: the dataset.
      base: the snapshot.
      config: of the run.
      folder: where workers can read what is stored.
      fresh: begin without the state.
      rebuild: begin without the articles; only their ids are to stay.

    Raises:
      ContractMismatch: a state file is gone or damaged.
      OSError: a file of a table is gone or unreadable.
    """
    if rebuild:
        checked_aliases(root, base)
        labels = store(published_labels(root, base.files), str(folder / "labels.arrow")).path
        return beginning(base.snapshot + 1, config)._replace(labels=labels)
    state = {} if fresh else {name: paths_of(root, base, name) for name in _tables_of_articles(base)}
    kept = beginning(base.snapshot + 1, config)._replace(
        links="".join(state.get(LINKS.name, ())[:1]),
        similar="".join(state.get(SIMILAR.name, ())[:1]),
        files=store(_files(root, base), str(folder / "files.arrow")).path,
    )
    blocks = tuple(_block(path) for path in state.get(block_table("tokens"), ()))
    rule = keys_rule(config.match)
    if KEPT_ARTICLES.name not in state or any(_rule(ref) != rule for ref in blocks):
        return adopted(kept, folder)
    articles = with_bases(pq.read_table(state[KEPT_ARTICLES.name][0]), blocks)
    path = store(articles, str(folder / "kept.arrow")).path
    return kept._replace(
        articles=path, blocks=blocks, seen=tuple(state.get(SEEN.name, ())), news=believed_news(articles)
    )


def paths_of(root: Path, base: Manifest, table: str) -> list[str]:
    """The files of one table of a snapshot's state, whole and undamaged."""
    return [str(path) for _, path in state_files(root, base, table)]


def memory_files(root: Path, base: Manifest) -> tuple[tuple[str, int, str], ...]:
    """What is known of outlets: table, bucket and path of each file, whole and undamaged."""
    known = [each for table in sorted(OF_OUTLETS) for each in state_files(root, base, table)]
    return tuple((file.table, int(file.partition), str(path)) for file, path in known)


def with_bases(articles: pa.Table, blocks: tuple[BlockRef, ...]) -> pa.Table:
    """KEPT rows whose `block` is a BlockRef.base instead of its name; "" stays."""
    bases = {Path(ref.base).name: ref.base for ref in blocks} | {"": ""}
    named = articles["block"].combine_chunks()
    named = named if pa.types.is_dictionary(named.type) else named.dictionary_encode()
    values = pa.array([bases[name] for name in named.dictionary.to_pylist()], pa.string())
    whole = pa.DictionaryArray.from_arrays(named.indices, values).cast(pa.string())
    at = articles.schema.get_field_index("block")
    return articles.set_column(at, KEPT.field("block"), whole).select(KEPT.names).cast(KEPT)


def leaving(root: Path, base: Manifest, kept: Kept, staged: list[Staged]) -> frozenset[str]:
    """The files of a snapshot's state that go with a run, as its manifest calls them.

    Blocks and segments say what they replace; where a run did not begin with the blocks, all that is known of articles
    was made anew.
    """
    if not kept.blocks:
        return frozenset(file.path for file in base.state if file.table not in OF_OUTLETS)
    return frozenset(Path(path).relative_to(root).as_posix() for each in staged for path in each.replaces)


def _files(root: Path, base: Manifest) -> pa.Table:
    rows = [file._asdict() | {"path": f"{root}/{file.path}"} for file in base.files]
    return pa.Table.from_pylist(rows, schema=FILES)


def _tables_of_articles(base: Manifest) -> list[str]:
    return sorted({file.table for file in base.state} - OF_OUTLETS)


def _block(tokens: str) -> BlockRef:
    return BlockRef(tokens.removesuffix(".tokens.arrow"), load(tokens).num_rows)


def _rule(ref: BlockRef) -> bytes:
    return bytes((load(ref.part("keys")).schema.metadata or {}).get(b"rule", b""))
