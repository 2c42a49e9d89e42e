"""The rows of every table, out of the catalog, the labels and the stored blocks.

`article_order` is the one place where an article's labels meet it; texts are fetched from their blocks only
when a file is written.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas import blocks as flow
from schemas.blocks import BlockRef, load
from schemas.ids import format_ids
from schemas.labels import Format, Relation
from schemas.state import Kept
from schemas.tables import ALIASES, ARTICLES, COPIES, MEMBER, PAIRS, REJECTS, REMOVED, STORIES
from transforms.write.cards import CARDS
from transforms.write.sources import likely_source
from transforms.write.versions import VERSIONS

Int64Array = NDArray[np.int64]

_STORED = {"articles": flow.CLEAN, "pairs": flow.PAIRS, "cards": CARDS}  # what `fetch` finds in the parts of a block
_RELATION_NAMES = pa.array([str(relation) for relation in Relation])
_FORMAT_NAMES = pa.array([None if form is Format.REPORT else str(form) for form in Format])
_DAY = 86_400_000_000  # µs
_STORY_LABELS = {  # STORY_LABELS as they are called here
    "story_id": "story_id",
    "score": "story_score",
    "lead": "leads_story",
    "format": "format",
    "rival": "rival",
    "rival_score": "rival_score",
    "weakest_link": "story_weakest_link",
    "names": "names",
    "terms": "terms",
}
_BY_TIME = [("published", "ascending"), ("outlet", "ascending"), ("article_id", "ascending")]


def article_order(catalog: pa.Table, copies: pa.Table, stories: pa.Table) -> pa.Table:
    """Join the labels to the catalog, in the order in which articles are written.

    Args:
      catalog: CATALOG, any order.
      copies: COPY_LABELS, a row for every article of the catalog.
      stories: STORY_LABELS, a row for every copy; or no rows, when stories are switched off.
    """
    joined = catalog.append_column("at", _positions(catalog["article_id"], copies["article_id"]))
    labels = copies.take(joined["at"])
    joined = joined.drop_columns(["at"])
    for name in ("copy_id", "representative", "relation", "similarity", "weakest_link"):
        joined = joined.append_column(name, labels[name])
    at = (
        _positions(joined["copy_id"], stories["copy_id"]) if stories.num_rows else pa.nulls(joined.num_rows, pa.int64())
    )
    of_copy = stories.take(at)
    for name, column in _STORY_LABELS.items():
        joined = joined.append_column(column, of_copy[name])
    return joined.sort_by(_BY_TIME)


def fetch(order: pa.Table, columns: list[str], part: str) -> pa.Table:
    """Columns of what is stored behind the rows of `order`, in its order; each block is opened once.

    Args:
      order: with `block` and `row`.
      columns: what to fetch.
      part: of which part of the blocks: `articles`, which kept articles have no longer, `pairs` or `cards`.
    """
    if not order.num_rows:
        return _STORED[part].empty_table().select(columns)
    blocks = order["block"].combine_chunks().dictionary_encode()
    codes, rows = blocks.indices.to_numpy(), order["row"].to_numpy()
    by_block = np.argsort(codes, kind="stable")
    parts = []
    for at in np.split(by_block, np.flatnonzero(np.diff(codes[by_block])) + 1):
        table = load(BlockRef(blocks.dictionary[codes[at[0]]].as_py(), 0).part(part)).select(columns)
        parts.append(table.take(pa.array(rows[at])))
    return pa.concat_tables(parts).take(pa.array(np.argsort(by_block)))


def article_rows(order: pa.Table) -> pa.Table:
    """Rows of the table articles."""
    clean = fetch(order, _FROM_CLEAN, "articles")
    made = dict(zip(LABELS, label_columns(order).columns, strict=True))
    made |= {name: order[name] for name in VERSIONS.names}
    made["removed_lines"] = pc.cast(pc.list_value_length(clean["removed"]), pa.int32())
    return _ordered(made | {name: clean[name] for name in clean.column_names}, ARTICLES.schema)


def label_columns(order: pa.Table) -> pa.Table:
    """The id of each article, and what of the table articles depends on others."""
    made = {
        "article_id": format_ids(order["article_id"].to_numpy()),
        "copy_id": format_ids(order["copy_id"].to_numpy()),
        "story_id": _nullable_ids(order["story_id"]),
        "story_score": order["story_score"],
        "story_runner_up_id": _nullable_ids(order["rival"]),
        "story_runner_up_score": order["rival_score"],
        "format": pc.take(_FORMAT_NAMES, order["format"]),
        "copy_relation": _relations(order["relation"]),
        "copy_similarity": order["similarity"],
    }
    return pa.table({name: made[name] for name in LABELS})


def removed_rows(order: pa.Table) -> pa.Table:
    """Rows of the table removed, in the order of ids, then of the lines of an article."""
    order = order.select(["article_id", "outlet", "block", "row"]).sort_by("article_id")
    lists = fetch(order, ["removed"], "articles")["removed"].combine_chunks()
    lines, parents = lists.flatten(), pc.list_parent_indices(lists)
    made = {name: lines.field(name) for name in ("line", "text", "label", "rule")}
    made["article_id"] = format_ids(order["article_id"].to_numpy()).take(parents)
    made["outlet"] = order["outlet"].combine_chunks().take(parents)
    return _ordered(made, REMOVED.schema)


def copy_rows(order: pa.Table) -> pa.Table:
    """Rows of the table copies: groups of two articles or more, with the column `published` to cut files by."""
    sizes = order.group_by("copy_id", use_threads=False).aggregate([([], "count_all")])
    shared = sizes.filter(pc.greater(sizes["count_all"], 1))["copy_id"]
    members = order.filter(pc.is_in(order["copy_id"], shared.combine_chunks()))
    rows, bounds = _grouped(members, "copy_id")
    agencies = fetch(rows, ["agency"], "cards")["agency"].to_pylist()
    outlets, times = rows["outlet"].to_pylist(), rows["published"].cast(pa.int64()).to_pylist()
    sources = [
        likely_source(agencies[start:stop], outlets[start:stop], times[start:stop])
        for start, stop in itertools.pairwise(bounds.tolist())
    ]
    first = rows.take(pa.array(bounds[:-1]))
    representatives = members.filter(pc.equal(members["article_id"], members["representative"])).sort_by("copy_id")
    heads = fetch(representatives, ["headline"], "cards").take(_positions(first["copy_id"], representatives["copy_id"]))
    described = [format_ids(rows["article_id"].to_numpy()), rows["outlet"], _relations(rows["relation"])]
    described = [pa.chunked_array(column).combine_chunks() for column in (*described, rows["similarity"])]
    made = _spans(rows, bounds) | {
        "copy_id": format_ids(first["copy_id"].to_numpy()),
        "source": pa.array([source.name for source in sources], pa.string()),
        "source_evidence": pa.array([source.evidence for source in sources], pa.string()),
        "source_confidence": pa.array([source.confidence for source in sources], pa.float32()),
        "story_id": _nullable_ids(first["story_id"]),
        "representative_id": format_ids(first["representative"].to_numpy()),
        "headline": heads["headline"],
        "weakest_link": first["weakest_link"],
        "members": pa.ListArray.from_arrays(
            pa.array(bounds, pa.int32()), pa.StructArray.from_arrays(described, fields=list(MEMBER))
        ),
    }
    return _by_first_time(made, COPIES.schema)


def story_rows(order: pa.Table, newest: int | None, kept: Kept) -> pa.Table:
    """Rows of the table stories, with the column `published` to cut files by; none when stories are switched off.

    Args:
      order: the articles of whole stories.
      newest: latest publication known of any article, µs.
      kept: what the run adds to.
    """
    if order["story_id"].null_count == order.num_rows:
        order = order.slice(0, 0)
    rows, bounds = _grouped(order, "story_id")
    first = rows.take(pa.array(bounds[:-1]))
    leads = order.filter(pc.and_(order["leads_story"], pc.equal(order["article_id"], order["representative"])))
    leads = leads.sort_by("story_id")
    leads = leads.take(_positions(first["story_id"], leads["story_id"]))
    heads = fetch(leads, ["headline", "lead"], "cards")
    story = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    by_copy = np.lexsort((rows["copy_id"].to_numpy(), story))
    copy_ids, story = rows["copy_id"].to_numpy()[by_copy], story[by_copy]
    one = np.ones(len(story), bool)  # row of each copy
    one[1:] = (copy_ids[1:] != copy_ids[:-1]) | (story[1:] != story[:-1])
    scores = rows["story_score"].to_numpy()[by_copy[one]].astype(np.float64)
    copies = np.bincount(story[one], minlength=len(bounds) - 1)
    made = _spans(rows, bounds) | {
        "story_id": format_ids(first["story_id"].to_numpy().astype(np.int64)),
        "headline": heads["headline"],
        "lead": heads["lead"],
        "representative_id": format_ids(leads["article_id"].to_numpy()),
        "n_copies": pa.array(copies, pa.int32()),
        "cohesion": pa.array((np.bincount(story[one], scores, len(copies)) / copies).astype(np.float32)),
    }
    made |= {told: leads[name] for name, told in _TOLD.items()}
    lasts = pc.cast(made["last_published"], pa.int64()).to_pylist()
    made["version"] = pa.array([kept.run] * len(lasts), pa.int32())
    made["status"] = pa.array([status(last, newest, kept.window) for last in lasts], pa.string())
    made |= _timelines(rows, bounds)
    return _by_first_time(made, STORIES.schema)


def alias_rows(aliases: pa.Table, snapshot: int) -> pa.Table:
    """Rows of the table aliases; `published` is never known."""
    made = {name: format_ids(aliases[name].to_numpy()) for name in ("alias_id", "id")}
    made |= {"kind": aliases["kind"], "snapshot": pa.array([snapshot] * aliases.num_rows, pa.int32())}
    made["published"] = pa.nulls(aliases.num_rows, pa.timestamp("us", "UTC"))
    rows = _ordered(made, ALIASES.schema.append(pa.field("published", pa.timestamp("us", "UTC"))))
    return rows.sort_by([("alias_id", "ascending"), ("kind", "ascending")])


def status(last: int | None, newest: int | None, window: int) -> str | None:
    """Whether a story may still go on, by its last and the newest of all publications and the window (µs)."""
    return None if last is None or newest is None else "open" if newest - last <= window else "closed"


def _timelines(rows: pa.Table, bounds: Int64Array) -> dict[str, pa.Array]:
    """When something new was last reported, and how much on each day, of groups in order of publication."""
    columns = [rows["published"].cast(pa.int64()), *(rows[name] for name in ("article_id", "copy_id", "outlet"))]
    reports = zip(*(column.to_pylist() for column in columns), strict=True)
    told = [_timeline(itertools.islice(reports, size)) for size in np.diff(bounds).tolist()]
    return {
        name: pa.array([each[name] for each in told], STORIES.schema.field(name).type)
        for name in ("last_new_published", "timeline")
    }


def _timeline(reports: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    days: dict[int, tuple[set[int], set[int], set[str]]] = {}
    seen: set[int] = set()
    newest = None
    for at, article, copy, outlet in reports:
        if at is None:
            continue
        articles, copies, outlets = days.setdefault(at // _DAY, (set(), set(), set()))
        articles.add(article)
        if outlet is not None:
            outlets.add(outlet)
        if copy not in seen:
            seen.add(copy)
            copies.add(copy)
            newest = at
    steps = [
        {"day": day, "n_articles": len(articles), "n_new_texts": len(copies), "n_outlets": len(outlets)}
        for day, (articles, copies, outlets) in days.items()
    ]
    return {"last_new_published": newest, "timeline": steps}


def pair_order(settled: pa.Table, order: pa.Table) -> pa.Table:
    """SETTLED rows in the order in which pairs are written, with the left article's date as `published`."""
    by_id = order.select(["article_id", "published"]).sort_by("article_id")
    left = by_id.take(_positions(settled["left"], by_id["article_id"]))
    rows = settled.append_column("published", left["published"])
    return rows.sort_by([("published", "ascending"), ("left", "ascending"), ("right", "ascending")])


