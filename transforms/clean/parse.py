"""Raw records → parsed articles and their lines with a first label; each article that cannot be used → a reject."""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.blocks import LINES, PARSED, REJECTED, concat
from transforms.clean.label import edge_lines
from transforms.clean.language import with_languages
from transforms.clean.markup import parse_pages
from transforms.clean.outlets import STATISTICS
from transforms.clean.overrides import NO_RULES, OutletRules
from transforms.clean.page import PageLimits
from transforms.clean.plaintext import BODY, row_starts
from transforms.clean.textlines import count_words, line_keys
from transforms.clean.texts import parse_texts, plain_rows


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
    rejects: list[dict[str, Any]] = []
    plain = plain_rows(raw)
    parts = []
    for rows, parse in (
        (np.flatnonzero(~plain), functools.partial(parse_pages, limits=limits, outlets=outlets)),
        (np.flatnonzero(plain), parse_texts),
    ):
        if len(rows):
            some = raw if len(rows) == raw.num_rows else raw.take(pa.array(rows))
            parsed, lines, read = parse(some, rejects=rejects)
            at = pa.array(rows.astype(np.int32)[lines["row"].to_numpy()])
            parts.append((parsed, lines.set_column(0, LINES.field("row"), at), rows[read]))
    order = np.concatenate([read for _, _, read in parts] or [np.zeros(0, np.int64)])
    parsed = concat((parsed for parsed, _, _ in parts), PARSED)
    if len(parts) > 1:
        parsed = parsed.take(pa.array(np.argsort(order)))
    order.sort()
    lines = _in_order(order, concat((lines for _, lines, _ in parts), LINES))
    parsed = with_languages(parsed, lines, raw["language"].combine_chunks().take(pa.array(order)))
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


def _in_order(order: NDArray[np.int64], lines: pa.Table) -> pa.Table:
    """Lines of the articles in `order` only, article by article; `row` then counts articles."""
    given = lines["row"].to_numpy()
    number = np.full(max(order.max(initial=0), given.max(initial=0)) + 1, -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    rows = number[given]
    lines = lines.set_column(0, LINES.field("row"), pa.array(rows))
    if (rows >= 0).all() and (rows[1:] >= rows[:-1]).all():
        return lines
    at = np.argsort(rows, kind="stable")
    return lines.take(pa.array(at[rows[at] >= 0])).combine_chunks()
