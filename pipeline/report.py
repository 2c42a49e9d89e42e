"""What a run prints: progress on stderr while it works, then what it did and the stories it found."""

import contextlib
import fnmatch
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline.commit import Attempt
from pipeline.manifests import Manifest
from pipeline.places import dataset_at, folder_of
from pipeline.reading import read_rows

_POLL_SECONDS = 0.2
_MOST_STORIES = 12
_STAGES = (  # the last kind of file that is in the scratch folder tells the stage
    ("*.parsed.arrow", "parsing"),
    ("*.articles.arrow", "cleaning"),
    ("*.tokens.arrow", "signing"),
    ("*.keys.arrow", "matching"),
    ("copies-*", "clustering"),
    ("articles-*", "writing"),
)


class Progress:
    """A live line that follows the run's scratch folder, so that it works on any runner."""

    def __init__(self, console: Console) -> None:
        """Show it on this console."""
        self._console = console
        self._done = threading.Event()
        self._folder: Path | None = None

    def __call__(self, attempt: Attempt) -> None:
        """Follow this attempt."""
        self._folder = attempt.scratch

    @contextlib.contextmanager
    def live(self) -> Iterator["Progress"]:
        """Show progress for as long as the block runs."""
        with self._console.status("starting") as status:
            thread = threading.Thread(target=self._follow, args=(status,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._done.set()
                thread.join()

    def _follow(self, status: "object") -> None:
        while not self._done.wait(_POLL_SECONDS):
            if self._folder is not None:
                status.update(stage_of(self._folder))  # type: ignore[attr-defined]


def stage_of(scratch: Path) -> str:
    """Name the stage that a run is in, with the blocks that have come so far."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [path.name for path in scratch.iterdir()]
    counts = [len(fnmatch.filter(names, pattern)) for pattern, _ in _STAGES]
    reached = next((at for at in reversed(range(len(_STAGES))) if counts[at]), None)
    return "reading" if reached is None else f"{_STAGES[reached][1]}: {counts[0]} blocks parsed, {counts[1]} clean"


def print_run(console: Console, manifest: Manifest, output: Path, *, repeated: bool) -> None:
    """What the run did, the largest stories, and how to go on from there."""
    if repeated:
        console.print(f"Nothing to do: nothing is new. How snapshot {manifest.snapshot}, the newest, was made:")
    counts = manifest.summary
    facts = Table.grid(padding=(0, 2))
    facts.add_row("articles read", f"{counts['articles_read']:,}")
    facts.add_row("kept", f"{counts['articles_kept']:,}")
    facts.add_row("rejected", f"{counts['rejected']:,}" + _of_which(counts["delivered_twice"], "delivered twice"))
    if counts.get("passed_over"):
        facts.add_row("passed over", f"{counts['passed_over']:,} records of WARC files that are about others")
    facts.add_row(
        "furniture lines removed",
        f"{counts['furniture_lines']:,}" + _of_which(counts["other_lines"], "set aside", "and "),
    )
    facts.add_row("copies", f"{counts['copies']:,}")
    facts.add_row("stories", f"{counts['stories']:,}")
    if "no_longer_there" in counts:
        gone, came = counts["no_longer_there"], counts["not_there_before"]
        moved = f"{counts['other_copy']:,} in another copy, {counts['other_story']:,} in another story"
        facts.add_row("against before", f"{came:,} new, {gone:,} gone, {moved}")
    if counts.get("damaged_before"):
        facts.add_row("ids lost", f"of {counts['damaged_before']:,} articles, whose files were damaged")
    if counts.get("spared"):
        facts.add_row(
            "in part", f"{counts['spared']:,} times a stage failed on an article and went on without: see the log"
        )
    if counts.get("thinned_keys"):
        facts.add_row("keys thinned", f"{counts['thinned_keys']:,} (under too many articles to compare them all)")
    console.print(facts)
    if counts["stories"]:
        console.print(story_table(folder_of(output, ["stories"])))
    dataset = dataset_at(output)
    if dataset.root == Path(dataset.name):
        sql = f"FROM '{output / 'current/articles/**/*.parquet'}' SELECT story_id, outlet, headline ORDER BY story_id"
        place, query = f"{output / 'current'}. Query it", f"duckdb -c {shlex.quote(sql)}"
    else:
        place = f"{dataset.name}. Its files"
        query = f"copydesk snapshots {dataset.name} show {manifest.snapshot} --files"
    for line in (f"Snapshot {manifest.snapshot} in {place}:", f"  {query}"):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def story_table(output: Path) -> Table:
    """The largest stories, with their outlets and headlines."""
    columns = ["story_id", "headline", "n_articles", "n_copies", "outlets", "first_published"]
    stories = read_rows(output, "stories", columns).to_pylist()
    stories.sort(key=lambda story: (-story["n_articles"], story["story_id"]))
    table = Table(title=f"Stories ({min(len(stories), _MOST_STORIES)} of {len(stories)})", title_justify="left")
    for name in ("articles", "texts", "first", "outlets", "headline"):
        table.add_column(name, justify="right" if name in {"articles", "texts"} else "left", overflow="fold")
    for story in stories[:_MOST_STORIES]:
        first = story["first_published"]
        table.add_row(
            str(story["n_articles"]),
            str(story["n_copies"]),
            f"{first:%Y-%m-%d}" if first else "?",
            Text(", ".join(story["outlets"]) or "?"),
            Text(story["headline"] or "(no headline)"),
        )
    return table


def _of_which(count: int, what: str, link: str = "of them ") -> str:
    return f" ({link}{count:,} {what})" if count else ""
