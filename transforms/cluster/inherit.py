"""Ids that stay: groups made by this run take the ids under which earlier runs published their members.

Clustering names a group by its members. `inherit` gives a group that has kept members the id that they are known by:
of several the oldest, and the others become aliases of it. Where the members of one id fall into several groups, the
group with most of them keeps it and the others count as new. So every id that was ever published is the id of one
group, or an alias of one.

The age of an id is the earliest publication among its kept members, not the run that made it: so it does not matter how
the news was cut into runs.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.blocks import COPY_LABELS, STORY_LABELS, StoredTable, load, store_new
from schemas.ids import format_id, is_among, stable_hash
from schemas.state import ALIASED, Kept, kept_articles

Int64Array = NDArray[np.int64]

UNKNOWN = -1  # id of an article that no run has published
_NEVER = np.iinfo(np.int64).max


class Inherited(NamedTuple):
    """The ids of groups, and what became of those that none of them has now."""

    name: Int64Array  # of each member's group
    old: Int64Array  # ids that are aliases from now on, ascending
    new: Int64Array  # of what


class Labelled(NamedTuple):
    """Stored labels under ids that stay, and the aliases that this made."""

    labels: StoredTable
    aliases: StoredTable  # ALIASED


@dataclass(eq=False)
class InheritCopies(beam.PTransform):  # type: ignore[misc]
    """COPY_LABELS, stored → the same under ids that stay, and ALIASED tables."""

    kept: Kept
    scratch: str

    def expand(self, labels: beam.PCollection) -> Any:
        """Wire."""
        return _both(
            labels | "Inherit" >> beam.Map(inherit_copies, self.kept, self.scratch).with_output_types(Labelled)
        )


@dataclass(eq=False)
class InheritStories(beam.PTransform):  # type: ignore[misc]
    """The same for STORY_LABELS; takes a dict, `stories` and `copies`."""

    kept: Kept
    scratch: str

    @beam.typehints.no_annotations  # Beam warns of hints that are dicts
    def expand(self, inputs: dict[str, beam.PCollection]) -> Any:
        """Wire."""
        copies = beam.pvalue.AsSingleton(inputs["copies"])
        return _both(
            inputs["stories"]
            | "Inherit" >> beam.Map(inherit_stories, copies, self.kept, self.scratch).with_output_types(Labelled)
        )


def inherit(group: Int64Array, known: Int64Array, age: Int64Array, taken: Int64Array, salt: str) -> Inherited:
    """Name groups by the ids that their members are known by.

    Args:
      group: of each member, members in the order of their ids; the name of a group of which no member is known.
      known: the id that each was published under, or UNKNOWN.
      age: of each, when it was published; anything large where that is unknown.
      taken: ids that no new group may have, ascending: all that were ever published.
      salt: names anew the groups whose name is taken.
    """
    member = np.flatnonzero(known != UNKNOWN)
    ids, which = np.unique(known[member], return_inverse=True)
    born = np.full(len(ids), _NEVER)
    np.minimum.at(born, which, age[member])
    meetings, first, count = np.unique(np.stack([which, group[member]]), axis=1, return_index=True, return_counts=True)
    order = np.lexsort((first, -count, meetings[0]))  # by id: most members first, of equal groups the smallest member
    heir = meetings[1][order][np.unique(meetings[0][order], return_index=True)[1]]  # the group that keeps each id
    order = np.lexsort((ids, born, heir))
    named, at = np.unique(heir[order], return_index=True)
    oldest = ids[order][at]
    successor = oldest[np.searchsorted(named, heir)]
    gone = successor != ids
    groups, back = np.unique(group, return_inverse=True)
    place = np.searchsorted(named, groups)
    has = is_among(groups, named)
    names = groups.copy()
    names[has] = oldest[place[has]]
    for new in np.flatnonzero(~has & is_among(groups, taken)).tolist():
        names[new] = _renamed(int(groups[new]), taken, salt)
    return Inherited(names[back], ids[gone], successor[gone])


def inherit_copies(labels: StoredTable, kept: Kept, scratch: str) -> Labelled:
    """Give copies (COPY_LABELS) the ids of the kept ones."""
    table = load(labels.path)
    article = table["article_id"].to_numpy()
    found = _inherited("copy", article, table["copy_id"].to_numpy(), kept)
    renamed = table.set_column(1, COPY_LABELS.field("copy_id"), pa.array(found.name))
    return _stored("copy", renamed, found, scratch)


def inherit_stories(labels: StoredTable, copies: StoredTable, kept: Kept, scratch: str) -> Labelled:
    """The same for stories (STORY_LABELS) of copies that have their ids."""
    table, members = load(labels.path), load(copies.path)
    if not table.num_rows:
        return Labelled(labels, store_new(ALIASED.empty_table(), scratch, "aliases"))
    article, copy = members["article_id"].to_numpy(), members["copy_id"].to_numpy()
    at = np.searchsorted(table["copy_id"].to_numpy(), copy)
    group = table["story_id"].to_numpy()
    found = _inherited("story", article, group[at], kept)
    old, first = np.unique(group[at], return_index=True)
    new = found.name[first]
    for name in ("story_id", "rival"):
        ids = table[name].combine_chunks()
        renamed = pa.array(
            new[np.searchsorted(old, ids.fill_null(old[0]).to_numpy())], mask=ids.is_null().to_numpy(False)
        )
        table = table.set_column(STORY_LABELS.get_field_index(name), STORY_LABELS.field(name), renamed)
    return _stored("story", table, found, scratch)


def _inherited(kind: str, article: Int64Array, group: Int64Array, kept: Kept) -> Inherited:
    """Name the groups of articles (ids ascending) by what the kept ones are known by."""
    earlier = kept_articles(kept)
    every, ids = earlier["article_id"].to_numpy(), earlier[f"{kind}_id"].fill_null(UNKNOWN).to_numpy()
    is_kept = is_among(article, every)
    at = np.searchsorted(every, article[is_kept])
    known, age = np.full(len(article), UNKNOWN), np.full(len(article), _NEVER)
    known[is_kept] = ids[at]
    age[is_kept] = earlier["published"].cast(pa.int64()).fill_null(_NEVER).to_numpy()[at]
    aliases = load(kept.aliases) if kept.aliases else ALIASED.empty_table()
    gone = aliases["alias_id"].to_numpy()[(aliases["kind"].to_numpy(zero_copy_only=False) == kind)]
    return inherit(group, known, age, np.union1d(ids, gone), str(kept.run))


def _stored(kind: str, labels: pa.Table, found: Inherited, scratch: str) -> Labelled:
    aliases = pa.table([pa.array([kind] * len(found.old), pa.string()), found.old, found.new], schema=ALIASED)
    return Labelled(store_new(labels, scratch, f"{kind}-ids"), store_new(aliases, scratch, "aliases"))


def _both(labelled: beam.PCollection) -> tuple[beam.PCollection, beam.PCollection]:
    labels = labelled | "Labels" >> beam.Map(_labels_of).with_output_types(StoredTable)
    return labels, labelled | "Aliases" >> beam.Map(_aliases_of).with_output_types(pa.Table)


def _labels_of(labelled: Labelled) -> StoredTable:
    return labelled.labels


def _aliases_of(labelled: Labelled) -> pa.Table:
    return load(labelled.aliases.path)


def _renamed(group: int, taken: Int64Array, salt: str) -> int:
    """Another name for a group."""
    while is_among(np.array([group]), taken)[0]:
        group = stable_hash("again", salt, format_id(group))
    return group
