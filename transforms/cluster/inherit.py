"""Ids that stay: groups made by this run take the ids under which earlier runs published their members.

Clustering names a group by its members. `inherit` gives a group that has kept members the id that they are known by:
of several the oldest (of equal age, as where no date is known, that of most members), and the others become aliases of
it. Where the members of one id fall into several groups, the group with most of them keeps it and the others count as
new. So every id that was ever published is the id of one group, or an alias of one.

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
from schemas.state import ALIASED, Kept, known_labels

Int64Array = NDArray[np.int64]

UNKNOWN = -1  # id of an article that no run has published
_NEVER = np.iinfo(np.int64).max
_NO_IDS = np.zeros(0, np.int64)


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


def inherit(group: Int64Array, known: Int64Array, age: Int64Array, salt: str) -> Inherited:
    """Name groups by the ids that their members are known by.

    Args:
      group: of each member, members in the order of their ids; the name of a group of which no member is known.
      known: the id that each was published under, or UNKNOWN.
      age: of each, when it was published; anything large where that is unknown.
      salt: names the groups that split off: no other run has it, so that no other group has their name.
    """
    name = group.copy()
    moved = group != known  # the others are in the group of their id; what is to be decided concerns those they meet
    if not moved.any():
        return Inherited(name, _NO_IDS, _NO_IDS)
    part = np.flatnonzero(
        moved | is_among(group, np.unique(group[moved])) | is_among(known, np.unique(known[moved & (known != UNKNOWN)]))
    )
    groups, back = np.unique(group[part], return_inverse=True)
    member = np.flatnonzero(known[part] != UNKNOWN)
    ids, which = np.unique(known[part][member], return_inverse=True)
    born = np.full(len(ids), _NEVER)
    np.minimum.at(born, which, age[part][member])
    met, first, count = np.unique(which * len(groups) + back[member], return_index=True, return_counts=True)
    of, to = np.divmod(met, max(1, len(groups)))
    order = np.lexsort((first, -count, of))  # by id: most members first, of equal groups the smallest member
    heir = to[order][np.unique(of[order], return_index=True)[1]]  # the group that keeps each id
    order = np.lexsort((ids, -np.bincount(which), born, heir))
    named, at = np.unique(heir[order], return_index=True)
    oldest = np.full(len(groups), UNKNOWN)
    oldest[named] = ids[order][at]
    names = np.where(oldest != UNKNOWN, oldest, groups)
    split = np.zeros(len(groups), np.bool_)
    split[back[member]] = True
    split[named] = False
    for new in np.flatnonzero(split).tolist():
        names[new] = stable_hash("again", salt, format_id(int(groups[new])))
    name[part] = names[back]
    gone = oldest[heir] != ids
    return Inherited(name, ids[gone], oldest[heir][gone])


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
    renamed_at = np.flatnonzero(found.name != group[at])
    old, first = np.unique(group[at][renamed_at], return_index=True)
    new = found.name[renamed_at][first]
    for name in ("story_id", "rival"):
        column = table[name].combine_chunks()
        ids = column.fill_null(UNKNOWN).to_numpy().copy()
        here = np.flatnonzero(is_among(ids, old))
        ids[here] = new[np.searchsorted(old, ids[here])]
        renamed = pa.array(ids, mask=column.is_null().to_numpy(zero_copy_only=False))
        table = table.set_column(STORY_LABELS.get_field_index(name), STORY_LABELS.field(name), renamed)
    return _stored("story", table, found, scratch)


def _inherited(kind: str, article: Int64Array, group: Int64Array, kept: Kept) -> Inherited:
    """Name the groups of articles (ids ascending) by what the kept ones are known by."""
    earlier = known_labels(kept)
    every, ids = earlier["article_id"].to_numpy(), earlier[f"{kind}_id"].fill_null(UNKNOWN).to_numpy()
    is_kept = is_among(article, every)
    at = np.searchsorted(every, article[is_kept])
    known, age = np.full(len(article), UNKNOWN), np.full(len(article), _NEVER)
    known[is_kept] = ids[at]
    age[is_kept] = earlier["published"].cast(pa.int64()).fill_null(_NEVER).to_numpy()[at]
    return inherit(group, known, age, str(kept.run))


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
