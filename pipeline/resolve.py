"""What an id that was once published is now: the same, or what it was merged into."""

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds

from pipeline.reading import open_dataset, read_rows
from schemas.errors import UsageError
from schemas.ids import parse_id


def resolve(root: Path, wanted: str) -> dict[str, Any]:
    """Follow the aliases of a copy's or story's id.

    Returns:
      `kind`, `id` (the live one), and `through`: the ids on the way, the given one first; none if it is live itself.

    Raises:
      UsageError: it is no id, or none that the dataset ever held.
    """
    try:
        parse_id(wanted)
    except ValueError as error:
        raise UsageError(str(error)) from error
    open_dataset(root)
    aliases = sorted(read_rows(root, "aliases").to_pylist(), key=lambda row: row["snapshot"])
    merged = {row["alias_id"]: (row["kind"], row["id"]) for row in aliases}  # the latest, of one that came back
    through: list[str] = []
    kinds = ["copy", "story"]
    live = wanted.lower()
    while True:
        for kind in kinds:  # an id is an alias no more when a rebuild left its articles out and they came again
            if read_rows(root, "articles", ["article_id"], ds.field(f"{kind}_id") == live).num_rows:
                return {"kind": kind, "id": live, "through": through}
        if live not in merged:
            break
        through.append(live)
        kind, live = merged.pop(live)
        kinds = [kind]
    gone = f"{live}, which it became, is gone since a rebuild" if through else "no copy or story was ever called that"
    raise UsageError(f"{root}: {wanted}: {gone}")
