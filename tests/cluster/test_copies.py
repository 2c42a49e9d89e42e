"""Verified pairs in, copies out."""

import random
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa

from pipeline.engine import DEFAULT_RUNNER, new_pipeline, pipeline_options
from schemas.barriers import StoreBlocks
from schemas.blocks import CATALOG, COPY_LABELS, PAIRS, load, store_new
from schemas.labels import RELATION_CODES, Relation
from schemas.state import NOTHING_KEPT
from transforms.cluster.copies import ClusterCopies, CopyOptions, join
from transforms.cluster.copylabels import label
from transforms.cluster.links import LinkArticles, links_of
from transforms.cluster.settle import SettlePairs, settle

OPTIONS = CopyOptions()
Pair = tuple[int, int, float, float, float]  # left, right, score, coverage of left and of right


def _pairs(*pairs: Pair, longest: int = 0) -> pa.Table:
    rows = [
        {
            "left": left,
            "right": right,
            "score": score,
            "left_coverage": of_left,
            "right_coverage": of_right,
            "relation": RELATION_CODES[Relation.SAME],
            "jaccard": 0.5,
            "shared_words": 1,
            "longest_run": longest,
            "passages": [],
        }
        for left, right, score, of_left, of_right in pairs
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


def _catalog(count: int, dates: dict[int, int] | None = None, words: dict[int, int] | None = None) -> pa.Table:
    rows = [
        {
            "article_id": number,
            "identity": 0,
            "block": "b",
            "row": number,
            "outlet": "o",
            "published": (dates or {}).get(number),
            "words": (words or {}).get(number, 100),
        }
        for number in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=CATALOG)


def _copies(pairs: pa.Table, count: int) -> list[list[int]]:
    labels = label(_catalog(count), *join(links_of(pairs, OPTIONS.related), OPTIONS))
    groups: dict[int, list[int]] = {}
    for article, copy in zip(labels["article_id"].to_pylist(), labels["copy_id"].to_pylist(), strict=True):
        groups.setdefault(copy, []).append(article)
    return sorted(groups.values())


def test_a_lone_pair_is_judged_strictly_and_a_member_of_a_group_with_support() -> None:
    assert _copies(_pairs((0, 1, 0.3, 0.3, 0.3)), 2) == [[0], [1]]
    supported = _pairs((0, 1, 0.9, 0.9, 0.9), (0, 2, 0.4, 0.4, 0.4), (1, 2, 0.2, 0.2, 0.2))
    assert _copies(supported, 3) == [[0, 1, 2]]


def test_one_bridging_pair_does_not_chain_two_groups() -> None:
    group = [(a, b, 0.9, 0.9, 0.9) for side in (0, 4) for a in range(side, side + 4) for b in range(a + 1, side + 4)]
    assert _copies(_pairs(*group, (3, 4, 0.8, 0.8, 0.8)), 8) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_digest_ties_no_stories_together() -> None:
    stories = [(0, 1, 0.9, 0.9, 0.9), (2, 3, 0.9, 0.9, 0.9)]
    digest = [(story, 4, 0.5, 0.9, 0.2) for story in range(4)]
    assert _copies(_pairs(*stories, *digest), 5) == [[0, 1], [2, 3], [4]]


def test_a_brief_behind_a_whole_reprint_costs_it_no_place_in_its_copy() -> None:
    stories = [(0, 1, 0.9, 0.9, 0.9), (2, 3, 0.9, 0.9, 0.9)]
    reprint = [(story, 4, 0.6, 0.95, 0.35) for story in (0, 1)] + [(story, 4, 0.35, 0.3, 0.2) for story in (2, 3)]
    assert _copies(_pairs(*stories, *reprint), 5) == [[0, 1, 4], [2, 3]]


def test_equal_reports_stay_one_copy_amid_editions_of_other_days_that_are_a_little_like_them() -> None:
    report = [(0, 1, 1.0, 1.0, 1.0), (0, 2, 0.99, 0.99, 0.99)]  # 1 is a clone, and met the first of its kind alone
    editions = [(mine, other, 0.3, 0.3, 0.3) for mine in (0, 2) for other in (3, 4, 5)]
    assert _copies(_pairs(*report, *editions), 6) == [[0, 1, 2], [3], [4], [5]]


def test_whole_briefs_of_two_stories_in_one_digest_tie_neither() -> None:
    stories = [(0, 1, 0.9, 0.9, 0.9), (2, 3, 0.9, 0.9, 0.9)]
    digest = [(story, 4, 0.6, 0.95, 0.35) for story in range(4)]
    assert _copies(_pairs(*stories, *digest), 5) == [[0, 1], [2, 3], [4]]


def test_a_quote_shared_by_reports_of_one_event_ties_no_copies() -> None:
    copies = [(0, 1, 0.9, 0.9, 0.9), (2, 3, 0.9, 0.9, 0.9)]
    event = [(a, b, 0.2, 0.2, 0.2) for a in (0, 1) for b in (2, 3)]
    assert _copies(_pairs(*copies, *event), 4) == [[0, 1], [2, 3]]


def test_clones_stay_with_the_one_that_speaks_for_them() -> None:
    clones = [(0, clone, 1.0, 1.0, 1.0) for clone in range(1, 50)]
    assert _copies(_pairs(*clones, (0, 50, 0.5, 0.5, 0.5)), 51) == [list(range(51))]


def test_the_earliest_then_longest_then_smallest_represents_a_copy() -> None:
    joined = join(links_of(_pairs((0, 1, 0.9, 0.8, 0.8), (1, 2, 0.8, 0.8, 0.8), (0, 2, 0.8, 0.8, 0.8)), 0.1), OPTIONS)
    for dates, words, expected in (({2: 5, 1: 9}, {}, 2), ({}, {1: 200}, 1), ({}, {}, 0)):
        labels = label(_catalog(4, dates, words), *joined)
        assert labels["representative"].to_pylist() == [expected] * 3 + [3]
        assert labels["relation"].to_pylist()[expected] is None
        assert labels["weakest_link"].to_pylist()[3] is None
        assert labels.schema == COPY_LABELS


def test_every_member_has_its_score_to_the_representative() -> None:
    labels = label(_catalog(3), *join(links_of(_pairs((0, 1, 0.75, 0.8, 0.8), (1, 2, 0.5, 0.6, 0.6)), 0.1), OPTIONS))
    assert labels["similarity"].to_pylist() == [None, 0.75, None]
    assert labels["relation"].to_pylist() == [None, RELATION_CODES[Relation.SAME], RELATION_CODES[Relation.VERSION]]


def test_a_member_has_the_score_of_its_clone_where_only_that_one_was_compared() -> None:
    pairs = _pairs((0, 1, 1.0, 1.0, 1.0), (0, 2, 1.0, 1.0, 1.0), (0, 3, 0.6, 0.9, 0.5))
    labels = label(_catalog(4, {1: 5}), *join(links_of(pairs, OPTIONS.related), OPTIONS))
    assert labels["representative"].to_pylist() == [1] * 4
    assert labels["similarity"].to_pylist() == [1.0, None, 1.0, np.float32(0.6)]
    assert None not in labels["relation"].to_pylist()[2:]


def test_copies_do_not_depend_on_the_order_of_the_pairs() -> None:
    draw = random.Random(3)
    pairs = [
        (a, b, draw.random(), draw.random(), draw.random())
        for a in range(30)
        for b in range(a + 1, 30)
        if draw.random() < 0.2
    ]
    expected = _copies(_pairs(*pairs), 30)
    draw.shuffle(pairs)
    assert _copies(_pairs(*pairs), 30) == expected


def test_a_component_too_large_is_split_at_a_stricter_threshold_first() -> None:
    group = [(a, b, 0.9, 0.9, 0.9) for side in (0, 3) for a in range(side, side + 3) for b in range(a + 1, side + 3)]
    links = links_of(_pairs(*group, (2, 3, 0.35, 0.35, 0.35)), 0.1)
    members, _ = join(links, CopyOptions(largest=4))
    assert members["root"].to_pylist() == [0, 0, 0, 3, 3, 3]


def test_what_no_threshold_splits_is_clustered_in_runs_of_ids() -> None:
    versions = [(a, b, 1.0, 0.5, 0.5) for a in range(7) for b in range(a + 1, 7)]
    links = links_of(_pairs(*versions), 0.1)
    for largest, roots in ((7, [0] * 7), (3, [0, 0, 0, 3, 3, 3])):
        members, inside = join(links, CopyOptions(largest=largest))
        assert members["root"].to_pylist() == roots
        assert inside.num_rows == (21 if largest == 7 else 6)


def test_settled_pairs_are_copies_inside_a_copy_and_quotes_outside() -> None:
    pairs = pa.concat_tables(
        [_pairs((0, 1, 0.9, 0.9, 0.9)), _pairs((1, 2, 0.2, 0.2, 0.2), longest=30), _pairs((0, 2, 0.2, 0.2, 0.2))]
    )
    labels = label(_catalog(3), *join(links_of(pairs, 0.1), OPTIONS))
    settled = settle(pairs, labels, 25)
    assert settled["right"].to_pylist() == [1, 2]
    assert settled["row"].to_pylist() == [0, 1]
    assert settled["relation"].to_pylist() == [RELATION_CODES[Relation.SAME], RELATION_CODES[Relation.QUOTES]]


def test_no_pairs_leave_every_article_alone() -> None:
    assert _copies(_pairs(), 3) == [[0], [1], [2]]
    assert label(_catalog(0), *join(links_of(_pairs(), 0.1), OPTIONS)).num_rows == 0


def test_the_graph_gives_the_same_labels(tmp_path: Path) -> None:
    blocks = [_pairs((0, 1, 0.9, 0.9, 0.9)), _pairs((1, 2, 0.6, 0.6, 0.6)), _pairs((4, 5, 0.2, 0.2, 0.2), longest=40)]
    catalog = store_new(_catalog(6), str(tmp_path), "catalog")
    expected = label(_catalog(6), *join(links_of(pa.concat_tables(blocks), 0.1), OPTIONS))
    with new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ())) as pipeline:
        stored = pipeline | "Catalog" >> beam.Create([catalog])
        pairs = pipeline | "Pairs" >> beam.Create(blocks) | "Keep" >> StoreBlocks(str(tmp_path), "pairs")
        linked = pairs | LinkArticles(OPTIONS.related, NOTHING_KEPT, str(tmp_path))
        labels = {"links": linked["links"], "catalog": stored} | ClusterCopies(OPTIONS, str(tmp_path))
        settled = {"pairs": pairs, "labels": labels} | SettlePairs()
        _ = settled | "Settled" >> beam.Map(store_new, str(tmp_path), "kept")
    (stored_labels,) = tmp_path.glob("copies-*.arrow")
    assert load(str(stored_labels)).equals(expected)
    kept = pa.concat_tables([load(str(path)) for path in tmp_path.glob("kept-*.arrow")])
    assert sorted(np.array(kept["relation"]).tolist()) == [0, 0, RELATION_CODES[Relation.QUOTES]]
