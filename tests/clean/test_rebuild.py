"""`text` and `removed` together are the lines that were considered, in order."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.blocks import RAW
from transforms.clean.articles import CleanOptions, clean_tables
from transforms.clean.overrides import OutletRules
from transforms.clean.page import PageLimits
from transforms.clean.parse import parse_block

OUTLET = "harbour.example"
LINES = [
    "The ferry left on time on Monday, the harbour master said, for the first time in a year.",
    "Passengers said that they did not believe it at first.",
    "Advertisement",
    "Sign up for our newsletter",
    "Read more: Ten more ferries",
    "A gull on the quay. Credit: AP",
    "More from Harbour",
    "5 May 2024",
    "Sea | Sky | Sand",
    "The pier at noon",
]
OPTIONS = CleanOptions(
    outlets={OUTLET: OutletRules(remove=("the pier at noon",), keep=("/^Sea/",), remove_selectors=("p.x", "b"))}
)
SHAPES = ["<p>{}</p>", "<p class=x>{}</p>", "<p>{} <b>so</b></p>", "<li><a href=/>{}</a></li>"]
texts = st.lists(st.sampled_from(LINES), min_size=1, max_size=12).map("\n".join)
snippets = st.lists(st.tuples(st.sampled_from(SHAPES), st.sampled_from(LINES)), min_size=1, max_size=12).map(
    lambda pairs: "".join(shape.format(line) for shape, line in pairs)
)
pages = snippets.map(lambda inner: f"<html><body><main>{inner}</main></body></html>")
records = st.one_of(
    st.tuples(st.just("text"), texts), st.tuples(st.just("html"), pages), st.tuples(st.just("html"), snippets)
)


@settings(deadline=None, max_examples=25)
@given(st.lists(records, min_size=1, max_size=6))
def test_text_and_removed_rebuild_the_lines_in_order(given_records: list[tuple[str, str]]) -> None:
    raw = pa.Table.from_pylist(
        [
            {
                "source_uri": "m",
                "position": at,
                "source_id": str(at),
                "headline_inline": False,
                "outlet": OUTLET,
                kind: content,
            }
            for at, (kind, content) in enumerate(given_records)
        ],
        RAW,
    )
    parsed, lines, _ = parse_block(raw, PageLimits(), OPTIONS.outlets)
    considered: dict[str, list[str]] = {name: [] for name in parsed["source_id"].to_pylist()}
    names = parsed["source_id"].to_pylist()
    for line in lines.to_pylist():
        considered[names[line["row"]]].append(line["text"])
    articles, _ = clean_tables([raw], OPTIONS)
    for article in articles.to_pylist():
        gone = {line["line"]: line["text"] for line in article["removed"]}
        kept = iter(article["text"].split("\n") if article["text"] else [])
        count = len(considered[article["source_id"]])
        assert [gone[at] if at in gone else next(kept) for at in range(count)] == considered[article["source_id"]]
        assert next(kept, None) is None
        assert all(line["rule"] for line in article["removed"])
