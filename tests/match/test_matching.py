"""Articles in, pairs out: what matching must find, tell apart and leave alone."""

import random
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest

from pipeline.engine import DEFAULT_RUNNER, new_pipeline, pipeline_options
from schemas.blocks import CLEAN, PAIRS, BlockRef, concat, load, new_block, store, store_new
from schemas.errors import ContractMismatch
from schemas.ids import stable_hash
from schemas.labels import RELATION_CODES, Relation
from schemas.state import NOTHING_KEPT
from transforms.match.bare import catalog_of, match_blocks
from transforms.match.candidates import (
    CANDIDATES,
    FindCandidates,
    bucketed_clones,
    bucketed_pairs,
    clone_pairs,
    group_pairs,
    pairs_of_bucket,
    unique_of_bucket,
)
from transforms.match.options import GRAM_BUCKETS, MatchOptions, SignatureRule
from transforms.match.signing import SignArticles, split_block, store_documents
from transforms.match.verify import VerifyPairs, verify_pairs

OPTIONS = MatchOptions()
Blocks = Callable[..., list[BlockRef]]
Prose = Callable[..., str]


def _names(pairs: pa.Table, *ids: str) -> dict[frozenset[str], dict[str, object]]:
    known = {stable_hash("test", name): name for name in ids}
    return {frozenset((known[row["left"]], known[row["right"]])): row for row in pairs.to_pylist()}


def _score(row: dict[str, object]) -> float:
    return float(str(row["score"]))


def _relation(row: dict[str, object]) -> Relation:
    return next(relation for relation, code in RELATION_CODES.items() if code == row["relation"])


