"""What repeats on a page, and what stands beside the headline."""

import numpy as np

from transforms.clean.pagecues import load_cues
from transforms.clean.pagefeatures import never_body, silenced
from transforms.clean.pagescan import Scan, scan_page
from transforms.clean.pagestructure import STRUCTURE, Structure, page_structure

PAGE = b"""<body class="comments-open"><div class="story"><h1>Ferry line to reopen</h1>
<p>The council voted on Tuesday to reopen the line.</p><p>Boats will run from May.</p>
<figure><figcaption>The pier in winter</figcaption></figure></div>
<div class="comment-list"><div class="entry"><p>Ann</p><p>About time too.</p></div>
<div class="entry"><p>Bob</p><p>About time they asked us.</p></div>
<div class="entry"><p>Cy</p><p>Too dear for me.</p></div></div></body>"""


def scanned(html: bytes) -> tuple[Scan, "np.ndarray[tuple[int], np.dtype[np.int64]]", Structure]:
    scan = scan_page(html, "Ferry line to reopen", "")
    assert scan is not None
    rows = np.arange(len(scan.features))
    return scan, rows, page_structure(scan, rows)


def column(structure: Structure, name: str) -> list[float]:
    return [float(value) for value in structure.columns[:, STRUCTURE.index(name)]]


def test_siblings_with_several_lines_each_are_a_run() -> None:
    _, _, structure = scanned(PAGE)
    assert column(structure, "run_count") == [0, 0, 0, 0, 3, 3, 3, 3, 3, 3]
    assert column(structure, "run_place")[4:] == [0, 0, 1, 1, 2, 2]
    assert len(set(structure.runs[4:].tolist())) == 1


def test_classes_that_the_headline_shares_say_nothing() -> None:
    _, _, structure = scanned(PAGE)
    comment = 1 << load_cues().class_groups.index("comment")
    assert [bool(bits & comment) for bits in structure.classes.tolist()] == [False] * 4 + [True] * 6


def test_lines_that_open_alike_are_counted() -> None:
    _, _, structure = scanned(PAGE)
    assert column(structure, "opening_repeats")[5::2] == [2, 2, 1]


def test_captions_and_comments_are_never_body_while_something_else_is() -> None:
    scan, rows, structure = scanned(PAGE)
    never = never_body(scan, rows, structure)
    assert never.tolist() == [False] * 3 + [True] * 7
    scores = np.full(len(rows), 0.9)
    assert (silenced(scores, never)[3:] < 0.1).all()
    assert silenced(np.where(never, 0.9, 0.1), never)[3:].tolist() == [0.9] * 7


def test_a_page_without_lines_has_no_structure() -> None:
    scan, _, _ = scanned(b"<body><p>One</p></body>")
    assert page_structure(scan, np.zeros(0, np.int64)).columns.shape == (0, len(STRUCTURE))
