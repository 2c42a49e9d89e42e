"""The rows of every table, out of the catalog, the labels and the stored blocks.

`article_order` is the one place where an article's labels meet it; texts are fetched from their blocks only
when a file is written.
"""

import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.blocks import CLEAN, BlockRef, load
from schemas.ids import format_id, format_ids
from schemas.labels import Format, Relation
from schemas.tables import ARTICLES, COPIES, PAIRS, REJECTS, REMOVED, STORIES
from transforms.write.sources import OPENING, agency_of, likely_source

_RELATION_NAMES = pa.array([str(relation) for relation in Relation])
_FORMAT_NAMES = pa.array([None if form is Format.REPORT else str(form) for form in Format])
_DAY = 86_400_000_000  # µs
_OPEN = 30 * _DAY  # a story without news for so long is closed
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


def fetch(order: pa.Table, columns: list[str]) -> pa.Table:
    """Columns of the clean articles behind the rows of `order`, in its order; each block is opened once."""
    if not order.num_rows:
        return CLEAN.empty_table().select(columns)
    blocks = order["block"].combine_chunks().dictionary_encode()
    codes, rows = blocks.indices.to_numpy(), order["row"].to_numpy()
    parts, places = [], []
    for code, base in enumerate(blocks.dictionary.to_pylist()):
        at = np.flatnonzero(codes == code)
        table = load(BlockRef(base, 0).part("articles")).select(columns)
        parts.append(table.take(pa.array(rows[at])))
        places.append(at)
    back = np.argsort(np.concatenate(places), kind="stable")
    return pa.concat_tables(parts).take(pa.array(back))


def article_rows(order: pa.Table) -> pa.Table:
    """Rows of the table articles."""
    clean = fetch(order, _FROM_CLEAN)
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
        "removed_lines": pc.cast(pc.list_value_length(clean["removed"]), pa.int32()),
    }
    return _ordered(made | {name: clean[name] for name in clean.column_names}, ARTICLES.schema)


def removed_rows(order: pa.Table) -> pa.Table:
    """Rows of the table removed, in the order of the articles, then of their lines."""
    clean = fetch(order, ["removed"])
    lists = clean["removed"].combine_chunks()
    lines = lists.flatten()
    parents = pc.list_parent_indices(lists)
    made = {name: lines.field(name) for name in ("line", "text", "label", "rule")}
    made["article_id"] = format_ids(order["article_id"].to_numpy()).take(parents)
    made["outlet"] = order["outlet"].combine_chunks().take(parents)
    made["published"] = order["published"].combine_chunks().take(parents)
    return _ordered(made, REMOVED.schema.append(pa.field("published", pa.timestamp("us", "UTC"))))


def copy_rows(order: pa.Table) -> pa.Table:
    """Rows of the table copies: groups of two articles or more, with the column `published` to cut files by."""
    sizes = order.group_by("copy_id", use_threads=False).aggregate([([], "count_all")])
    shared = sizes.filter(pc.greater(sizes["count_all"], 1))["copy_id"]
    members = order.filter(pc.is_in(order["copy_id"], shared.combine_chunks()))
    groups = _groups(members, "copy_id")
    agencies = _agencies(members)
    heads = _headlines(
        members.filter(pc.equal(members["article_id"], members["representative"])), "copy_id", ["headline"]
    )
    rows = []
    for copy_id, group in groups:
        named = [agencies[member] for member in group["article_id"]]
        source = likely_source(named, group["outlet"], group["published"])
        rows.append(
            _span(group)
            | {
                "copy_id": copy_id,
                "source": source.name,
                "source_evidence": source.evidence,
                "source_confidence": source.confidence,
                "story_id": group["story_id"][0],
                "representative_id": group["representative"][0],
                "headline": heads[copy_id]["headline"],
                "n_articles": len(group["article_id"]),
                "weakest_link": group["weakest_link"][0],
                "members": [
                    {"article_id": format_id(member), "outlet": outlet, "relation": relation, "similarity": similarity}
                    for member, outlet, relation, similarity in zip(
                        group["article_id"], group["outlet"], group["relation_name"], group["similarity"], strict=True
                    )
                ],
            }
        )
    return _table(rows, COPIES.schema)


def story_rows(order: pa.Table) -> pa.Table:
    """Rows of the table stories, with the column `published` to cut files by; none when stories are switched off."""
    if order["story_id"].null_count == order.num_rows:
        return _table([], STORIES.schema)
    leads = order.filter(pc.and_(order["leads_story"], pc.equal(order["article_id"], order["representative"])))
    heads = _headlines(leads, "story_id", ["article_id", "headline", "text"])
    told = dict(
        zip(leads["story_id"].to_pylist(), leads.select(list(_TOLD)).rename_columns(_TOLD).to_pylist(), strict=True)
    )
    newest = pc.max(order["published"].cast(pa.int64())).as_py()
    rows = []
    for story_id, group in _groups(order, "story_id"):
        head = heads[story_id]
        scores = dict(zip(group["copy_id"], group["story_score"], strict=True))
        span = _span(group)
        rows.append(
            span
            | told[story_id]
            | {
                "story_id": story_id,
                "headline": head["headline"],
                "lead": head["text"].split("\n", 1)[0],
                "representative_id": head["article_id"],
                "n_articles": len(group["article_id"]),
                "n_copies": len(scores),
                "cohesion": float(np.mean([scores[copy] for copy in sorted(scores)])),
                "version": 1,  # of a run over all its inputs
                "status": status(span["last_published"], newest),
            }
            | _timeline(group)
        )
    return _table(rows, STORIES.schema)


