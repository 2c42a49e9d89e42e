"""The command line of snapshots: `copydesk snapshots OUT list | show | diff | rollback | gc | verify`."""
# ruff: noqa: PLC0415, PLR0913, PLR0917 -- as in cli.py: a verb imports what it needs, and has a parameter a flag

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.retention import Retention
from schemas.errors import ContractMismatch

_DEFAULTS = Retention()


class _VerbBehindTheDataset(TyperGroup):
    """`OUT VERB …`; without a verb, `list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in that was left out."""
        verb = args[1] if len(args) > 1 else "--json"
        if args and not args[0].startswith("-") and verb == "--json":
            args = [args[0], "list", *args[1:]]
        return super().parse_args(ctx, args)


snapshots_app = typer.Typer(
    cls=_VerbBehindTheDataset,
    no_args_is_help=True,
    subcommand_metavar="[list|show|diff|rollback|gc|verify] ...",
    help="List the snapshots of OUT, look into them, go back to one, drop old ones, check every file.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Number = Annotated[int, typer.Argument(metavar="N", min=1, help="A snapshot's number.")]


@snapshots_app.callback()
def _of(context: typer.Context, output: Annotated[Path, typer.Argument(metavar="OUT", help="The dataset.")]) -> None:
    context.obj = output


@snapshots_app.command("list")
def list_command(context: typer.Context, as_json: AsJson = False) -> None:
    """List the snapshots, the current one marked."""
    from pipeline.snapshots import listed

    rows = listed(context.obj)
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        mark = "*" if row["current"] else " "
        if "damaged" in row:
            typer.echo(f"{mark} {row['snapshot']:06d}  damaged: {row['damaged']}")
            continue
        articles = row.get("articles", row["articles_kept"])  # a run that could not add had only its own
        counts = f"{articles} articles, {row['copies']} copies, {row['stories']} stories"
        again = f" (snapshot {row['restores']} again)" if row["restores"] else ""
        typer.echo(f"{mark} {row['snapshot']:06d}  {row['created']}  {counts}{again}")


@snapshots_app.command("show")
def show_command(
    context: typer.Context,
    number: Number,
    files: Annotated[bool, typer.Option("--files", help="Print its files, a path a line.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what snapshot N was made from and what it holds."""
    from pipeline.snapshots import described

    facts = described(context.obj, number)
    if as_json:
        _print_json(facts)
        return
    paths = facts.pop("files")
    if files:
        typer.echo("\n".join(paths))
        return
    tables, counts = facts.pop("tables"), facts.pop("summary")
    for name, value in (facts | counts).items():
        typer.echo(f"{name.replace('_', ' '):<24} {value}")
    for name, table in tables.items():
        typer.echo(f"{name:<24} {table['rows']} rows, {table['files']} files, {table['bytes']} bytes")


@snapshots_app.command("diff")
def diff_command(
    context: typer.Context,
    before: Annotated[int, typer.Argument(metavar="BEFORE", min=1, help="A snapshot's number.")],
    after: Annotated[int, typer.Argument(metavar="AFTER", min=1, help="Another's.")],
    as_json: AsJson = False,
) -> None:
    """Count the articles, copies and stories that came, went or changed from one snapshot to another."""
    from pipeline.snapshots import difference

    facts = difference(context.obj, before, after)
    if as_json:
        _print_json(facts)
        return
    for name in ("articles", "copies", "stories"):
        row = facts[name]
        typer.echo(f"{name:<9} {row['added']} added, {row['removed']} removed, {row['changed']} changed")


@snapshots_app.command("rollback")
def rollback_command(context: typer.Context, number: Number, as_json: AsJson = False) -> None:
    """Go back to snapshot N, by a new snapshot of its files."""
    from pipeline.snapshots import roll_back

    manifest = roll_back(context.obj, number)
    if as_json:
        _print_json({"snapshot": manifest.snapshot, "restores": number})
    else:
        typer.echo(f"Snapshot {manifest.snapshot} is snapshot {number} again.")


@snapshots_app.command("gc")
def gc_command(
    context: typer.Context,
    keep: Annotated[int, typer.Option("--keep", metavar="N", help="Keep the newest N.")] = _DEFAULTS.keep,
    days: Annotated[float, typer.Option("--days", metavar="D", help="Keep those made since.")] = _DEFAULTS.days,
    grace: Annotated[
        float, typer.Option("--grace", metavar="HOURS", help="Keep those that were current so lately.")
    ] = _DEFAULTS.grace_hours,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove old snapshots: those that no option keeps, never the newest, nor one that a run works from."""
    from pipeline.snapshots import collect

    retention = Retention(keep, days, grace)
    facts = collect(context.obj, retention, dry_run=dry_run)
    if as_json:
        _print_json(facts)
        return
    names = ", ".join(f"{number:06d}" for number in facts["removed"]) or "no snapshot"
    done = "would be removed" if dry_run else f"removed, with {facts['files']} files of {facts['bytes']} bytes"
    typer.echo(f"{names} {done}")


@snapshots_app.command("verify")
def verify_command(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(metavar="[N]", min=1, help="Only this snapshot.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read every file of the snapshots: is it there, whole, unchanged? Exit 4 names those that are not."""
    from pipeline.integrity import advice, verify
    from pipeline.places import dataset_at

    health = verify(context.obj, number)
    if as_json:
        _print_json({**health._asdict(), "problems": [problem._asdict() for problem in health.problems]})
    else:
        for problem in health.problems:
            typer.echo(f"{problem.snapshot:06d}  {problem.path}: {problem.what}")
    if health.problems:
        paths = len({problem.path for problem in health.problems})
        what = f"{dataset_at(context.obj).name}: {paths} of its files damaged"
        raise ContractMismatch(f"{what}: {advice(context.obj, health.problems)}")
    if not as_json:
        typer.echo(f"{health.files} files of {health.snapshots} snapshots are as they were written")


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))
