"""From clean articles to stories."""

import datetime as dt
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine import DEFAULT_RUNNER, new_pipeline, pipeline_options
from schemas import blocks
from schemas.blocks import BlockRef, StoredTable
from schemas.state import KEPT, NOTHING_KEPT
from transforms.cluster.joining import ClusterStories, label_window
from transforms.cluster.stories import StoryOptions, features, label_stories, store_features

Row = tuple[int, str, str, str | None, str | None]

ARTICLES: list[Row] = [  # id, headline, text, caption, published
    (
        1,
        "Storm Ulla floods Port Brenn",
        "Storm Ulla flooded Port Brenn on Monday as the Vell burst.",
        None,
        "2019-03-04",
    ),
    (2, "Port Brenn under water", "The river Vell burst over Port Brenn on Monday in storm Ulla, a flood.", None, None),
    (3, "Flood in Port Brenn", "Storm Ulla: river Vell floods Port Brenn.", "The Vell on Monday, March 4, 2019.", None),
    (
        4,
        "Mayor asks for money",
        "Weeks after Ulla the mayor of Port Brenn asked for money on Thursday.",
        None,
        "2019-03-28",
    ),
    (5, "Rovers win the cup", "A late goal by Anders Quill won Rovers the cup on Monday.", None, "2019-03-04"),
    (6, "", "", None, None),
]


def clean(rows: Sequence[Row]) -> pa.Table:
    def filled(field: pa.Field) -> pa.Array:
        values = {
            "article_id": [row[0] for row in rows],
            "headline": [row[1] for row in rows],
            "text": [row[2] for row in rows],
            "captions": [[row[3]] if row[3] else [] for row in rows],
            "date_published": [row[4] and dt.datetime.fromisoformat(row[4]).replace(tzinfo=dt.UTC) for row in rows],
        }.get(field.name)
        if values is None:
            zero = 0 if pa.types.is_integer(field.type) else [] if pa.types.is_list(field.type) else ""
            values = [None if field.nullable else zero] * len(rows)
        return pa.array(values, field.type)

    return pa.Table.from_arrays([filled(field) for field in blocks.CLEAN], schema=blocks.CLEAN)


NONE: Mapping[int, int] = MappingProxyType({})


def alone(ids: list[int], copy_of: Mapping[int, int] = NONE, name_of: Mapping[int, int] = NONE) -> pa.Table:
    """Copy labels: the copy's id is ten times that of the article that speaks for it, the article itself by default."""
    ids = sorted(ids)
    speaks = [copy_of.get(i, i) for i in ids]
    columns = [ids, [name_of.get(i, 10 * i) for i in speaks], speaks, *[[None] * len(ids)] * 3]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, blocks.COPY_LABELS, strict=True)], blocks.COPY_LABELS)


def representatives(articles: pa.Table, copies: pa.Table) -> pa.Table:
    """Articles that speak for a copy, with its id."""
    speaks = {row["representative"]: row["copy_id"] for row in copies.to_pylist()}
    rows = articles.filter(pa.array([article in speaks for article in articles["article_id"].to_pylist()], pa.bool_()))
    numbers = pa.array([speaks[article] for article in rows["article_id"].to_pylist()], pa.int64())
    return rows.append_column("copy_id", numbers)


def stories(rows: Sequence[Row], options: StoryOptions | None = None) -> pa.Table:
    options = options or StoryOptions()
    copies = alone([row[0] for row in rows])
    found = features(representatives(clean(rows), copies), options)
    return label_stories(found, copies["copy_id"].to_numpy(), options)


