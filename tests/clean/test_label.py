"""Finishing a block: memory, what is kept, what is removed, rejects."""

import pyarrow as pa

from schemas.blocks import RAW
from transforms.clean.addresses import canonical_url, domain_of, identity_of, outlet_in
from transforms.clean.articles import CleanOptions, clean_tables
from transforms.clean.label import MemoryOptions

NAMES = ["Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel"]
BOX = "The Harbour Observer has been printed on the quay since the lamps were gas"


def record(position: int, text: str | None, **fields: object) -> dict[str, object]:
    return {"source_uri": "made.jsonl", "position": position, "headline_inline": False, "text": text, **fields}


def raw(*records: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(records), RAW)


def story(name: str) -> list[str]:
    return [
        f"{name} Street will be closed for repairs, the council said, and {name} market moves to the square.",
        f"People who live on {name} Street said that they had asked for the works for years.",
        f"The works on {name} Street are to end before the winter, a spokesman added.",
    ]


def outlet_of(name: str, box: str = BOX, **fields: object) -> pa.Table:
    return raw(
        *(
            record(n, "\n".join([*story(tree), box]), outlet=name, headline=f"{tree} closed", **fields)
            for n, tree in enumerate(NAMES)
        )
    )


def test_a_line_that_returns_in_an_outlet_is_removed_and_kept_with_its_rule() -> None:
    articles, rejects = clean_tables([outlet_of("harbour.example")], CleanOptions())
    assert rejects.num_rows == 0
    assert articles["text"].to_pylist() == ["\n".join(story(tree)) for tree in NAMES]
    assert articles["removed"].to_pylist() == [
        [{"line": 3, "text": BOX, "label": "furniture", "rule": "outlet-memory"}]
    ] * len(NAMES)


def test_amid_articles_three_stories_are_enough_only_for_a_line_that_talks_to_the_reader() -> None:
    asked = "If you like what you see, please support your harbour and its members."
    history = "The harbour was dug by hand, and its members still meet in the old hall."
    texts = [
        "\n".join([*story(tree), asked, history, *story(f"Old {tree}"), *story(f"New {tree}")]) for tree in NAMES[:3]
    ]
    outlet = raw(
        *(record(n, text, outlet="harbour.example", headline=text[:12]) for n, text in enumerate(texts)),
    )
    articles, _ = clean_tables([outlet], CleanOptions())
    assert [{line["text"]: line["rule"] for line in gone} for gone in articles["removed"].to_pylist()] == [
        {asked: "outlet-memory"}
    ] * 3
    told = [
        dict(zip(*each, strict=True))
        for each in zip(
            map(str.splitlines, articles["text"].to_pylist()), articles["line_stories"].to_pylist(), strict=True
        )
    ]
    assert [(lines[history], sum(lines.values())) for lines in told] == [(3, 3)] * 3


def test_without_learning_it_stays() -> None:
    articles, _ = clean_tables([outlet_of("harbour.example")], CleanOptions(memory=MemoryOptions(learn=False)))
    assert all(text.endswith(BOX) for text in articles["text"].to_pylist())


def test_the_same_line_in_another_outlet_is_body() -> None:
    other = raw(record(0, "\n".join([*story("Oak"), BOX]), outlet="hill.example", headline="Oak closed", source_id="x"))
    articles, _ = clean_tables([outlet_of("harbour.example"), other], CleanOptions())
    assert articles["text"].to_pylist()[-1].endswith(BOX)


def test_memory_that_would_empty_an_article_is_undone_and_says_so() -> None:
    stub = raw(record(99, BOX, outlet="harbour.example", headline="Stub"))
    articles, _ = clean_tables([outlet_of("harbour.example"), stub], CleanOptions())
    last = articles.to_pylist()[-1]
    assert (last["text"], last["quality_flags"]) == (BOX, ["outlet-memory-undone"])


def test_text_and_removed_lines_rebuild_the_input() -> None:
    lines = [
        *story("Oak")[:2],
        "Advertisement",
        "The quay at night. Credit: AP",
        story("Oak")[2],
        "The Associated Press contributed to this report.",
    ]
    articles, _ = clean_tables([raw(record(0, "\n\n".join(lines)))], CleanOptions())
    found = articles.to_pylist()[0]
    kept, gone = iter(found["text"].split("\n")), {line["line"]: line["text"] for line in found["removed"]}
    assert [gone.get(at) or next(kept) for at in range(len(lines))] == lines
    assert found["captions"] == ["The quay at night. Credit: AP"]
    assert found["credits"] == ["The Associated Press contributed to this report."]


def test_bad_records_are_rejected_and_the_rest_is_whole() -> None:
    table = raw(record(0, None), record(1, " \n "), record(2, "\n".join(story("Oak"))), record(3, "\u200b\n\u200b"))
    articles, rejects = clean_tables([table], CleanOptions())
    assert articles["position"].to_pylist() == [2]
    assert dict(zip(rejects["position"].to_pylist(), rejects["reason"].to_pylist(), strict=True)) == {
        0: "missing_text",
        1: "empty",
        3: "no_body",
    }


def test_a_record_delivered_again_is_rejected_whichever_block_it_is_in() -> None:
    first, again = record(0, "\n".join(story("Oak")), source_id="a"), record(5, "\n".join(story("Oak")), source_id="a")
    for blocks in ([raw(first, again)], [raw(again), raw(first)]):
        articles, rejects = clean_tables(blocks, CleanOptions())
        assert articles["position"].to_pylist() == [0]
        assert (rejects["position"].to_pylist(), rejects["reason"].to_pylist()) == ([5], ["duplicate_input"])


