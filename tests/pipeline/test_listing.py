"""What a run checks of what its workers wrote."""

import pytest

from pipeline.listing import Listing, check_links, numbered
from schemas.errors import CopydeskError
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
