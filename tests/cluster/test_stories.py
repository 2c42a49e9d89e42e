"""From clean articles to stories."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import blocks
from schemas.blocks import BlockRef, StoredTable
from transforms.cluster.joining import ClusterStories
from transforms.cluster.stories import StoryOptions, features, label_stories

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


def alone(ids: list[int]) -> pa.Table:
    """Copy labels of articles that are no copies: the copy's id is ten times the article's."""
    ids = sorted(ids)
    columns = [ids, [10 * i for i in ids], ids, [None] * len(ids), [None] * len(ids), [None] * len(ids)]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, blocks.COPY_LABELS, strict=True)], blocks.COPY_LABELS)


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


def test_only_the_representative_of_a_copy_speaks_for_it() -> None:
    copies = alone([1, 2, 3]).to_pylist()
    copies[1] |= {"copy_id": 10, "representative": 1}
    labels = pa.Table.from_pylist(copies, blocks.COPY_LABELS)
    rows = representatives(clean(ARTICLES[:3]), labels)
    assert rows["article_id"].to_pylist() == [1, 3]
    assert rows["copy_id"].to_pylist() == [10, 30]


def test_switched_off_every_copy_is_its_own_story() -> None:
    labels = label_stories(
        features(representatives(clean([]), alone([])), StoryOptions()), np.array([10, 20]), StoryOptions()
    )
    assert groups(labels) == {frozenset({1}), frozenset({2})}
    assert labels["lead"].to_pylist() == [True, True]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_transform_gives_the_labels_of_the_functions(tmp_path: Path, enabled: bool) -> None:
    options = StoryOptions(enabled=enabled)
    refs = []
    for rows in (ARTICLES[:2], ARTICLES[2:]):
        ref = blocks.new_block(str(tmp_path), len(rows))
        blocks.store(clean(rows), ref.part("articles"))
        refs.append(ref)
    copies = blocks.store_new(alone([row[0] for row in ARTICLES]), str(tmp_path), "copies")

    def check(found: list[StoredTable]) -> None:
        (table,) = [blocks.load(stored.path) for stored in found]
        assert len(groups(table)) == (4 if enabled else 0)
        assert table.schema.equals(blocks.STORY_LABELS)

    with beam.Pipeline("FnApiRunner") as pipeline:
        articles = pipeline | "Blocks" >> beam.Create(refs).with_output_types(BlockRef)
        labels = pipeline | "Copies" >> beam.Create([copies]).with_output_types(StoredTable)
        assert_that({"blocks": articles, "copies": labels} | ClusterStories(options, str(tmp_path)), check)
