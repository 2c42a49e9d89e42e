"""The command line: `copydesk run | follow | stream`, and what looks at what they made.

Data goes to stdout, progress and messages to stderr. Exit codes are those of `schemas.errors`, and 130 when
interrupted. Beam is imported only by the commands that need it, so that the others answer at once.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pipeline.cli_snapshots import snapshots_app
from schemas.errors import INTERRUPTED, CopydeskError, UsageError

_BEAM_FLAGS: list[str] = []  # what stood behind `--`
_NO_PLACE = "no locator available"  # numba's words
_NOTES = (
    "apitools not found",
    "No semi_persistent_directory found",
    "Unparseable argument",
)  # Google's client; classes of the main module; options of Flink alone

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="News in; clean, deduplicated, clustered stories out, as Parquet.",
)
explain_app = typer.Typer(no_args_is_help=True, help="Say why an article, a pair or a line is where it is.")
app.add_typer(explain_app, name="explain")
app.add_typer(snapshots_app, name="snapshots")


def _readable(output: Path) -> Path:
    """The folder to read OUT in."""
    from pipeline.places import folder_of

    return folder_of(output)


Output = Annotated[Path, typer.Argument(metavar="OUT", help="The dataset.", callback=_readable)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML; unknown keys are refused.")]


@app.command("run", epilog="Options of the Beam runner go behind `--`.")
def run_command(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Files, folders, globs, URIs; - for stdin.")],
    output: Annotated[Path, typer.Option("--output", metavar="OUT", help="A folder, or s3://bucket/prefix.")],
    config: ConfigFile = None,
    metadata: Annotated[
        Path | None, typer.Option("--metadata", metavar="FILE", help="CSV or JSONL on the input files.")
    ] = None,
    runner: Annotated[str, typer.Option("--runner", metavar="NAME", help="The Beam runner.")] = "FnApiRunner",
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Processes on this machine.")] = 1,
    fresh_memory: Annotated[
        bool, typer.Option("--fresh-memory", help="Begin without what earlier runs learned of the outlets.")
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Put INPUT in the place of what OUT holds; without it, it is added.")
    ] = False,
    iceberg: Annotated[
        str | None, typer.Option("--iceberg", metavar="NAMESPACE", help="Publish the tables to Iceberg, too.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Clean, match and cluster INPUT, add it to OUT and commit that as the next snapshot."""
    from pipeline.config import load_config
    from pipeline.iceberg import publish
    from pipeline.metadata import read_metadata
    from pipeline.places import dataset_at
    from pipeline.polling import refuse_own
    from pipeline.report import Progress, print_run
    from pipeline.run import Request, run

    options, known = load_config(config), read_metadata(metadata)
    if iceberg is not None and not all(iceberg.split(".")):
        raise UsageError(f"--iceberg {iceberg!r}: write NAME, or NAME.NAME")
    refuse_own(inputs, output)
    request = Request(inputs, output, options, known, runner, workers, tuple(_BEAM_FLAGS), fresh_memory, rebuild)
    with Progress(Console(stderr=True)).live() as progress:
        result = run(request, progress)
    if iceberg is not None:
        publish(dataset_at(output), iceberg)
    if result.unmatched:
        more = f" and {len(result.unmatched) - 1} more" if len(result.unmatched) > 1 else ""
        typer.echo(f"copydesk: {metadata}: no input is called {result.unmatched[0]}{more}", err=True)
    for outlet in result.unknown_outlets:
        typer.echo(
            f'copydesk: {config}: [clean.outlets."{outlet}"]: no article of this run is of that outlet', err=True
        )
    if result.manifest is None:
        typer.echo("copydesk: nothing to read, nothing done", err=True)
    elif as_json:
        _print_json({"snapshot": result.manifest.snapshot, "repeated": result.repeated, **result.manifest.summary})
    else:
        print_run(Console(), result.manifest, output, repeated=result.repeated)


