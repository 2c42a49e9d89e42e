"""What a run keeps of articles beside their blocks: which are open, and the versions of all there ever were."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from schemas.blocks import CATALOG, COPY_LABELS, STORY_LABELS, BlockRef, load, store_new
from schemas.seen import is_seen, latest_of, versions
from schemas.state import KEPT, SEEN, Kept, StateFile
from schemas.window import DAY, believed_news, is_recent, news_after, seen
from transforms.match.keeping import PLACES
from transforms.write.keep import open_rows, seen_files
from transforms.write.state import write_part

NOW = 1000 * DAY


def catalog(rows: list[dict[str, Any]]) -> pa.Table:
    """CATALOG rows of articles that say what matters."""
    plain = {"identity": 0, "block": "b", "row": 0, "outlet": None, "published": None, "words": 9}
    return pa.Table.from_pylist([plain | row for row in rows], schema=CATALOG)


def segment(rows: list[tuple[int, int, int]], folder: Path) -> str:
    """A stored segment of SEEN: ids, identities, versions."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return store_new(pa.table(columns, schema=pa.schema(SEEN.fields)), str(folder), "seen").path


def test_an_article_is_recognised_in_every_segment(tmp_path: Path) -> None:
    kept = Kept(seen=(segment([(1, 0, 1), (5, 0, 1)], tmp_path), segment([(3, 0, 1)], tmp_path)))
    assert is_seen(np.array([1, 2, 3, 4, 5]), kept).tolist() == [True, False, True, False, True]


def test_a_new_text_of_a_page_is_its_next_version(tmp_path: Path) -> None:
    kept = Kept(seen=(segment([(1, 70, 1), (5, 80, 3), (9, 0, 1)], tmp_path), segment([(3, 70, 2)], tmp_path)))
    known = latest_of(np.array([80, 70, 60, 0]), kept)
    assert [column.tolist() for column in known] == [[70, 80], [3, 5], [2, 3]]
    new = [(10, 70, 7), (11, 70, 4), (12, 0, 1), (13, 60, None), (14, 60, 2), (15, 0, 1)]
    rows = catalog([{"article_id": a, "identity": b, "modified": c} for a, b, c in new])
    version, supersedes = versions(rows, kept)
    assert version.tolist() == [4, 3, 1, 2, 1, 1]
    assert supersedes.tolist() == [11, 3, 0, 14, 0, 0]
    assert versions(rows, Kept())[0].tolist() == [2, 1, 1, 2, 1, 1]


def test_segments_of_less_than_twice_the_rows_are_merged_and_go(tmp_path: Path) -> None:
    large, small = segment([(n, 0, 1) for n in range(10, 18)], tmp_path), segment([(1, 0, 1), (2, 0, 1)], tmp_path)
    kept = Kept(seen=(large, small), blocks=(BlockRef("some", 0),))  # the run began with blocks
    files = list(seen_files(catalog([{"article_id": 20}, {"article_id": 5}]), kept, str(tmp_path)))
    assert [file.replaces for file in files] == [small, ""]
    assert load(files[-1].path)["article_id"].to_pylist() == [1, 2, 5, 20]
    assert list(seen_files(catalog([]), kept, str(tmp_path))) == []
    every = list(seen_files(catalog([]), kept._replace(blocks=()), str(tmp_path)))
    assert [file.replaces for file in every] == [small, large, ""]


def test_a_wrong_date_in_the_future_does_not_move_the_window() -> None:
    kept = Kept(news=NOW - DAY, now=NOW)
    rows = catalog([{"article_id": n, "published": day} for n, day in enumerate([NOW + 9 * DAY, NOW + DAY, None, 5])])
    assert news_after(rows["published"], kept) == NOW + DAY
    assert seen(rows, kept).tolist() == [NOW + DAY, NOW + DAY, NOW + DAY, 5]
    assert news_after(catalog([])["published"], kept) == NOW - DAY
    assert news_after(catalog([])["published"], Kept(now=NOW)) == NOW


def test_articles_without_dates_leave_the_window_to_the_first_that_have_one(tmp_path: Path) -> None:
    row = dict.fromkeys(KEPT.names) | {"identity": 0, "block": "b", "row": 0, "words": 9, "text": 0, "copy_id": 1}
    rows = [row | {"article_id": 1, "representative": 1, "seen": NOW}]
    path = store_new(pa.Table.from_pylist(rows, schema=KEPT), str(tmp_path), "kept").path
    kept = Kept(articles=path, now=NOW + 9 * DAY, news=believed_news(load(path)))
    undated, archive = catalog([{"article_id": 2}]), catalog([{"article_id": 3, "published": 100 * DAY}])
    assert kept.news == 0
    assert news_after(undated["published"], kept) == NOW  # whatever the clock says since
    assert news_after(archive["published"], kept) == 100 * DAY
    assert is_recent(archive, kept).all()
    rows.append(row | {"article_id": 3, "representative": 3, "published": 100 * DAY, "seen": 100 * DAY})
    assert believed_news(pa.Table.from_pylist(rows, schema=KEPT)) == 100 * DAY


def test_an_article_stays_known_as_long_as_its_story_has_one_that_is_compared() -> None:
    given = [(1, NOW), (2, NOW - 40 * DAY), (3, NOW - 40 * DAY), (4, None)]
    rows = catalog([{"article_id": n, "published": day} for n, day in given])
    ids = [n for n, _ in given]
    copies = pa.table(
        [ids, [11, 12, 13, 14], ids, *(pa.nulls(4, kind) for kind in COPY_LABELS.types[3:])], schema=COPY_LABELS
    )
    labels = {"copy_id": [11, 12, 13, 14], "story_id": [21, 21, 22, 23], "score": [1.0] * 4, "lead": [True] * 4}
    labels |= {name: [0] * 4 if name == "format" else [None] * 4 for name in STORY_LABELS.names[4:]}
    stories = pa.table([labels[name] for name in STORY_LABELS.names], schema=STORY_LABELS)
    places = pa.table([[1, 4], ["x", "y"], [0, 1]], schema=PLACES)
    texts = pa.table({"article_id": [4, 1, 2, 3], "text": [104, 101, 102, 103]})
    kept = Kept(now=NOW, window=30 * DAY)
    known = {"copies": copies, "texts": texts, "places": places}
    found = open_rows(rows, kept, stories=stories, **known)
    assert found.schema.equals(KEPT)
    shown = found.select(["article_id", "block", "row", "text", "story_id"]).to_pylist()
    assert [tuple(row.values()) for row in shown] == [(1, "x", 0, 101, 21), (2, "", -1, 102, 21), (4, "y", 1, 104, 23)]
    alone = open_rows(rows, kept, stories=STORY_LABELS.empty_table(), **known)
    assert alone["article_id"].to_pylist() == [1, 4]


def test_a_file_of_the_state_is_copied_as_it_is_under_its_checksum(tmp_path: Path) -> None:
    path = segment([(1, 0, 1)], tmp_path)
    staged = write_part(StateFile("block_tokens", "00ff", path, replaces="/old"), str(tmp_path))
    content = (tmp_path / "00ff.tokens.arrow").read_bytes()
    assert content == Path(path).read_bytes()
    assert staged.file.sha256 == f"xxh3:{xxhash.xxh3_128_hexdigest(content)}"
    assert (staged.file.path, staged.file.rows, staged.file.bytes, staged.replaces) == (
        "00ff.tokens.arrow",
        1,
        len(content),
        ("/old",),
    )
    gone = write_part(StateFile("seen", "", replaces="/old"), str(tmp_path))
    assert (gone.file.path, gone.replaces) == ("", ("/old",))
