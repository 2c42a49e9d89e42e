"""What is kept between runs, beside the tables that readers open: one Parquet file for each bucket of outlets.

State belongs to a snapshot like its tables do: the manifest lists the files with their checksums, and a later run on
the same dataset begins with them. A file that a run did not have to touch is listed again as it is.
"""

from typing import NamedTuple

import pyarrow as pa

from schemas.blocks import CATALOG, COPY_LABELS, PAIRS, BlockRef, StoredTable, load
from schemas.files import DataFile

OUTLET_BUCKETS = 16
_FILE_TYPES = {str: pa.string(), int: pa.int64()}


class StateTable(NamedTuple):
    """A table of the state: its columns, and the order of its rows."""

    name: str
    fields: tuple[pa.Field, ...]
    sort: tuple[str, ...]
    dictionary: tuple[str, ...] = ("outlet", "key", "example")  # columns that repeat themselves; lists gain nothing

    @property
    def schema(self) -> pa.Schema:
        """The schema that files are written with."""
        return pa.schema(self.fields, metadata={"copydesk.state": self.name})


OUTLET_ARTICLES = StateTable(  # what the latest articles of each outlet consist of, no text
    "outlet_articles",
    (
        pa.field("outlet", pa.string(), nullable=False),
        pa.field("article_id", pa.int64(), nullable=False),
        pa.field("identity", pa.int64(), nullable=False),  # as in PARSED
        pa.field("headline_key", pa.int64(), nullable=False),  # 0: no headline
        pa.field("seen", pa.timestamp("us", "UTC")),  # when published, else fetched
        pa.field("run", pa.int32(), nullable=False),  # the snapshot whose run delivered it last
        pa.field("keys", pa.list_(pa.int64()), nullable=False),  # of every line
        pa.field("weights", pa.list_(pa.int32()), nullable=False),  # words, of lines first taken for body; else 0
        pa.field("edges", pa.list_(pa.bool_()), nullable=False),  # whether the line stood at the article's edge
        pa.field("places", pa.list_(pa.int64()), nullable=False),  # signatures of the page, each once
        pa.field("place_scores", pa.list_(pa.float32()), nullable=False),  # mean line score there, 0..1
    ),
    ("outlet", "article_id"),
)

OUTLET_LINES = StateTable(  # what was learned of them
    "outlet_lines",
    (
        pa.field("outlet", pa.string(), nullable=False),
        pa.field("key", pa.int64(), nullable=False),  # a line's, or a place's signature
        pa.field("place", pa.bool_(), nullable=False),
        pa.field("stories", pa.int32(), nullable=False),  # distinct stories with it
        pa.field("edge_stories", pa.int32(), nullable=False),  # of these, with the line at an edge
        pa.field("score", pa.float32(), nullable=False),  # of a place: mean line score, 0..1
        pa.field("articles", pa.int32(), nullable=False),  # distinct stories known of the outlet
        pa.field("first_seen", pa.timestamp("us", "UTC")),
        pa.field("last_seen", pa.timestamp("us", "UTC")),
        pa.field("example", pa.string()),  # the line, or one there, cut to 160 characters
    ),
    ("outlet", "place", "key"),
)

LINKS = StateTable(  # between the articles that a new one may still join: what clustering needs of their pairs
    "links",
    tuple(PAIRS.field(name) for name in ("left", "right", "relation", "score", "left_coverage", "right_coverage")),
    ("left", "right"),
    (),
)

KEPT_ARTICLES = StateTable(  # those that a new one may still join, with the labels that they were published under
    "kept",
    (
        *(CATALOG.field(name) for name in ("article_id", "identity", "block", "row", "outlet", "published", "words")),
        pa.field("text", pa.int64(), nullable=False),  # hash of all words in order; equal: the same words
        pa.field("seen", pa.timestamp("us", "UTC"), nullable=False),  # published, else the news of the run it came with
        *(COPY_LABELS.field(name) for name in COPY_LABELS.names[1:]),
        pa.field("story_id", pa.int64()),  # null when stories are switched off
    ),
    ("article_id",),
    ("block", "outlet"),
)
KEPT = pa.schema(KEPT_ARTICLES.fields)  # in a run `block` is a BlockRef.base; in a file its name, see `Kept.blocks`

