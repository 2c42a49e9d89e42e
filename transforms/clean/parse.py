"""Raw records → parsed articles and their lines with a first label; each article that cannot be used → a reject."""

import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.blocks import LINES, PARSED, REJECTED
from schemas.errors import Rejected, RejectReason
from schemas.ids import article_id
from schemas.labels import LABEL_CODES
from transforms.clean import dates
from transforms.clean.addresses import canonical_url, domain_of, identity_of, outlet_in
from transforms.clean.fragments import FRAGMENT_START, is_fragment, read_fragment
from transforms.clean.label import HEADLINE_ONLY, SAMPLE, STAGE, edge_lines
from transforms.clean.language import with_languages
from transforms.clean.linescores import subset
from transforms.clean.outlets import STATISTICS
from transforms.clean.overrides import NO_RULES, SELECT, OutletRules, mark_elements, settle_marks
from transforms.clean.page import Page, PageLimits, PageLine, read_page
from transforms.clean.phrases import NO_RULE, find_cues
from transforms.clean.plaintext import (
    BODY,
    BYLINE,
    DATELINE,
    DESCRIPTION,
    FURNITURE,
    HEADLINE,
    authors_of,
    head_fields,
    label_texts,
    row_starts,
)
from transforms.clean.textlines import count_words, line_keys, measured_lines, split_lines

_PAGE_START = re.compile(rb"<(?:html|body|head|!doctype)(?=[^\w\x80-\xff])", re.IGNORECASE)
_MARKUP = re.compile(r"</(?:p|div|a|li|span|em|strong|b|i|h[1-6])>|<(?:br|p)\s*/?>")


