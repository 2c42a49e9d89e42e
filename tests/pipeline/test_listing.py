"""What a run checks of what its workers wrote."""

import pytest

from pipeline.config import Config
from pipeline.listing import Listing, check_links, check_rejects, numbered
from schemas.errors import CopydeskError, TooManyRejects
from schemas.files import DataFile, Staged
from transforms.write.partitions import UNDATED


def staged(table: str, rows: int, path: str = "a", partition: str = "00") -> Staged:
    return Staged(DataFile(table, partition, 0, path, rows, 1, path))


@pytest.mark.parametrize(("copies", "links"), [(2, 3), (0, 0), (0, 3)])
def test_copies_come_with_links(copies: int, links: int) -> None:
    check_links(Listing([], {"new_copies": (copies, "")}), [staged("links", links), staged("seen", 9)])


def test_a_run_that_lost_its_links_is_abandoned() -> None:
    with pytest.raises(CopydeskError, match="run it again"):
        check_links(Listing([], {"new_copies": (2, "")}), [staged("links", 0), staged("seen", 9)])


def test_files_are_numbered_by_what_they_hold_and_empty_ones_stay_out_where_there_are_others() -> None:
    files = [staged("pairs", 3, "b", "2024-05-01").file, staged("pairs", 2, "a", "2024-05-01").file]
    empty = staged("pairs", 0, "c", "1970-01-01").file
    assert [(file.path, file.part) for file in numbered([*files, empty], [])] == [("a", 0), ("b", 1)]
    assert numbered([empty], []) == [empty]
    assert numbered([empty], [files[0]]) == []
    assert numbered([empty], [files[0]._replace(partition=UNDATED)]) == [empty]


def refusing(kept: int, twice: int, bad: int) -> tuple[Listing, dict[str, int]]:
    counts = {
        "rejected as duplicate_input": (twice, "in record 0"),
        "rejected as empty": (bad, "in record 9: no bytes"),
    }
    summary = {"articles_read": kept + twice + bad, "articles_kept": kept, "rejected": twice + bad}
    return Listing([], {name: each for name, each in counts.items() if each[0]}), summary | {"delivered_twice": twice}


@pytest.mark.parametrize(("kept", "twice", "bad"), [(3, 0, 1), (0, 3, 0), (0, 3, 1), (1, 0, 9)])
def test_a_bad_record_beside_articles_new_or_known_abandons_no_run(kept: int, twice: int, bad: int) -> None:
    check_rejects(*refusing(kept, twice, bad), Config(), adding=True)


@pytest.mark.parametrize(("twice", "bad"), [(0, 2), (500, 200)])
def test_what_abandons_a_run_is_named_and_never_a_repeat(twice: int, bad: int) -> None:
    with pytest.raises(TooManyRejects, match=f"^{bad} of {bad} records were rejected, most as empty .*no bytes"):
        check_rejects(*refusing(0, twice, bad), Config(), adding=True)