def pair_rows(order: pa.Table) -> pa.Table:
    """Rows of the table pairs, in the order of their ids."""
    order = order.sort_by([("left", "ascending"), ("right", "ascending")])
    made = {f"{side}_id": format_ids(order[side].to_numpy()) for side in ("left", "right")}
    made["relation"] = _relations(order["relation"])
    scored = fetch(order, [name for name in PAIRS.schema.names if name not in made], "pairs")
    return _ordered(made | {name: scored[name] for name in scored.column_names}, PAIRS.schema)


def reject_rows(rejects: pa.Table) -> pa.Table:
    """Rows of the table rejects; `published` is never known."""
    made = {name: rejects[name] for name in rejects.column_names if name != "position"}
    made |= {"source_position": rejects["position"], "published": pa.nulls(rejects.num_rows, pa.timestamp("us", "UTC"))}
    rows = _ordered(made, REJECTS.schema.append(pa.field("published", pa.timestamp("us", "UTC"))))
    return rows.sort_by([(name, "ascending") for name in ("source_uri", "source_position", "reason", "detail")])


LABELS = (
    "article_id",
    "copy_id",
    "copy_relation",
    "copy_similarity",
    "story_id",
    "story_score",
    "story_runner_up_id",
    "story_runner_up_score",
    "format",
)
_MADE = {*LABELS, *VERSIONS.names, "removed_lines"}
_FROM_CLEAN = [name for name in ARTICLES.schema.names if name not in _MADE] + ["removed"]
_TOLD = {"story_weakest_link": "weakest_link", "names": "names", "terms": "terms"}