@app.command("follow", epilog="Options of the Beam runner go behind `--`.")
def follow_command(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files, folders, kafka://…, feed+https://…, feeds:FILE, -")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="OUT", help="A folder, or s3://bucket/prefix.")],
    every: Annotated[str, typer.Option("--every", metavar="60s|5m|1h", help="From one round to the next.")] = "60s",
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, metavar="N", help="Stop after so many.")] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", metavar="[HOST:]PORT", help="Serve /metrics and /healthz there.")
    ] = None,
    config: ConfigFile = None,
    runner: Annotated[str, typer.Option("--runner", metavar="NAME", help="The Beam runner.")] = "FnApiRunner",
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Processes on this machine.")] = 1,
) -> None:
    """Add what SOURCE has that is new to OUT, again and again, until SIGTERM or Ctrl-C."""
    from pipeline.config import load_config
    from pipeline.follow import Rhythm, follow_until_stopped, seconds_of
    from pipeline.polling import refuse_own
    from pipeline.run import Request

    rhythm = Rhythm(seconds_of(every), rounds)
    refuse_own(sources, output)
    request = Request(sources, output, load_config(config), {}, runner, workers, tuple(_BEAM_FLAGS))
    follow_until_stopped(request, rhythm, Console(stderr=True), metrics)


@app.command("stream", epilog="Options of the engine go behind `--`.")
def stream_command(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files, folders, kafka://…, feed+https://…, feeds:FILE")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="OUT", help="A folder that all workers see.")],
    runner: Annotated[str, typer.Option("--runner", metavar="NAME", help="PrismRunner or FlinkRunner.")],
    every: Annotated[
        str, typer.Option("--every", metavar="60s|5m|1h", help="A window: from commit to commit.")
    ] = "60s",
    lateness: Annotated[
        str, typer.Option("--lateness", metavar="10m", help="After so long what is not committed is asked for again.")
    ] = "10m",
    config: ConfigFile = None,
) -> None:
    """Add what SOURCE has that is new to OUT by one unbounded job on an engine, until SIGTERM or Ctrl-C."""
    from pipeline.config import load_config
    from pipeline.follow import seconds_of
    from pipeline.polling import refuse_own
    from pipeline.stream import Stream, stream_until_stopped

    refuse_own(sources, output)
    lengths = (seconds_of(every, "--every"), seconds_of(lateness, "--lateness"))
    stream = Stream(sources, output, load_config(config), runner, tuple(_BEAM_FLAGS), *lengths)
    stream_until_stopped(stream, Console(stderr=True))