def parse_block(
    raw: pa.Table, limits: PageLimits, outlets: Mapping[str, OutletRules] = NO_RULES
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Read a block.

    Args:
      raw: RAW.
      limits: caps on a page.
      outlets: selectors that a user configured, by outlet.

    Returns:
      articles (PARSED), their lines (LINES) and rejects (REJECTED).
    """
    records = _records(raw)
    rejects: list[dict[str, Any]] = []
    articles: dict[int, dict[str, Any]] = {}
    pages: dict[int, Page] = {}
    for at, record in enumerate(records):
        if _is_plain(record):
            continue
        with _rejecting(record, rejects):
            page = _read_markup(record, limits)
            fields = _page_fields(record, page)
            rules = outlets.get(fields["outlet"])
            pages[at] = _read_marked(record, limits, rules) if rules and rules.selects else page
            articles[at] = fields
    plain = [at for at, record in enumerate(records) if _is_plain(record)]
    texts, lines = _parse_plain(records, raw, plain, rejects)
    articles |= texts
    order = sorted(articles)
    parsed = pa.Table.from_pylist([articles[at] for at in order], PARSED)
    if pages:
        fragments = [at for at in pages if _is_fragment(_markup(records[at]))]
        lines = pa.concat_tables([lines, _page_lines(pages, fragments)])
    lines = _in_order(order, lines)
    parsed = with_languages(parsed, lines, raw["language"].combine_chunks().take(pa.array(order, pa.int64())))
    return parsed, lines, pa.Table.from_pylist(rejects, REJECTED)


def line_statistics(parsed: pa.Table, lines: pa.Table, block: str | None = None) -> pa.Table:
    """What a block's articles tell of their outlets: outlets.STATISTICS, articles without an outlet left out.

    Args:
      parsed: PARSED.
      lines: LINES of the same articles.
      block: where they are stored, if they are.
    """
    rows = parsed.num_rows
    row = lines["row"].to_numpy()
    offsets = pa.array(row_starts(row, rows))
    words = np.where(lines["label"].to_numpy() == BODY, count_words(lines["text"].combine_chunks()), 0).astype(np.int32)
    headlines = parsed["headline"].combine_chunks()
    keys = np.where(
        pc.fill_null(pc.greater(pc.utf8_length(headlines), 0), fill_value=False).to_numpy(zero_copy_only=False),
        line_keys(pc.fill_null(headlines, "")),
        0,
    )
    table = pa.table(
        [
            pc.fill_null(parsed["outlet"], ""),
            parsed["article_id"],
            parsed["identity"],
            pa.array(keys),
            pc.coalesce(parsed["date_published"], parsed["fetched_at"]),
            pa.repeat(pa.scalar(0, pa.int32()), rows),
            pa.ListArray.from_arrays(offsets, lines["line_key"].combine_chunks()),
            pa.ListArray.from_arrays(offsets, pa.array(words)),
            pa.ListArray.from_arrays(offsets, pa.array(edge_lines(row, rows))),
            *page_places(lines, rows),
            pa.repeat(pa.scalar(block, pa.string()), rows),
            pa.array(np.arange(rows, dtype=np.int32)),
        ],
        schema=STATISTICS,
    )
    return table.filter(pc.is_valid(parsed["outlet"]))


def page_places(lines: pa.Table, rows: int) -> tuple[pa.Array, pa.Array]:
    """The places of each article's lines and their mean score there, as two lists an article; plain text has none."""
    row, signature = lines["row"].to_numpy(), lines["signature"].to_numpy()
    placed = np.flatnonzero(signature != 0)
    pairs, where = np.unique(np.stack([row[placed].astype(np.int64), signature[placed]]), axis=1, return_inverse=True)
    sums = np.bincount(where.ravel(), lines["score"].to_numpy()[placed], pairs.shape[1])
    scores = sums / np.maximum(np.bincount(where.ravel(), minlength=pairs.shape[1]), 1)
    starts = pa.array(row_starts(pairs[0].astype(np.int32), rows))
    return (
        pa.ListArray.from_arrays(starts, pa.array(pairs[1])),
        pa.ListArray.from_arrays(starts, pa.array(scores.astype(np.float32))),
    )


def _is_plain(record: dict[str, Any]) -> bool:
    text = record["text"]
    if _is_headline_only(record):
        return True
    return record["html"] is None and bool(text) and not text.isspace() and not ("<" in text and _MARKUP.search(text))


def _is_headline_only(record: dict[str, Any]) -> bool:
    return bool(record["headline"]) and not record["text"] and not record["html"]


@contextmanager
def _rejecting(record: dict[str, Any], rejects: list[dict[str, Any]]) -> Iterator[None]:
    """One bad article may never lose its block: whatever goes wrong becomes a reject."""
    try:
        yield
    except Rejected as refusal:
        rejects.append(_reject(record, refusal.reason, refusal.detail))
    except Exception as error:  # noqa: BLE001 -- a bug on one article is reported with it, and the rest goes on
        rejects.append(_reject(record, RejectReason.FAILED, f"{type(error).__name__}: {error}"))


@functools.lru_cache(maxsize=4096)
def _timestamp(text: str) -> datetime | None:
    return dates.parse_timestamp(text)


def _records(raw: pa.Table) -> list[dict[str, Any]]:
    """The rows; pages stay UTF-8, as the parser takes them: decoding and encoding them cost a sixth of all."""
    at = raw.schema.get_field_index("html")
    return raw.set_column(at, "html", raw["html"].cast(pa.large_binary())).to_pylist()


def _markup(record: dict[str, Any]) -> str | bytes | None:
    return record["text"] if record["html"] is None else record["html"]


def _is_fragment(markup: str | bytes | None) -> bool:
    if isinstance(markup, bytes):
        if _PAGE_START.search(markup, 0, FRAGMENT_START):
            return False
        markup = markup[: 4 * FRAGMENT_START].decode("utf-8", "replace")
    return is_fragment(markup or "")


def _read_markup(record: dict[str, Any], limits: PageLimits) -> Page:
    html = _markup(record)
    if html is None:
        raise Rejected(RejectReason.MISSING_TEXT, "the record has neither text nor html")
    if not _is_fragment(html):
        return read_page(html, record["url"], limits)
    text = html if isinstance(html, str) else html.decode("utf-8", "replace")
    if not text.strip():
        raise Rejected(RejectReason.EMPTY, "nothing but white space")
    return read_fragment(text, record["url"], limits)


def _read_marked(record: dict[str, Any], limits: PageLimits, rules: OutletRules) -> Page:
    """The same page once more, by the outlet's selectors."""
    html = _markup(record) or ""
    text = html if isinstance(html, str) else html.decode("utf-8", "replace")
    read = read_fragment if is_fragment(text) else read_page
    return settle_marks(read(mark_elements(text, rules), record["url"], limits), rules)


def _parse_plain(
    records: list[dict[str, Any]], raw: pa.Table, plain: list[int], rejects: list[dict[str, Any]]
) -> tuple[dict[int, dict[str, Any]], pa.Table]:
    """Fields and lines of the plain texts; `row` of the lines counts records."""
    texts = raw["text"].combine_chunks().take(pa.array(plain, pa.int64()))
    lines = split_lines(texts)
    inline = np.array([records[at]["headline_inline"] and not records[at]["headline"] for at in plain], bool)
    labelled = label_texts(lines, len(plain), inline)
    heads = {label: head_fields(lines, labelled, label) for label in (HEADLINE, DESCRIPTION, BYLINE, DATELINE)}
    articles = {}
    for row, at in enumerate(plain):
        with _rejecting(records[at], rejects):
            said = {label: first[row] for label, first in heads.items() if row in first}
            articles[at] = _plain_fields(records[at], said, labelled.flags.get(row, []))
            if articles[at]["outlet"] is None:
                furniture = pa.array((lines.row == row) & (labelled.label == FURNITURE))
                articles[at]["outlet"] = outlet_in(lines.text.filter(furniture).to_pylist())
    table = pa.table(
        [
            pa.array(np.array(plain, np.int32)[lines.row] if len(plain) else lines.row),
            pa.array(lines.number),
            lines.text,
            pa.array(labelled.label),
            labelled.rule_names(),
            pa.array(labelled.score),
            pa.array(lines.keys),
            pa.array(np.zeros(len(lines.row), np.int64)),
        ],
        schema=LINES,
    )
    return articles, table


def _plain_fields(record: dict[str, Any], said: dict[int, str], flags: list[str]) -> dict[str, Any]:
    """What the record gives, else what the first lines say."""
    fields = _given_fields(record, record["url"])
    fields["headline"] = fields["headline"] or said.get(HEADLINE)
    fields["description"] = fields["description"] or said.get(DESCRIPTION)
    fields["authors"] = fields["authors"] or (authors_of(said[BYLINE]) if BYLINE in said else [])
    if fields["date_published"] is None and DATELINE in said:
        published = _timestamp(said[DATELINE])
        fields["date_published"] = published
        fields["date_source"] = "dateline" if published else f"unparsable: {said[DATELINE][:60]}"
    fields["quality_flags"] = [*flags, HEADLINE_ONLY] if _is_headline_only(record) else flags
    return fields


def _given_fields(record: dict[str, Any], url: str | None) -> dict[str, Any]:
    """The fields of PARSED as far as the record itself gives them."""
    canonical = canonical_url(url)
    published, source = _given_date(record["date_published"])
    name = canonical or "\x1f".join((record["outlet"] or "", record["source_id"] or ""))  # two outlets' id 1 are two
    return {
        "article_id": article_id(name, record["headline"] or "", record["html"] or record["text"] or ""),
        "identity": identity_of(canonical),
        "outlet": record["outlet"] or domain_of(url),
        "headline": record["headline"],
        "description": record["description"],
        "authors": record["authors"] or [],
        "date_published": published,
        "date_modified": _given_date(record["date_modified"])[0],
        "date_source": source,
        "keywords": record["keywords"] or [],
        "quality_flags": [],
        **{
            key: record[key]
            for key in ("source_uri", "position", "source_id", "url", "language", "section", "fetched_at")
        },
    }


def _given_date(text: str | None) -> tuple[datetime | None, str]:
    if not text or not text.strip():
        return None, "none found"
    found = _timestamp(text)
    return found, "metadata" if found else f"unparsable: {text.strip()[:60]}"


def _page_fields(record: dict[str, Any], page: Page) -> dict[str, Any]:
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


def _in_order(order: list[int], lines: pa.Table) -> pa.Table:
    """Lines of the articles in `order` only, article by article; `row` then counts articles."""
    number = np.full(max([*order, pc.max(lines["row"]).as_py() or 0], default=0) + 1, -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    rows = number[lines["row"].to_numpy()]
    at = np.argsort(rows, kind="stable")
    at = at[rows[at] >= 0]
    return lines.set_column(0, LINES.field("row"), pa.array(rows)).take(pa.array(at)).combine_chunks()


def _reject(record: dict[str, Any], reason: RejectReason, detail: str) -> dict[str, Any]:
    received = record["html"] or record["text"] or record["headline"]
    if isinstance(received, bytes):
        received = received[: 4 * SAMPLE].decode("utf-8", "ignore")
    return {
        **{key: record[key] for key in ("source_uri", "position", "source_id")},
        "stage": STAGE,
        "reason": str(reason),
        "detail": detail,
        "sample": received[:SAMPLE] if received else None,
    }
