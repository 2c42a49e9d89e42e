"""Records that are pages or fragments → their fields and lines; each that cannot be read → a reject."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.blocks import LINES, PARSED
from schemas.errors import Rejected, RejectReason
from schemas.ids import article_id
from schemas.labels import LABEL_CODES
from transforms.clean.addresses import canonical_url, domain_of, identity_of
from transforms.clean.fragments import FRAGMENT_START, is_fragment, read_fragment
from transforms.clean.given import Record, given_date, rejecting
from transforms.clean.linescores import subset
from transforms.clean.overrides import SELECT, OutletRules, mark_elements, settle_marks
from transforms.clean.page import Page, PageLimits, PageLine, read_page
from transforms.clean.phrases import NO_RULE, find_cues
from transforms.clean.plaintext import BODY
from transforms.clean.textlines import measured_lines

_PAGE_START = re.compile(rb"<(?:html|body|head|!doctype)(?=[^\w\x80-\xff])", re.IGNORECASE)


def parse_pages(
    raw: pa.Table, limits: PageLimits, outlets: Mapping[str, OutletRules], rejects: list[Record]
) -> tuple[pa.Table, pa.Table, list[int]]:
    """Read pages.

    Args:
      raw: RAW.
      limits: caps on a page.
      outlets: selectors that a user configured, by outlet.
      rejects: to add to.

    Returns:
      PARSED of what could be read, LINES whose `row` counts the rows of `raw`, and which rows were read.
    """
    records = _records(raw)
    articles: dict[int, Record] = {}
    pages: dict[int, Page] = {}
    for at, record in enumerate(records):
        with rejecting(record, rejects):
            page = _read_markup(record, limits)
            fields = _page_fields(record, page)
            rules = outlets.get(fields["outlet"])
            pages[at] = _read_marked(record, limits, rules) if rules and rules.selects else page
            articles[at] = fields
    if not pages:
        return PARSED.empty_table(), LINES.empty_table(), []
    fragments = [at for at in pages if _is_fragment(_markup(records[at]))]
    return pa.Table.from_pylist(list(articles.values()), PARSED), _page_lines(pages, fragments), list(articles)


def _records(raw: pa.Table) -> list[Record]:
    """The rows; pages stay UTF-8, as the parser takes them: decoding and encoding them cost a sixth of all."""
    at = raw.schema.get_field_index("html")
    return raw.set_column(at, "html", raw["html"].cast(pa.large_binary())).to_pylist()


def _markup(record: Record) -> str | bytes | None:
    return record["text"] if record["html"] is None else record["html"]


def _is_fragment(markup: str | bytes | None) -> bool:
    if isinstance(markup, bytes):
        if _PAGE_START.search(markup, 0, FRAGMENT_START):
            return False
        markup = markup[: 4 * FRAGMENT_START].decode("utf-8", "replace")
    return is_fragment(markup or "")


def _read_markup(record: Record, limits: PageLimits) -> Page:
    html = _markup(record)
    if html is None:
        raise Rejected(RejectReason.MISSING_TEXT, "the record has neither text nor html")
    if not _is_fragment(html):
        return read_page(html, record["url"], limits)
    text = html if isinstance(html, str) else html.decode("utf-8", "replace")
    if not text.strip():
        raise Rejected(RejectReason.EMPTY, "nothing but white space")
    return read_fragment(text, record["url"], limits)


def _read_marked(record: Record, limits: PageLimits, rules: OutletRules) -> Page:
    """The same page once more, by the outlet's selectors."""
    html = _markup(record) or ""
    text = html if isinstance(html, str) else html.decode("utf-8", "replace")
    read = read_fragment if is_fragment(text) else read_page
    return settle_marks(read(mark_elements(text, rules), record["url"], limits), rules)


def _given_fields(record: Record, url: str | None) -> Record:
    """The fields of PARSED as far as the record itself gives them."""
    canonical = canonical_url(url)
    published, source = given_date(record["date_published"])
    name = canonical or "\x1f".join((record["outlet"] or "", record["source_id"] or ""))  # two outlets' id 1 are two
    return {
        "article_id": article_id(name, record["headline"] or "", record["html"] or record["text"] or ""),
        "identity": identity_of(canonical),
        "outlet": record["outlet"] or domain_of(url),
        "headline": record["headline"],
        "description": record["description"],
        "authors": record["authors"] or [],
        "date_published": published,
        "date_modified": given_date(record["date_modified"])[0],
        "date_source": source,
        "keywords": record["keywords"] or [],
        "quality_flags": [],
        **{
            key: record[key]
            for key in ("source_uri", "position", "source_id", "url", "language", "section", "fetched_at")
        },
    }


def _page_fields(record: Record, page: Page) -> Record:
    """What the record gives, else what the page says."""
    said = page.metadata
    fields = _given_fields(record, said.canonical_url or record["url"])
    for name in ("headline", "description", "authors", "date_modified", "language", "section", "keywords"):
        fields[name] = fields[name] or getattr(said, name)
    fields["url"] = record["url"] or said.canonical_url
    fields["outlet"] = record["outlet"] or domain_of(record["url"]) or domain_of(said.canonical_url) or said.site_name
    if fields["date_published"] is None and said.date_published is not None:
        fields["date_published"], fields["date_source"] = said.date_published, said.date_source
    fields["quality_flags"] = list(page.quality_flags)
    return fields


def _page_lines(pages: dict[int, Page], fragments: list[int]) -> pa.Table:
    """Lines of the pages (LINES, `row` counts records); fragments, which no model judged, meet the phrase pack."""
    row: list[int] = []
    parts: list[list[Any]] = [[] for _ in PageLine._fields]
    for at, page in pages.items():
        lines = [line for line in page.lines if line.text.strip()]
        row += [at] * len(lines)
        for part, values in zip(parts, zip(*lines, strict=True), strict=False):
            part.extend(values)
    texts, labels, rules, scores, signatures = parts
    texts = [" ".join(text.split()) for text in texts]
    measured = measured_lines(np.array(row, np.int32), pa.array(texts, pa.string()))
    label = np.fromiter(map(LABEL_CODES.__getitem__, labels), np.int8, len(labels))
    rule = np.array(rules, object)
    score = np.array(scores, np.float32)
    if fragments:
        ours = np.isin(measured.row, fragments)
        some, inside = subset(measured, ours), np.flatnonzero(ours)
        cues = find_cues(some, np.bincount(some.row)[some.row].astype(np.int32))
        taken = (label[inside] == BODY) & (rule[inside] != SELECT) & (cues.rule != NO_RULE)
        label[inside[taken]] = cues.labels()[taken]
        rule[inside[taken]] = [cues.rules[index].name for index in cues.rule[taken]]
    columns = [
        measured.row,
        measured.number,
        measured.text,
        label,
        pa.array(rule, pa.string()),
        score,
        measured.keys,
        pa.array(signatures, pa.int64()),
    ]
    return pa.table([pa.array(c) if isinstance(c, np.ndarray) else c for c in columns], schema=LINES)