def groups(labels: pa.Table) -> set[frozenset[int]]:
    members: dict[int, set[int]] = {}
    for row in labels.to_pylist():
        members.setdefault(row["story_id"], set()).add(row["copy_id"] // 10)
    return {frozenset(group) for group in members.values()}


def test_one_event_in_other_words_is_one_story_and_the_same_place_another_week_is_not() -> None:
    assert groups(stories(ARTICLES)) == {frozenset({1, 2, 3}), frozenset({4}), frozenset({5}), frozenset({6})}


def test_every_story_has_one_lead_and_lone_copies_score_one() -> None:
    labels = stories(ARTICLES).to_pylist()
    leads = [row["story_id"] for row in labels if row["lead"]]
    assert len(leads) == len(set(leads)) == 4
    assert [row["score"] for row in labels][3:] == [1, 1, 1]
    assert all(0 < row["score"] < 1 for row in labels[:3])


@given(st.permutations(ARTICLES), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_neither_order_nor_blocks_change_a_label(rows: Sequence[Row], cut: int) -> None:
    options = StoryOptions()
    copies = alone([row[0] for row in rows])
    parts = [features(representatives(clean(part), copies), options) for part in (rows[:cut], rows[cut:])]
    assert label_stories(pa.concat_tables(parts), copies["copy_id"].to_numpy(), options).equals(stories(ARTICLES))


def test_switched_off_every_copy_is_its_own_story() -> None:
    labels = label_stories(
        features(representatives(clean([]), alone([])), StoryOptions()), np.array([10, 20]), StoryOptions()
    )
    assert groups(labels) == {frozenset({1}), frozenset({2})}
    assert labels["lead"].to_pylist() == [True, True]


def stored_block(rows: Sequence[Row], folder: Path, options: StoryOptions | None = None) -> tuple[BlockRef, pa.Table]:
    """A block with its features, and its part of the catalog."""
    ref = blocks.new_block(str(folder), len(rows))
    blocks.store(clean(rows), ref.part("articles"))
    store_features(ref, options or StoryOptions())
    given = {
        "article_id": [row[0] for row in rows],
        "identity": [0] * len(rows),
        "block": [ref.base] * len(rows),
        "row": range(len(rows)),
        "published": clean(rows)["date_published"],
        "words": [1] * len(rows),
    }
    columns = [
        pa.array(given.get(f.name, [None] * len(rows)), f.type) if f.name != "published" else given["published"]
        for f in blocks.CATALOG
    ]
    return ref, pa.table(columns, schema=blocks.CATALOG)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_transform_gives_the_labels_of_the_functions(tmp_path: Path, enabled: bool) -> None:
    options = StoryOptions(enabled=enabled)
    parts = [stored_block(rows, tmp_path, options) for rows in (ARTICLES[:2], ARTICLES[2:])]
    catalog = blocks.store_new(pa.concat_tables([part for _, part in parts]), str(tmp_path), "catalog")
    copies = blocks.store_new(alone([row[0] for row in ARTICLES]), str(tmp_path), "copies")

    def check(found: list[StoredTable]) -> None:
        (table,) = [blocks.load(stored.path) for stored in found]
        assert table.equals(stories(ARTICLES) if enabled else blocks.empty(blocks.STORY_LABELS))

    with new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ())) as pipeline:
        articles = pipeline | "Blocks" >> beam.Create([ref for ref, _ in parts]).with_output_types(BlockRef)
        labels = pipeline | "Copies" >> beam.Create([copies]).with_output_types(StoredTable)
        entries = pipeline | "Catalog" >> beam.Create([catalog]).with_output_types(StoredTable)
        given = {"blocks": articles, "copies": labels, "catalog": entries}
        assert_that((given | ClusterStories(options, NOTHING_KEPT, str(tmp_path)))["stories"], check)