def test_relations_tell_reprints_cuts_and_wire_copy_inside_a_longer_piece(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    wire = prose(1, 6)
    cut = "\n".join(wire.split("\n")[:3])
    inside = prose(2, 4) + "\n" + wire + "\n" + prose(3, 4)
    edited = wire.replace("\n", "\nMeanwhile ")
    articles = {"wire": wire, "edited": edited, "cut": cut, "inside": inside, "other": prose(4, 6)}
    pairs = match_blocks(
        blocks_of([{"id": name, "text": text} for name, text in articles.items()]), OPTIONS, str(tmp_path)
    )
    found = _names(pairs, *articles)
    assert _relation(found[frozenset(("wire", "edited"))]) is Relation.SAME
    assert _relation(found[frozenset(("wire", "cut"))]) is Relation.ABRIDGED
    assert _relation(found[frozenset(("wire", "inside"))]) is Relation.EMBEDDED
    assert not any("other" in pair for pair in found)


def test_a_shared_passage_of_25_words_is_found_and_shown_as_the_left_article_has_it(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    quote = "The Mayor, who is 62, said: " + " ".join(prose(9, 1, 24).split())
    texts = {
        "a": prose(10, 3) + "\n" + quote.upper() + "\n" + prose(11, 3),
        "b": prose(12) + "\n“" + quote + "”\n" + prose(13),
    }
    refs = blocks_of([{"id": name, "text": text} for name, text in texts.items()])
    (row,) = match_blocks(refs, OPTIONS, str(tmp_path)).to_pylist()
    left = "a" if row["left"] == stable_hash("test", "a") else "b"
    assert row["score"] < 0.2
    assert row["longest_run"] >= 29
    assert row["passages"][0] in texts[left]
    assert "62" in row["passages"][0]


def test_the_same_address_makes_versions_whatever_the_words(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    refs = blocks_of(
        [{"id": "old", "identity": 77, "text": prose(20)}, {"id": "new", "identity": 77, "text": prose(21)}]
    )
    (row,) = match_blocks(refs, OPTIONS, str(tmp_path)).to_pylist()
    assert _relation(row) is Relation.VERSION
    assert row["score"] == 1.0


def test_what_an_outlet_repeats_is_no_evidence(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    appeal = prose(30, 2)
    articles = [{"id": f"a{k}", "outlet": "x.example", "text": prose(31 + k) + "\n" + appeal} for k in range(4)]
    assert match_blocks(blocks_of(articles), OPTIONS, str(tmp_path)).num_rows == 0


def test_articles_too_short_to_judge_are_no_copies(blocks_of: Blocks, tmp_path: Path) -> None:
    refs = blocks_of([{"id": "a", "text": "Watch this video now"}, {"id": "b", "text": "Watch this video now"}])
    assert match_blocks(refs, OPTIONS, str(tmp_path)).num_rows == 0


def test_scripts_without_spaces_match(blocks_of: Blocks, tmp_path: Path) -> None:
    draw = random.Random(5)
    text = "".join(chr(draw.randrange(0x4E00, 0x9000)) for _ in range(300))
    refs = blocks_of([{"id": "a", "text": text}, {"id": "b", "text": text[:250] + "。"}])
    (row,) = match_blocks(refs, OPTIONS, str(tmp_path)).to_pylist()
    assert row["score"] > 0.7


def test_clones_are_paired_with_the_first_alone(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    refs = blocks_of([{"id": f"a{k}", "text": prose(40)} for k in range(300)], rows=64)
    pairs = match_blocks(refs, OPTIONS, str(tmp_path))
    assert pairs.num_rows == 299
    assert set(pairs["left"].to_pylist()) == {min(stable_hash("test", f"a{k}") for k in range(300))}
    catalog = store_new(catalog_of(refs), str(tmp_path), "catalog")
    documents = store_documents([split_block(ref, GRAM_BUCKETS) for ref in refs], str(tmp_path))
    assert clone_pairs(documents, catalog).num_rows == 299


def test_short_clones_are_one_text_though_they_hold_little_evidence(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    report = prose(41, 1, 30)
    refs = blocks_of([{"id": f"a{k}", "outlet": f"o{k}", "text": report} for k in range(3)])
    pairs = match_blocks(refs, OPTIONS, str(tmp_path))
    assert pairs["score"].to_pylist() == [1.0, 1.0]
    assert {_relation(row) for row in pairs.to_pylist()} == {Relation.SAME}


def test_a_gallery_of_one_outlet_is_no_text_however_much_two_pages_share(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    teasers = "\n".join(line.rstrip(".") for line in prose(42, 12, 12).split("\n"))
    for outlets, expected in ((("x", "x"), 0.0), (("x", "y"), 1.0), ((None, None), 1.0)):
        refs = blocks_of([{"id": f"a{k}", "outlet": outlets[k], "text": f"Year {k}\n{teasers}"} for k in range(2)])
        (row,) = match_blocks(refs, OPTIONS, str(tmp_path)).to_pylist()
        assert row["score"] == pytest.approx(expected, abs=0.05)


def test_an_outlet_that_repeats_its_background_under_other_news_makes_no_version(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    background = prose(49, 3)
    for outlets, joined in ((("x", "x"), False), (("x", "y"), True)):
        news = [prose(50 + k, 3) + "\n" + background for k in range(2)]
        refs = blocks_of([{"id": f"a{k}", "outlet": outlets[k], "text": news[k]} for k in range(2)])
        (row,) = match_blocks(refs, OPTIONS, str(tmp_path)).to_pylist()
        assert (row["score"] > 0.4) == joined
    updated = [prose(52 + k, 1) + "\n" + background + "\n" + prose(54, 2) for k in range(2)]
    refs = blocks_of([{"id": f"a{k}", "outlet": "x", "text": text} for k, text in enumerate(updated)])
    (row,) = match_blocks(refs, OPTIONS, str(tmp_path)).to_pylist()
    assert row["score"] > 0.7


def test_posts_embedded_in_two_articles_are_no_evidence(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    post = prose(43, 1, 80) + " — A. Mayor (@mayor) May 5, 2020"
    articles = {name: prose(seed, 1) + "\n" + post for name, seed in (("a", 44), ("b", 45))}
    (row,) = match_blocks(
        blocks_of([{"id": name, "text": text} for name, text in articles.items()]), OPTIONS, str(tmp_path)
    ).to_pylist()
    assert row["score"] == 0.0
    assert row["longest_run"] >= 80


def test_articles_that_are_all_quotation_are_compared_by_their_quotations(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    statement = "\n".join(f"“{line}”" for line in prose(46, 6).split("\n"))
    texts = {"a": "He said:\n" + statement, "b": prose(47, 1, 20) + "\n" + statement, "own": prose(48, 8)}
    texts["quoting"] = texts["own"] + "\n" + statement
    pairs = match_blocks(
        blocks_of([{"id": name, "text": text} for name, text in texts.items()]), OPTIONS, str(tmp_path)
    )
    found = _names(pairs, *texts)
    assert _score(found[frozenset(("a", "b"))]) > 0.8
    assert _score(found[frozenset(("a", "quoting"))]) < 0.33


@pytest.mark.parametrize("subject", ["weather", "market", "scores", "police"])
def test_two_days_of_a_recurring_report_are_no_copies_and_two_prints_of_one_are(
    blocks_of: Blocks, tmp_path: Path, subject: str
) -> None:
    places = ["Northam", "Sowerby", "Eastry", "Weston", "Middling", "Farley", "Nearby", "Overton", "Ulting", "Acton"]
    forms = {
        "weather": "{place} will see clear skies on day {n} with a high of {a} and a low near {b}. Winds reach {c} mph "
        "from the south. Rain has a chance of {d} percent. The sun rises at {e} and sets at {f} over the bay.",
        "market": "Shares in {place} closed {a} points up at {b} on day {n}. The index of small firms lost {c} points "
        "to stand at {d}. Oil cost {e} a barrel in late trade and gold went for {f} an ounce there.",
        "scores": "{place} beat the visitors {a} to {b} on day {n}. The captain had {c} points with {d} rebounds and "
        "the bench added {e}. The home side shot {f} percent and plays again at the end of the week.",
        "police": "The following is from the {place} log of day {n}. At {a} officers met a report in the {b} block of "
        "the main road. A man of {c} was held at {d} after a stop. Bail stands at {e} and the case is {f}.",
    }
    draw = random.Random(subject)
    texts = {
        f"{place}{n}": forms[subject].format(
            place=place, n=n, **{slot: str(draw.randrange(11, 9999)) for slot in "abcdef"}
        )
        for place in places
        for n in range(12)
    }
    reprint = texts["Eastry3"].replace(" the end", " the very end").replace(" mph", " miles an hour")
    reprint = reprint.replace("late trade", "later trade").replace("the case", "this case")
    articles = [{"id": name, "outlet": name[:3] + name[-1], "text": text} for name, text in texts.items()]
    pairs = match_blocks(blocks_of([*articles, {"id": "again", "text": reprint}]), OPTIONS, str(tmp_path))
    again = stable_hash("test", "again")
    others = [_score(row) for row in pairs.to_pylist() if again not in (row["left"], row["right"])]
    assert max(others, default=0.0) < 0.33
    scores = _names(pairs, *texts, "again")
    best, names = max((_score(row), sorted(pair)) for pair, row in scores.items() if "again" in pair)
    assert best > 0.05
    assert "Eastry3" in names


def test_a_clone_at_the_same_address_is_one_pair_even_where_its_outlet_has_other_furniture(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    for seed in range(4, 8):  # in three of them the outlet with the furniture has the larger id
        text = prose(seed, 5)
        articles = [{"id": f"{name}{seed}", "identity": 9, "outlet": name, "text": text} for name in ("north", "south")]
        furniture = "\n".join(text.split("\n")[:3])
        articles += [
            {"id": f"{seed}-{k}", "outlet": "south", "text": prose(1000 + 10 * seed + k) + "\n" + furniture}
            for k in range(4)
        ]
        refs = blocks_of(articles)
        match_blocks(refs, OPTIONS, str(tmp_path))
        catalog = store_new(catalog_of(refs), str(tmp_path), "catalog")
        keyed = [
            met
            for key in range(OPTIONS.key_buckets)
            for met in bucketed_pairs(key, refs, catalog, NOTHING_KEPT, OPTIONS, 16)
        ]
        documents = store_documents([split_block(ref, GRAM_BUCKETS) for ref in refs], str(tmp_path))
        met = [*keyed, *bucketed_clones(documents, catalog, NOTHING_KEPT, 16)]
        tables = [unique_of_bucket((bucket, [table for at, table in met if at == bucket])) for bucket in range(16)]
        pairs = [tuple(pair.values()) for table in tables for pair in table.to_pylist()]
        assert len(pairs) == len(set(pairs)) >= 1


def test_articles_without_words_and_blocks_without_articles_cost_nobody_a_pair(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    texts = {"none": "", "signs": "... \0 —", "a": prose(7) + "\0", "b": "\0" + prose(7) + " and more"}
    refs = [
        *blocks_of([{"id": name, "text": text} for name, text in texts.items()], rows=1),
        *blocks_of([{"id": name, "identity": 5, "text": ""} for name in ("old", "new")]),
    ]
    refs.append(new_block(str(tmp_path), 0))
    store(CLEAN.empty_table(), refs[-1].part("articles"))
    found = _names(match_blocks(refs, OPTIONS, str(tmp_path)), *texts, "old", "new")
    assert set(found) == {frozenset(("a", "b")), frozenset(("old", "new"))}


def test_a_hot_key_is_thinned_and_counted(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    refs = blocks_of([{"id": f"a{k}", "identity": 5, "text": prose(50 + k, 1)} for k in range(40)])
    match_blocks(refs, OPTIONS, str(tmp_path))
    catalog = store_new(catalog_of(refs), str(tmp_path), "catalog")
    found = [pairs_of_bucket(bucket, refs, catalog, 10) for bucket in range(OPTIONS.key_buckets)]
    assert sum(thinned for _, thinned in found) == 1
    assert sum(pairs.num_rows for pairs, _ in found) < 40 * 8


def test_the_pairs_do_not_depend_on_order_or_blocks(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    shared = [prose(60 + k) for k in range(3)]
    articles = [{"id": f"a{k}", "outlet": f"o{k % 2}", "text": shared[k % 3] + "\n" + prose(70 + k)} for k in range(9)]
    expected = match_blocks(blocks_of(articles), OPTIONS, str(tmp_path)).sort_by(
        [("left", "ascending"), ("right", "ascending")]
    )
    for rows in (2, 5):
        random.Random(rows).shuffle(articles)
        pairs = match_blocks(blocks_of(articles, rows), OPTIONS, str(tmp_path))
        assert pairs.sort_by([("left", "ascending"), ("right", "ascending")]).equals(expected)
    assert expected.num_rows == 9


def test_the_pairs_of_articles_that_are_near_each_other_stand_together() -> None:
    draw = random.Random(5)
    pairs = [(a, b) for first in range(0, 300, 3) for a in range(first, first + 3) for b in range(a + 1, first + 3)]
    pairs += [(n, n + 4_000_000) for n in range(300)]  # each has a neighbour that nobody else has
    draw.shuffle(pairs)
    tables = [pa.table([list(side) for side in zip(*pairs[at::2], strict=True)], schema=CANDIDATES) for at in range(2)]
    grouped = [tuple(pair.values()) for pair in group_pairs(tables).to_pylist()]
    assert sorted(grouped) == sorted(pairs)
    assert grouped[:6] == [(0, 1), (0, 2), (0, 4_000_000), (1, 2), (1, 4_000_001), (2, 4_000_002)]
    assert group_pairs([]).num_rows == 0


def test_signatures_of_another_rule_are_refused(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    refs = blocks_of([{"id": "a", "text": prose(80)}, {"id": "b", "text": prose(80) + " more words"}])
    match_blocks(refs, OPTIONS, str(tmp_path))
    candidates = pa.table([[0], [1]], schema=CANDIDATES)
    with pytest.raises(ContractMismatch, match="sign it again"):
        verify_pairs(candidates, catalog_of(refs), MatchOptions(signature=SignatureRule(version=99)))


def test_the_graph_finds_what_the_bare_functions_find(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    shared = [prose(90 + k) for k in range(3)]
    articles = [{"id": f"a{k}", "text": shared[k % 3] + "\n" + prose(95 + k)} for k in range(8)]
    expected = match_blocks(blocks_of(articles), OPTIONS, str(tmp_path)).sort_by(
        [("left", "ascending"), ("right", "ascending")]
    )
    refs = blocks_of(articles, rows=3)
    catalog = store_new(catalog_of(refs), str(tmp_path), "catalog")
    with new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ())) as pipeline:
        stored = pipeline | "Catalog" >> beam.Create([catalog])
        signed = pipeline | "Blocks" >> beam.Create(refs) | SignArticles(OPTIONS, str(tmp_path), buckets=4)
        candidates = signed | {"catalog": stored} | FindCandidates(OPTIONS, str(tmp_path))
        verified = {"candidates": candidates, "catalog": stored} | VerifyPairs(OPTIONS)
        _ = verified | "Keep" >> beam.Map(store_new, str(tmp_path), "kept")
    found = concat([load(str(path)) for path in sorted(tmp_path.glob("kept-*.arrow"))], PAIRS)
    assert found.sort_by([("left", "ascending"), ("right", "ascending")]).equals(expected)


def test_no_articles_make_no_pairs(tmp_path: Path) -> None:
    assert match_blocks([], OPTIONS, str(tmp_path)).num_rows == 0