def status(last: int | None, newest: int) -> str | None:
    """Whether a story may still go on, by its last and the newest of all publications (µs)."""
    return None if last is None else "open" if newest - last <= _OPEN else "closed"


def _timeline(group: dict[str, list[Any]]) -> dict[str, Any]:
    """When something new was reported, and how much on each day, of a group in order of publication."""
    days: dict[int, tuple[set[int], set[int], set[str]]] = {}
    seen: set[int] = set()
    newest = None
    for at, article, copy, outlet in zip(
        group["published"], group["article_id"], group["copy_id"], group["outlet"], strict=True
    ):
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


def pair_rows(pairs: pa.Table, order: pa.Table) -> pa.Table:
    """Rows of the table pairs, with the left article's date as `published`."""
    by_id = order.sort_by("article_id")
    left = by_id.take(_positions(pairs["left"], by_id["article_id"]))
    made = {name: pairs[name] for name in pairs.column_names if name not in {"left", "right", "relation"}}
    made |= {
        "left_id": format_ids(pairs["left"].to_numpy()),
        "right_id": format_ids(pairs["right"].to_numpy()),
        "relation": _relations(pairs["relation"]),
        "published": left["published"],
    }
    rows = _ordered(made, PAIRS.schema.append(pa.field("published", pa.timestamp("us", "UTC"))))
    return rows.sort_by([("published", "ascending"), ("left_id", "ascending"), ("right_id", "ascending")])


def reject_rows(rejects: pa.Table) -> pa.Table:
    """Rows of the table rejects; `published` is never known."""
    made = {name: rejects[name] for name in rejects.column_names if name != "position"}
    made |= {"source_position": rejects["position"], "published": pa.nulls(rejects.num_rows, pa.timestamp("us", "UTC"))}
    rows = _ordered(made, REJECTS.schema.append(pa.field("published", pa.timestamp("us", "UTC"))))
    return rows.sort_by([(name, "ascending") for name in ("source_uri", "source_position", "reason", "detail")])


_LABELS = {"article_id", "copy_id", "copy_relation", "copy_similarity", "story_id", "story_score"}
_LABELS |= {"story_runner_up_id", "story_runner_up_score", "format"}
_FROM_CLEAN = [name for name in ARTICLES.schema.names if name not in _LABELS | {"removed_lines"}] + ["removed"]
_TOLD = {"story_weakest_link": "weakest_link", "names": "names", "terms": "terms"}
_GROUPED = ["article_id", "copy_id", "story_id", "representative", "outlet", "published", "similarity"]
_GROUPED += ["weakest_link", "story_score"]


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


def _groups(order: pa.Table, key: str) -> list[tuple[int, dict[str, list[Any]]]]:
    """Rows of `order` by `key`, inside a group in the order given; groups in order of their key."""
    table = order.select(_GROUPED)
    times = table["published"].cast(pa.int64())  # many datetimes are slow to make and to read back
    table = table.set_column(table.schema.get_field_index("published"), "published", times)
    table = table.append_column("relation_name", _relations(order["relation"]))
    table = table.append_column("at", pa.array(np.arange(table.num_rows))).sort_by(
        [(key, "ascending"), ("at", "ascending")]
    )
    columns = {name: table[name].to_pylist() for name in table.column_names}
    groups, start = [], 0
    for value, run in itertools.groupby(columns[key]):
        stop = start + sum(1 for _ in run)
        groups.append((value, {name: values[start:stop] for name, values in columns.items()}))
        start = stop
    return groups


def _headlines(order: pa.Table, key: str, columns: list[str]) -> dict[int, dict[str, Any]]:
    return dict(zip(order[key].to_pylist(), fetch(order, columns).to_pylist(), strict=True))


def _agencies(members: pa.Table) -> dict[int, str | None]:
    """The agency that each article names."""
    clean = fetch(members, ["outlet", "credits", "text"])
    openings = pc.utf8_slice_codeunits(clean["text"], 0, OPENING)
    columns = (clean["outlet"].to_pylist(), openings.to_pylist(), clean["credits"].to_pylist())
    return dict(zip(members["article_id"].to_pylist(), map(agency_of, *columns), strict=True))


def _span(group: dict[str, list[Any]]) -> dict[str, Any]:
    """Outlets and times of a group that is in order of publication, unknown dates last."""
    outlets = sorted({outlet for outlet in group["outlet"] if outlet is not None})
    known = [(at, outlet) for at, outlet in zip(group["published"], group["outlet"], strict=True) if at is not None]
    return {
        "outlets": outlets,
        "n_outlets": len(outlets),
        "first_outlet": known[0][1] if known else None,
        "first_published": known[0][0] if known else None,
        "last_published": known[-1][0] if known else None,
    }


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows with integer ids → a table in order of time, with `published`."""
    key = schema.names[0]
    for row in rows:
        for name in {key, "story_id", "representative_id"}:
            if row.get(name) is not None:
                row[name] = format_id(row[name])
    table = pa.Table.from_pylist(rows, schema=schema)
    table = table.append_column("published", table["first_published"])
    return table.sort_by([("published", "ascending"), (key, "ascending")])


def _ordered(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({name: columns[name] for name in schema.names})


def _relations(codes: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.take(_RELATION_NAMES, codes)


def _nullable_ids(ids: pa.ChunkedArray) -> pa.Array:
    return pa.array([None if i is None else format_id(i) for i in ids.to_pylist()], pa.string())