def _positions(wanted: pa.ChunkedArray, ascending: pa.ChunkedArray) -> pa.Array:
    """Where each id stands in a column of ascending, distinct ids.

    Raises:
      KeyError: an id is missing, which means that a stage lost a row.
    """
    keys, found = ascending.to_numpy(), wanted.to_numpy()
    at = np.searchsorted(keys, found)
    at[at == len(keys)] = 0
    if len(found) and (not len(keys) or not np.array_equal(keys[at], found)):
        raise KeyError("an article has no label: a stage lost a row")
    return pa.array(at)


def _grouped(order: pa.Table, key: str) -> tuple[pa.Table, Int64Array]:
    """Rows of `order` group by group, inside a group in the order given, and the bounds of the groups."""
    ids = order[key].to_numpy()
    at = np.argsort(ids, kind="stable")
    changes = np.flatnonzero(ids[at][1:] != ids[at][:-1]) + 1
    return order.take(pa.array(at)), np.concatenate([[0], changes, [len(ids)]]) if len(ids) else np.zeros(1, np.int64)


def _spans(rows: pa.Table, bounds: Int64Array) -> dict[str, Any]:
    """Sizes, outlets and times of groups that are in order of publication, unknown dates last."""
    starts, sizes = bounds[:-1], np.diff(bounds)
    groups = np.arange(len(sizes))
    outlet = rows["outlet"].combine_chunks().dictionary_encode()
    names = outlet.dictionary.take(pc.sort_indices(outlet.dictionary))
    rank = pc.index_in(rows["outlet"].combine_chunks(), names).fill_null(-1).to_numpy().astype(np.int64)
    known = np.unique((np.repeat(groups, sizes) * (len(names) + 1) + rank)[rank >= 0])
    outlets = np.bincount(known // (len(names) + 1), minlength=len(sizes))
    dated = np.concatenate([[0], np.cumsum(rows["published"].is_valid().to_numpy())])
    dated = dated[bounds[1:]] - dated[starts]
    first = rows.take(pa.array(starts))
    return {
        "n_articles": pa.array(sizes, pa.int32()),
        "outlets": pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(outlets)]), pa.int32()),
            names.take(pa.array(known % (len(names) + 1))),
        ),
        "n_outlets": pa.array(outlets, pa.int32()),
        "first_outlet": pc.if_else(pa.array(dated > 0), first["outlet"], pa.scalar(None, pa.string())),
        "first_published": first["published"],
        "last_published": rows["published"].take(pa.array(starts + np.maximum(dated, 1) - 1)),
    }


def _by_first_time(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    """Columns → a table in order of time, with `published`."""
    table = _ordered(columns, schema).cast(schema)
    table = table.append_column("published", table["first_published"])
    return table.sort_by([("published", "ascending"), (schema.names[0], "ascending")])


def _ordered(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({name: columns[name] for name in schema.names})


def _relations(codes: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.take(_RELATION_NAMES, codes)


def _nullable_ids(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(ids.is_valid(), format_ids(ids.fill_null(0).to_numpy()), pa.scalar(None, pa.string()))