SIMILAR = StateTable(  # how like the news in them are, of articles that represented a copy when they were compared
    "similar",
    (
        pa.field("left", pa.int64(), nullable=False),  # article ids, left < right
        pa.field("right", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ),
    ("left", "right"),
    (),
)

SEEN = StateTable(  # every article of the dataset, however old: what is delivered again is recognised
    "seen",
    (
        pa.field("article_id", pa.int64(), nullable=False),
        pa.field("identity", pa.int64(), nullable=False),  # as in PARSED
        pa.field("version", pa.int32(), nullable=False),  # 1 for the first article of an identity
    ),
    ("article_id",),
    (),
)

STATE = {table.name: table for table in (OUTLET_ARTICLES, OUTLET_LINES, LINKS, KEPT_ARTICLES, SIMILAR, SEEN)}

BLOCK_PARTS = ("tokens", "signed", "keys", "grams", "features", "cards")  # of a block of kept articles, Arrow files

LABELLED = pa.schema(
    [KEPT.field(name) for name in ("article_id", "copy_id", "story_id", "published")]
)  # ids as published

ALIASED = pa.schema(  # ids that are gone for good
    [
        pa.field("kind", pa.string(), nullable=False),  # copy or story
        pa.field("alias_id", pa.int64(), nullable=False),
        pa.field("id", pa.int64(), nullable=False),  # what it became; that may be an alias too
    ]
)


class StatePart(NamedTuple):
    """Rows of one bucket of a state table, stored and waiting to be written."""

    table: str
    bucket: int
    rows: StoredTable


class StateFile(NamedTuple):
    """An Arrow file in scratch that is to be part of the state as it is; or one of the state that goes."""

    table: str
    partition: str
    path: str = ""  # "": none comes
    replaces: str = ""  # absolute path of the one that goes, "" for none


class EarlierRuns(NamedTuple):
    """What a run begins with: the state's files by table and bucket, and the number that the run will have."""

    files: tuple[tuple[str, int, str], ...] = ()  # table, bucket, path
    run: int = 1


class Kept(NamedTuple):
    """What a run adds to; nothing, for one that begins anew. Tables are given by their path, "" for none."""

    articles: str = ""  # KEPT, ascending by article_id
    blocks: tuple[BlockRef, ...] = ()  # that hold their parts (BLOCK_PARTS)
    seen: tuple[str, ...] = ()  # files of the state table SEEN
    labels: str = ""  # LABELLED, ascending, of all articles of the dataset that this run makes anew
    links: str = ""  # the state table LINKS
    similar: str = ""  # the state table SIMILAR
    files: str = ""  # FILES: those of the tables, under absolute paths; there are ever more
    run: int = 1  # the number that the run will have
    news: int = 0  # µs: the newest publication so far that was believed; 0: there is none
    now: int = 0  # µs: when the run began; a publication long after it is not believed; 0: any is
    window: int = 30 * 86_400_000_000  # µs: articles older than the news by more are not compared with new ones


FILES = pa.schema(
    [pa.field(name, _FILE_TYPES[kind], nullable=False) for name, kind in DataFile.__annotations__.items()]
)
NOTHING_KEPT = Kept()  # by a run that begins anew


def block_table(part: str) -> str:
    """What a part of state blocks is called in a manifest."""
    return f"block_{part}"


def block_name(base: str) -> str:
    """The name of a state block, which is the last piece of its base."""
    return base.rsplit("/", 1)[-1]


def kept_articles(kept: Kept) -> pa.Table:
    """KEPT rows of the articles that new ones may join."""
    return load(kept.articles) if kept.articles else KEPT.empty_table()


def kept_files(kept: Kept) -> list[DataFile]:
    """The files of the tables that a run adds to."""
    return [DataFile(**row) for row in load(kept.files).to_pylist()] if kept.files else []


def kept_catalog(kept: Kept) -> pa.Table:
    """CATALOG rows of the kept articles, in blocks of the state."""
    articles = kept_articles(kept)
    modified = pa.nulls(articles.num_rows, CATALOG.field("modified").type)  # they have their versions already
    return articles.append_column("modified", modified).select(CATALOG.names).cast(CATALOG)


def known_labels(kept: Kept) -> pa.Table:
    """LABELLED rows of the articles whose ids are to stay, ascending."""
    return load(kept.labels) if kept.labels else kept_articles(kept).select(LABELLED.names)
