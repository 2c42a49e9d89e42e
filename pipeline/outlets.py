"""`copydesk outlets`: what a dataset's runs learned of each outlet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.reading import open_dataset, state_files
from schemas.errors import UsageError
from schemas.state import OUTLET_LINES

_MOST_LINES = 40
_FURNITURE = 0.4  # mean line score below which a place is shown as furniture's; as in MemoryOptions
_COLUMNS = ["outlet", "place", "stories", "edge_stories", "score", "articles", "first_seen", "last_seen", "example"]

Facts = dict[str, Any]


def learned_outlets(output: Path) -> list[Facts]:
    """Every outlet that repeats something: its stories, lines and places, the best known outlet first.

    Raises:
      UsageError: there is no dataset.
      ContractMismatch: a state file is damaged.
    """
    outlets: dict[str, Facts] = {}
    for row in _lines(output):
        facts = outlets.setdefault(
            row["outlet"],
            {
                "outlet": row["outlet"],
                "stories": row["articles"],
                "lines": 0,
                "places": 0,
                "last_seen": None,
                "most": None,
            },
        )
        facts["places" if row["place"] else "lines"] += 1
        facts["last_seen"] = max(filter(None, (facts["last_seen"], row["last_seen"])), default=None)
        if not row["place"] and facts["most"] is None:
            facts["most"] = row["example"]
    return sorted(outlets.values(), key=lambda facts: (-facts["stories"], facts["outlet"]))


def learned_lines(output: Path, outlet: str) -> Facts:
    """What is known of one outlet: its lines and places, the most frequent first.

    Raises:
      UsageError: there is no dataset, or nothing is known of the outlet.
      ContractMismatch: a state file is damaged.
    """
    rows = [row for row in _lines(output) if row["outlet"] == outlet]
    if not rows:
        raise UsageError(
            f"{outlet}: no outlet of {output} with lines that return; `copydesk outlets {output}` lists them"
        )
    return {
        "outlet": outlet,
        "stories": rows[0]["articles"],
        "lines": [_without(row, "outlet", "place", "score", "articles") for row in rows if not row["place"]],
        "places": [
            _without(row, "outlet", "place", "edge_stories", "articles") | {"furniture": row["score"] < _FURNITURE}
            for row in rows
            if row["place"]
        ],
    }


def show_outlets(console: Console, outlets: Sequence[Facts]) -> None:
    """Print the list of outlets."""
    table = Table(title=f"Outlets ({len(outlets)})", title_justify="left")
    for name in ("stories", "lines", "places", "last seen", "outlet", "most frequent line"):
        table.add_column(name, justify="right" if name in {"stories", "lines", "places"} else "left", overflow="fold")
    for facts in outlets:
        counts = (str(facts[name]) for name in ("stories", "lines", "places"))
        table.add_row(*counts, _day(facts["last_seen"]), Text(facts["outlet"]), Text(facts["most"] or ""))
    console.print(table)


def show_lines(console: Console, facts: Facts) -> None:
    """Print what is known of one outlet."""
    console.print(Text(f"{facts['outlet']}: {facts['stories']} stories known"))
    for name, third in (("lines", "at an edge"), ("places", "score")):
        rows = facts[name]
        table = Table(title=f"{name.capitalize()} ({min(len(rows), _MOST_LINES)} of {len(rows)})", title_justify="left")
        for column in ("stories", third, "first seen", "last seen", "example"):
            table.add_column(column, justify="right" if column in {"stories", third} else "left", overflow="fold")
        for row in rows[:_MOST_LINES]:
            value = str(row["edge_stories"]) if name == "lines" else f"{row['score']:.2f}"
            days = (_day(row["first_seen"]), _day(row["last_seen"]))
            table.add_row(str(row["stories"]), value, *days, Text(row["example"] or ""))
        console.print(table)


def _lines(output: Path) -> list[Facts]:
    """Rows of OUTLET_LINES, the most frequent first."""
    manifest = open_dataset(output)
    files = state_files(output, manifest, OUTLET_LINES.name)
    tables = [pq.read_table(path, columns=_COLUMNS, schema=OUTLET_LINES.schema) for _, path in files]
    rows: list[Facts] = pa.concat_tables(tables).to_pylist() if tables else []
    return sorted(rows, key=lambda row: (-row["stories"], row["outlet"], row["example"] or ""))


def _without(row: Mapping[str, Any], *names: str) -> Facts:
    return {name: value for name, value in row.items() if name not in names}


def _day(time: Any) -> str:
    return f"{time:%Y-%m-%d}" if time else "?"