def test_a_date_that_cannot_be_read_says_why() -> None:
    table = raw(
        *(
            record(n, "\n".join(story("Oak")), source_id=str(n), date_published=date)
            for n, date in enumerate(["2022-02-07T13:15:00-05:00", "soonish", None])
        )
    )
    articles, _ = clean_tables([table], CleanOptions())
    assert articles["date_source"].to_pylist() == ["metadata", "unparsable: soonish", "none found"]
    assert str(articles["date_published"].to_pylist()[0]) == "2022-02-07 18:15:00+00:00"


def test_addresses_are_normalised() -> None:
    plain = canonical_url("https://harbour.example/a/story?id=7")
    assert canonical_url("HTTP://www.Harbour.example:80/a/story/?utm_source=x&id=7&fbclid=y#top") == plain
    assert identity_of(plain) > 0
    assert [identity_of(canonical_url(url)) for url in ("https://harbour.example/", "not a url", None)] == [0, 0, 0]
    assert domain_of("https://news.harbour.co.uk/x") == "harbour.co.uk"


def test_an_outlet_is_named_when_two_lines_agree() -> None:
    lines = ["Stay up to date with notifications from The Harbour Post", "Join the Harbour Post readers"]
    assert outlet_in(lines) == "Harbour Post"
    assert outlet_in(lines[:1]) is None


def test_a_snippet_of_mark_up_is_read_as_one_and_loses_its_furniture() -> None:
    html = "".join(
        f"<p>{line}</p>" for line in [*story("Oak"), "The post Oak closed appeared first on Harbour Observer."]
    )
    for fields in ({"html": html}, {"text": html}):
        articles, rejects = clean_tables(
            [raw({**record(0, None), **fields}, record(1, "\n".join(story("Elm"))))], CleanOptions()
        )
        assert rejects.num_rows == 0
        assert articles["text"].to_pylist() == ["\n".join(story("Oak")), "\n".join(story("Elm"))]
        assert [line["rule"] for line in articles["removed"].to_pylist()[0]] == ["feed-footer"]


def test_a_record_with_a_headline_alone_is_kept_and_says_so() -> None:
    articles, rejects = clean_tables([raw(record(0, None, headline="Only this"))], CleanOptions())
    assert rejects.num_rows == 0
    assert articles.select(["headline", "text", "words", "quality_flags"]).to_pylist() == [
        {"headline": "Only this", "text": "", "words": 0, "quality_flags": ["headline-only"]}
    ]


def test_a_brief_that_is_all_caption_keeps_it_and_says_so() -> None:
    text = "Smoke rises over the harbour on Monday. Credit: AP"
    articles, _ = clean_tables([raw(record(0, text, headline="Fire"))], CleanOptions())
    assert articles["text"].to_pylist() == [text]
    assert articles["quality_flags"].to_pylist() == [["captions-as-body"]]


def test_captions_are_body_in_a_gallery_sent_as_text_and_not_beside_a_report() -> None:
    captions = [f"Hide caption {tree} trees are planted along the quay on Monday. Credit: AP" for tree in NAMES]
    gallery = story("Oak") + captions
    report = [line for tree in NAMES[:4] for line in story(tree)] + captions[:4]
    few = story("Elm")[:1] + captions[:3]
    records = (record(n, "\n".join(lines)) for n, lines in enumerate((gallery, report, few)))
    articles, _ = clean_tables([raw(*records)], CleanOptions())
    assert articles["text"].to_pylist() == ["\n".join(lines) for lines in (gallery, report[:12], few[:1])]
    assert articles["quality_flags"].to_pylist() == [["captions-as-body"], [], []]


def test_a_page_with_broken_linked_data_does_not_cost_its_block() -> None:
    linked = '{"@type": "NewsArticle", "headline": "Elm closed \\ud83d", "datePublished": "2024-03-05T09:00:00Z"}'
    body = "".join(f"<p>{line}</p>" for line in story("Elm") * 2)
    html = f"<html><head><script type='application/ld+json'>{linked}</script></head><body>{body}</body></html>"
    articles, rejects = clean_tables(
        [raw(record(0, None, html=html), record(1, "\n".join(story("Fir"))))], CleanOptions()
    )
    assert articles["headline"].to_pylist() == ["Elm closed \ufffd", None]
    assert articles["date_source"].to_pylist() == ["page:json-ld", "none found"]
    assert rejects.num_rows == 0


def test_of_two_deliveries_the_earlier_dated_is_kept_whatever_their_order() -> None:
    text = "\n".join(story("Oak"))
    late, early = ({"source_id": "1", "date_published": day} for day in ("2024-05-02", "2024-05-01"))
    for first, second in ((late, early), (early, late)):
        articles, rejects = clean_tables(
            [raw(record(0, text, **first)), raw(record(1, text, **second))], CleanOptions()
        )
        assert [f"{at:%Y-%m-%d}" for at in articles["date_published"].to_pylist()] == ["2024-05-01"]
        assert rejects["reason"].to_pylist() == ["duplicate_input"]


def test_one_text_of_two_outlets_is_two_articles() -> None:
    text = "\n".join(story("Oak"))
    table = raw(record(0, text, outlet="north.example"), record(1, text, outlet="south.example"))
    articles, rejects = clean_tables([table], CleanOptions())
    assert (articles.num_rows, rejects.num_rows) == (2, 0)