@app.command("extract")
def extract_command(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST.jsonl", help="Rows with id, and html (a path) or text.")
    ],
    output: Annotated[Path, typer.Option("--output", metavar="PREDICTIONS.jsonl", help="Where to write.")],
    config: ConfigFile = None,
    learn: Annotated[
        bool, typer.Option("--learn", help="Learn each outlet's furniture over the manifest first.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Clean the pages or texts of a manifest, nothing else."""
    from pipeline.config import load_config
    from pipeline.extract import extract

    options = load_config(config)
    counts = extract(manifest, output, options.clean, options.read, learn=learn)
    if as_json:
        _print_json(counts)
    else:
        Console().print(f"{counts['rows']} rows, {counts['empty']} empty: {output}", soft_wrap=True, highlight=False)


@app.command("schema")
def schema_command(
    as_json: AsJson = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
) -> None:
    """Print the contract: every table and column with its meaning."""
    from schemas.tables import describe

    contract = describe()
    if as_json:
        _print_json(contract)
        return
    lines = [f"Contract {contract['contract']}, files partitioned by {contract['partition']}."]
    for table in contract["tables"]:
        lines += ["", f"## {table['name']}" if markdown else table["name"].upper(), "", table["description"], ""]
        lines += ["| id | column | type | null | meaning |", "| --: | --- | --- | --- | --- |"] if markdown else []
        for column in table["columns"]:
            cells = (str(column["id"]), column["name"], column["type"], "yes" if column["nullable"] else "no")
            row = f"| {' | '.join(cells)} | {column['description']} |"
            lines.append(row if markdown else f"  {column['name']:<18} {column['description']}")
    typer.echo("\n".join(lines))


@app.command("outlets")
def outlets_command(
    output: Output,
    outlet: Annotated[str | None, typer.Argument(metavar="OUTLET", help="Only this one, with its lines.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the lines and places that the runs of OUT learned of each outlet, with examples."""
    from pipeline.outlets import learned_lines, learned_outlets, show_lines, show_outlets

    if outlet is None:
        outlets = learned_outlets(output)
        _print_json(outlets) if as_json else show_outlets(Console(), outlets)
    else:
        facts = learned_lines(output, outlet)
        _print_json(facts) if as_json else show_lines(Console(), facts)


@app.command("resolve")
def resolve_command(
    output: Output,
    wanted: Annotated[str, typer.Argument(metavar="ID", help="Of a copy or story, as any snapshot of OUT held it.")],
    as_json: AsJson = False,
) -> None:
    """Print the id that a copy or story has now, whatever it was merged into."""
    from pipeline.resolve import resolve

    found = resolve(output, wanted)
    if as_json:
        _print_json(found)
    else:
        typer.echo(found["id"])


@app.command("doctor")
def doctor_command(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The dataset.")] = Path(), as_json: AsJson = False
) -> None:
    """Check the installation, the machine, and OUT: its disk and every file of its snapshots. Exit 1 if one fails."""
    from pipeline.doctor import examine

    findings = examine(output)
    if as_json:
        _print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.passed else 'FAIL'}  {finding.check:<16}  {finding.says}")
    if not all(finding.passed for finding in findings):
        raise typer.Exit(1)


@explain_app.command("article")
def explain_article_command(
    output: Output, article: Annotated[str, typer.Argument(metavar="ID")], as_json: AsJson = False
) -> None:
    """Say what was removed from an article, and which copy and story it belongs to."""
    from pipeline.explain import explain_article

    _explain(output, lambda: explain_article(output, article), as_json=as_json)


@explain_app.command("pair")
def explain_pair_command(
    output: Output,
    left: Annotated[str, typer.Argument(metavar="ID")],
    right: Annotated[str, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
) -> None:
    """Say what two articles share and what was made of it."""
    from pipeline.explain import explain_pair

    _explain(output, lambda: explain_pair(output, left, right), as_json=as_json)


@explain_app.command("line")
def explain_line_command(
    output: Output, text: Annotated[str, typer.Argument(metavar="TEXT")], as_json: AsJson = False
) -> None:
    """Say where a line was removed, by which rule, and where it was kept."""
    from pipeline.explain import explain_line

    _explain(output, lambda: explain_line(output, text), as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    ours, _, beam_flags = _split(words)
    _BEAM_FLAGS[:] = beam_flags
    _quiet_logs()
    try:
        app(ours, prog_name="copydesk")
    except SystemExit as done:
        if isinstance(done.__context__, BrokenPipeError):
            return 0  # all is done before it is printed, and whoever reads it has seen enough
        if done.code == INTERRUPTED:
            typer.echo("copydesk: interrupted; nothing was committed", err=True)
        return done.code if isinstance(done.code, int) else 0
    except CopydeskError as error:
        typer.echo(f"copydesk: {error}", err=True)
        return error.exit_code
    except OSError as error:
        typer.echo(f"copydesk: {error}", err=True)
        return CopydeskError.exit_code
    except RuntimeError as error:
        if _NO_PLACE not in str(error):
            raise
        typer.echo("copydesk: nowhere to keep compiled code: set NUMBA_CACHE_DIR to a folder", err=True)
        return UsageError.exit_code
    return 0


def _split(words: list[str]) -> tuple[list[str], str, list[str]]:
    """Arguments of ours, and those behind `--` for the Beam runner."""
    if "--" in words and words[0] in {"run", "follow", "stream"}:
        at = words.index("--")
        return words[:at], "--", words[at + 1 :]
    return words, "", []


def _explain(output: Path, find: Callable[[], Mapping[str, Any]], *, as_json: bool) -> None:
    from pipeline.explain import show
    from pipeline.reading import open_dataset

    open_dataset(output)
    facts = find()
    if as_json:
        _print_json(facts)
    else:
        show(Console(), dict(facts))


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


def _quiet_logs() -> None:
    """Warnings and worse, on stderr; without Beam's notes on what Copydesk has no use for."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: not any(note in record.getMessage() for note in _NOTES))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(levelname)s %(name)s: %(message)s")