class Dataset:
    """Runs that add to each other, every article its own copy but those of `copy_of`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.kept = folder, NOTHING_KEPT
        self.catalog = blocks.empty(blocks.CATALOG)
        self.copy_of: dict[int, int] = {}
        self.name_of: dict[int, int] = {}  # ids of copies by who speaks for them
        self.labels = blocks.empty(blocks.STORY_LABELS)

    def expire(self, article: int) -> None:
        """Let an article be one that is no longer stored."""
        rows = self.catalog.to_pylist()
        rows = [row | {"block": "", "row": -1} if row["article_id"] == article else row for row in rows]
        self.catalog = pa.Table.from_pylist(rows, schema=blocks.CATALOG)

    def run(self, rows: Sequence[Row]) -> dict[int, int]:
        """Add articles; returns the story of each that there is."""
        ref, new = stored_block(rows, self.folder)
        self.catalog = pa.concat_tables([self.catalog, new]).sort_by("article_id").combine_chunks()
        article = self.catalog["article_id"].to_pylist()
        copies = alone(article, self.copy_of, self.name_of)
        labels, similar = label_window(copies, self.catalog, [ref], self.kept, StoryOptions())
        assert labels["copy_id"].to_pylist() == sorted(set(copies["copy_id"].to_pylist()))
        self.labels = labels
        leads = labels.filter(labels["lead"])["story_id"].to_pylist()
        assert sorted(leads) == sorted(set(labels["story_id"].to_pylist()))
        of_copy = dict(zip(labels["copy_id"].to_pylist(), labels["story_id"].to_pylist(), strict=True))
        story = pa.array([of_copy[copy] for copy in copies["copy_id"].to_pylist()])
        columns = {name: self.catalog[name] for name in blocks.CATALOG.names}
        columns |= {name: copies[name] for name in blocks.COPY_LABELS.names[1:]} | {"story_id": story}
        columns |= {
            "text": pa.array([0] * len(article)),
            "seen": self.catalog["published"].fill_null(dt.datetime(2019, 3, 5, tzinfo=dt.UTC)),
        }
        made = [columns.get(f.name, pa.nulls(len(article), f.type)) for f in KEPT]
        path = str(self.folder / f"similar{self.kept.run}.parquet")
        pq.write_table(similar, path)
        kept = blocks.store_new(pa.table(made, schema=KEPT), str(self.folder), "kept").path
        self.kept = self.kept._replace(
            articles=kept, blocks=(*self.kept.blocks, ref), similar=path, run=self.kept.run + 1
        )
        return dict(zip(article, story.to_pylist(), strict=True))


def test_a_late_article_joins_the_story_of_its_event_not_that_of_its_day(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    before = dataset.run([ARTICLES[0], ARTICLES[1], ARTICLES[3]])
    after = dataset.run([ARTICLES[2], ARTICLES[4]])
    assert after[3] == after[1] == before[1]
    assert len({after[3], after[4], after[5]}) == 3


@given(st.permutations(ARTICLES), st.lists(st.integers(0, 3), min_size=6, max_size=6))
@settings(max_examples=8, deadline=None)
def test_a_published_story_is_never_split(rows: Sequence[Row], run_of: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset, known = Dataset(Path(folder)), dict[int, int]()
        for number in range(4):
            part = [row for row, run in zip(rows, run_of, strict=True) if run == number]
            if part:
                now = dataset.run(part)
                together = {(a, b) for a in known for b in known if known[a] == known[b]}
                assert all(now[a] == now[b] for a, b in together)
                known = now


@given(st.permutations(ARTICLES[2:]))
@settings(max_examples=5, deadline=None)
def test_the_order_within_a_run_changes_nothing(rows: Sequence[Row]) -> None:
    found = []
    for part in (rows, ARTICLES[2:]):
        with tempfile.TemporaryDirectory() as folder:
            dataset = Dataset(Path(folder))
            dataset.run(ARTICLES[:2])
            found.append(dataset.run(part))
    assert found[0] == found[1]


def test_state_that_repeats_pairs_or_pairs_an_article_with_itself_changes_no_story(tmp_path: Path) -> None:
    found = []
    for name, wrong in (("right", False), ("wrong", True)):
        dataset = Dataset(tmp_path / name)
        dataset.run(ARTICLES[:2])
        similar = pq.read_table(dataset.kept.similar)
        if wrong:
            own = [pa.array([1, 2], pa.int64()), pa.array([1, 2], pa.int64()), pa.array([0.9, 0.9], pa.float32())]
            own = pa.table(own, schema=similar.schema)
            pq.write_table(pa.concat_tables([own, similar, similar, similar]), dataset.kept.similar)
        found.append(dataset.run(ARTICLES[2:]))
    assert found[0] == found[1]


SECOND: Row = (7, "Rovers win cup", "A late goal by Anders Quill won Rovers the cup on Monday.", None, "2019-03-04")


def test_a_story_is_told_again_when_one_of_its_copies_gains_a_member(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    before = dataset.run(ARTICLES[:5])
    told = {row["copy_id"]: row for row in dataset.labels.to_pylist()}
    dataset.copy_of[7] = 2  # of which the texts know nothing: a copy of the flood, it says
    after = dataset.run([SECOND])
    flood = [row for row in dataset.labels.to_pylist() if row["story_id"] == after[7]]
    assert after == before | {7: before[2]}
    assert [row["copy_id"] for row in flood] == [10, 20, 30]
    for row in flood:
        of_before = told[row["copy_id"]]
        assert (row["lead"], row["names"], row["terms"]) == (of_before["lead"], of_before["names"], of_before["terms"])
        assert 0 < row["score"] < 1
    (lead,) = [row for row in flood if row["lead"]]
    assert lead["names"]
    assert lead["terms"]


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_what_is_no_longer_stored_leads_no_story_that_is_told_again(tmp_path: Path, gone: int) -> None:
    dataset = Dataset(tmp_path)
    before = dataset.run(ARTICLES[:3])
    dataset.expire(gone)
    dataset.copy_of[7] = 1 + gone % 3
    after = dataset.run([SECOND])
    assert after == before | {7: before[1]}
    (lead,) = [row for row in dataset.labels.to_pylist() if row["lead"]]
    assert lead["copy_id"] != 10 * gone
    assert lead["terms"]


def test_a_story_of_which_nothing_is_stored_keeps_one_lead(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    before = dataset.run(ARTICLES[:3])
    for article in (1, 2, 3):
        dataset.expire(article)
    dataset.copy_of[7] = 2
    assert dataset.run([SECOND]) == before | {7: before[1]}


def test_a_copy_that_keeps_its_id_but_not_who_spoke_for_it_is_no_longer_the_story_that_was_named_after_it(
    tmp_path: Path,
) -> None:
    dataset = Dataset(tmp_path)
    dataset.copy_of[5] = 1
    before = dataset.run([ARTICLES[0], ARTICLES[4]])
    dataset.copy_of, dataset.name_of = {}, {1: 50, 5: 10}  # the two are parted, and the other one keeps the id
    after = dataset.run([ARTICLES[5]])
    assert after[1] == before[1]
    assert len(set(after.values())) == 3
