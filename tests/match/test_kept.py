"""Kept articles as blocks of the state: what is counted, paired and verified with them is what one run would find."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import COPY_LABELS, STORY_LABELS, BlockRef, StoredTable, concat, load, store_new
from schemas.few import may_be_among
from schemas.ids import stable_hash
from schemas.state import BLOCK_PARTS, KEPT, NOTHING_KEPT, Kept, block_name, kept_catalog
from schemas.window import DAY, is_open
from transforms.match import keeping
from transforms.match.bare import catalog_of, match_blocks
from transforms.match.candidates import clone_pairs, pairs_of_bucket, unique_pairs
from transforms.match.documents import DOCUMENTS
from transforms.match.keeping import files_of, gone_files, make_block, plan_blocks, tasks_of
from transforms.match.options import GRAM_BUCKETS, MatchOptions
from transforms.match.signing import count_stored, sign_block, split_block, store_answers, store_documents
from transforms.write.keep import open_rows

OPTIONS = MatchOptions()
Blocks = Callable[..., list[BlockRef]]
Prose = Callable[..., str]
Article = dict[str, Any]


def signed(refs: Sequence[BlockRef], kept: Kept, folder: Path) -> StoredTable:
    """Sign blocks; gives what is known of their articles."""
    documents = store_documents([split_block(ref, GRAM_BUCKETS) for ref in refs], str(folder))
    answers = [count_stored(bucket, documents, OPTIONS, str(folder), kept) for bucket in range(GRAM_BUCKETS)]
    frequencies = store_answers(answers, str(folder))
    for ref in refs:
        sign_block(ref, documents, frequencies, OPTIONS, kept)
    return documents


def keep(refs: Sequence[BlockRef], folder: Path, kept: Kept = NOTHING_KEPT) -> Kept:
    """What a run over signed blocks leaves for the next one, every article a copy of its own."""
    entries = catalog_of(refs)
    if kept.articles:
        entries = concat([entries, kept_catalog(kept)], entries.schema)
    catalog = entries.sort_by("article_id")
    ids, stories = catalog["article_id"], STORY_LABELS.empty_table()
    lone = pa.table([ids, ids, ids, *(pa.nulls(len(ids), kind) for kind in COPY_LABELS.types[3:])], schema=COPY_LABELS)
    plan = plan_blocks(catalog.filter(pa.array(is_open(catalog, lone, stories, kept))), kept, str(folder))
    blocks = [ref for ref in kept.blocks if ref.base not in plan.gone]
    blocks += [make_block(task, OPTIONS, str(folder)) for task in tasks_of(plan)]
    texts = [load(ref.part("signed")).select(["text"]) for ref in refs]
    words = [
        t.add_column(0, "article_id", load(r.part("tokens"))["article_id"]) for t, r in zip(texts, refs, strict=True)
    ]
    places = load(plan.places.path)
    rows = open_rows(catalog, kept, copies=lone, stories=stories, texts=pa.concat_tables(words), places=places)
    bases = {block_name(ref.base): ref.base for ref in blocks} | {"": ""}
    based = pa.array([bases[name] for name in rows["block"].to_pylist()], pa.string())
    rows = rows.set_column(KEPT.get_field_index("block"), KEPT.field("block"), based)
    return kept._replace(articles=store_new(rows, str(folder), "kept").path, blocks=tuple(blocks))


def drawn(seed: int, prose: Prose, articles: int) -> list[Article]:
    """Articles of few passages, outlets, pages and whole texts, so that all that counting knows comes up."""
    draw = random.Random(seed)
    passages = [prose(seed * 100 + n, 1, 30) for n in range(8)]
    made: list[Article] = []
    for number in range(articles):
        text = "\n".join([*draw.sample(passages, draw.randrange(1, 4)), prose(seed * 1000 + number, 1, 20)])
        if made and draw.random() < 0.25:
            text = draw.choice(made)["text"]
        identity = draw.randrange(1, 5) if draw.random() < 0.3 else 0
        outlet = draw.choice([None, "north", "south"])
        made.append({"id": f"{seed}-{number}", "outlet": outlet, "identity": identity, "text": text})
    return made


def test_new_articles_are_counted_paired_and_verified_as_if_all_came_in_one_run(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    for seed in range(6):
        articles = drawn(seed, prose, 24)
        old, new = blocks_of(articles[:16], rows=5), blocks_of(articles[16:], rows=3)
        signed(old, NOTHING_KEPT, tmp_path)
        known = keep(old, tmp_path)._replace(blocks=())  # kept ones that are signed again
        documents = signed([*old, *new], known, tmp_path)
        options = replace(OPTIONS, hot_articles=6)
        whole = match_blocks([*old, *new], options, str(tmp_path), known)
        frequencies = [load(ref.part("signed"))["frequency"].to_pylist() for ref in new]
        catalog = store_new(catalog_of([*old, *new]), str(tmp_path), "catalog")
        found = [pairs_of_bucket(bucket, [*old, *new], catalog, 6, known) for bucket in range(OPTIONS.key_buckets)]
        expected = unique_pairs([*(pairs for pairs, _ in found), clone_pairs(documents, catalog, known)])

        kept = keep(old, tmp_path)
        documents = signed(new, kept, tmp_path)
        assert [load(ref.part("signed"))["frequency"].to_pylist() for ref in new] == frequencies
        catalog = store_new(
            pa.concat_tables([catalog_of(new), kept_catalog(kept)]).sort_by("article_id"), str(tmp_path), "catalog"
        )
        found = [pairs_of_bucket(bucket, new, catalog, 6, kept) for bucket in range(OPTIONS.key_buckets)]
        assert unique_pairs([*(p for p, _ in found), clone_pairs(documents, catalog, kept)]).equals(expected)
        order = [("left", "ascending"), ("right", "ascending")]
        assert match_blocks(new, options, str(tmp_path), kept).sort_by(order).equals(whole.sort_by(order))
        assert whole.num_rows > 5


def test_what_a_new_article_shares_with_a_kept_one_is_shown_as_the_new_one_has_it(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    for seed in range(6):  # in some the kept one is left, in some right
        text = prose(seed, 3)
        old = blocks_of([{"id": f"old{seed}", "text": text}])
        signed(old, NOTHING_KEPT, tmp_path)
        new = blocks_of([{"id": f"new{seed}", "text": text.upper() + "\n" + prose(seed + 50)}])
        (pair,) = match_blocks(new, OPTIONS, str(tmp_path), keep(old, tmp_path)).to_pylist()
        assert pair["passages"][0].isupper()
        longer = "left" if pair["left"] == stable_hash("test", f"new{seed}") else "right"
        assert pair[f"{longer}_coverage"] < 0.7
        assert pair["left"] < pair["right"]


def test_blocks_do_not_depend_on_the_order_or_the_blocks_that_articles_came_in(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    articles, found = drawn(3, prose, 20), []
    for rows in (20, 3):
        folder = tmp_path / str(rows)
        folder.mkdir()
        random.Random(rows).shuffle(articles)
        refs = blocks_of(articles, rows)
        signed(refs, NOTHING_KEPT, tmp_path)
        (ref,) = keep(refs, folder).blocks
        parts = [Path(ref.part(part)).read_bytes() for part in BLOCK_PARTS[:4]]
        found.append((block_name(ref.base), parts))
    assert found[0] == found[1]


def test_small_blocks_are_merged_expired_rows_dropped_and_empty_blocks_go(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    def add(kept: Kept, day: int, names: str) -> Kept:
        refs = blocks_of([{"id": name, "date_published": day * DAY, "text": prose(ord(name))} for name in names])
        signed(refs, kept, tmp_path)
        return keep(refs, tmp_path, kept)

    first = add(Kept(window=30 * DAY), 1, "abcdefgh")
    assert [ref.rows for ref in first.blocks] == [8]
    second = add(first, 2, "ij")  # less than half
    assert [ref.rows for ref in second.blocks] == [8, 2]
    third = add(second, 3, "kl")
    assert [ref.rows for ref in third.blocks] == [8, 4]
    late = add(third, 32, "m")  # a to h are over, i and j just not
    assert sorted(load(late.articles)["article_id"].to_pylist()) == sorted(stable_hash("test", n) for n in "ijklm")
    assert [ref.rows for ref in late.blocks] == [4, 1]
    plan = plan_blocks(load(late.articles), late, str(tmp_path))
    assert plan.gone == []
    last = add(late, 33, "n")  # i and j are over: the block has as few as what it is merged into
    assert [ref.rows for ref in last.blocks] == [4]
    again = match_blocks(blocks_of([{"id": "o", "text": prose(ord("k"))}]), OPTIONS, str(tmp_path), last)
    assert again["score"].to_pylist() == [1.0]
    assert match_blocks(blocks_of([{"id": "o", "text": prose(ord("i"))}]), OPTIONS, str(tmp_path), last).num_rows == 0


def test_a_block_of_which_most_articles_are_over_is_written_again_without_them(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    days = dict.fromkeys("abcde", 1) | dict.fromkeys("fgh", 20)
    kept = Kept(window=30 * DAY)
    for names in ("abcdefgh", "m"):
        new = [{"id": n, "date_published": days.get(n, 32) * DAY, "text": prose(ord(n))} for n in names]
        refs = blocks_of(new)
        signed(refs, kept, tmp_path)
        kept = keep(refs, tmp_path, kept)
    assert [ref.rows for ref in kept.blocks] == [4]  # three are more than two for each new one, and less than half


def test_what_its_story_alone_keeps_open_is_compared_no_longer(blocks_of: Blocks, prose: Prose, tmp_path: Path) -> None:
    refs = blocks_of([{"id": name, "date_published": DAY, "text": prose(ord(name))} for name in "ab"])
    signed(refs, NOTHING_KEPT, tmp_path)
    kept = keep(refs, tmp_path)._replace(window=30 * DAY)
    for news, found in ((31 * DAY, [1.0]), (32 * DAY, [])):
        copy = blocks_of([{"id": str(news), "text": prose(ord("a"))}])
        assert match_blocks(copy, OPTIONS, str(tmp_path), kept._replace(news=news))["score"].to_pylist() == found


def test_what_its_story_alone_keeps_open_is_compared_once_more_when_it_is_signed_anew(
    blocks_of: Blocks, prose: Prose, tmp_path: Path
) -> None:
    old = blocks_of([{"id": name, "date_published": DAY, "text": prose(ord(name))} for name in "ab"])
    signed(old, NOTHING_KEPT, tmp_path)
    known = keep(old, tmp_path)._replace(blocks=(), window=30 * DAY, news=40 * DAY)
    new = blocks_of([{"id": "new", "text": prose(ord("a")) + "\n" + prose(1, 1)}])
    found = match_blocks([*old, *new], OPTIONS, str(tmp_path), known).to_pylist()
    assert [{pair["left"], pair["right"]} for pair in found] == [{stable_hash("test", name) for name in ("a", "new")}]


def test_parts_that_other_stages_store_go_with_their_articles(
    blocks_of: Blocks, prose: Prose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_ROWS", 4)
    refs = blocks_of([{"id": str(n), "text": prose(n, 1)} for n in range(10)], rows=3)
    documents = signed(refs, NOTHING_KEPT, tmp_path)
    for ref in refs:
        ids = load(ref.part("tokens"))["article_id"]
        store = pa.table({"headline": [str(each) for each in ids.to_pylist()]})
        with pa.OSFile(ref.part("cards"), "wb") as sink, pa.ipc.new_file(sink, store.schema) as writer:
            writer.write_table(store)
    kept = keep(refs, tmp_path)
    assert [ref.rows for ref in kept.blocks] == [3, 3, 4]
    for row in load(kept.articles).to_pylist():
        assert load(f"{row['block']}.cards.arrow")["headline"][row["row"]].as_py() == str(row["article_id"])
        assert load(f"{row['block']}.signed.arrow")["text"][row["row"]].as_py() == row["text"]
    assert set(load(documents.path).schema.names) == set(DOCUMENTS.names)
    assert [file.table for file in files_of(kept.blocks[0])] == [
        f"block_{part}" for part in (*BLOCK_PARTS[:4], "cards")
    ]
    gone = gone_files(plan_blocks(load(kept.articles).slice(0, 0), kept, str(tmp_path)))
    assert {file.replaces for file in gone} == {
        ref.part(part) for ref in kept.blocks for part in (*BLOCK_PARTS[:4], "cards")
    }


@given(st.lists(st.integers(0, 2**64 - 1), max_size=60), st.lists(st.integers(0, 2**64 - 1), max_size=20))
@settings(deadline=None)
def test_of_many_hashes_none_is_passed_over_that_is_among_the_few(many: list[int], few: list[int]) -> None:
    many = many + few[::2]
    at = may_be_among(np.array(many, np.uint64), np.array(few, np.uint64))
    assert {place for place, value in enumerate(many) if value in few} <= set(at.tolist())
    assert at.tolist() == sorted(set(at.tolist()))
