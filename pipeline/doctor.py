"""`copydesk doctor`: whether this machine and this OUT can do what a run needs, one line a check."""

import contextlib
import fcntl
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import NamedTuple

from numba.core.caching import FunctionCache
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pipeline.engine import DEFAULT_RUNNER, new_pipeline, pipeline_options
from pipeline.integrity import advice, verify
from pipeline.places import dataset_at
from schemas.errors import CopydeskError

_LEAST_BYTES = 1 << 30  # of memory and of disk: a small run takes about half of it
_MEMORY = Path("/proc/meminfo")


class Finding(NamedTuple):
    """What one check found."""

    check: str
    passed: bool
    says: str


class _Unfit(CopydeskError):
    """A check that failed: what is wrong, and what to do."""


def examine(out: Path) -> list[Finding]:
    """Check the installation, the machine, and the place of a dataset, which need not exist yet."""
    checks: dict[str, Callable[[], str]] = {
        "python": _python,
        "libraries": _libraries,
        "memory": _memory,
        "disk": lambda: _disk(_nearest(dataset_at(out).root)),
        "compiled kernels": _kernels,
        "runner": _runner,
        "file system": lambda: _file_system(dataset_at(out).root),
        "store": lambda: dataset_at(out).probe(),
        "dataset": lambda: _dataset(out),
    }
    return [_finding(name, check) for name, check in checks.items()]


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, passed=True, says=check())
    except (CopydeskError, OSError) as error:
        return Finding(name, passed=False, says=str(error))


def _python() -> str:
    wanted = metadata("copydesk")["Requires-Python"]
    here = ".".join(map(str, sys.version_info[:3]))
    if here not in SpecifierSet(wanted):
        raise _Unfit(f"{here}, not {wanted}: make the environment with another Python")
    return here


def _libraries() -> str:
    needed = [each for each in map(Requirement, requires("copydesk") or []) if each.marker is None]
    wrong = []
    for each in needed:
        try:
            found = version(each.name)
        except PackageNotFoundError:
            found = "nothing"
        if found == "nothing" or found not in each.specifier:
            wrong.append(f"{each.name} {found}, not {each.specifier}")
    if wrong:
        raise _Unfit(f"{'; '.join(wrong)}: install what requirements.lock pins")
    return f"{len(needed)} as required"


def _memory() -> str:
    if not _MEMORY.exists():
        return "not known on this system"
    (free,) = (int(line.split()[1]) * 1024 for line in _MEMORY.read_text().splitlines() if "MemAvailable" in line)
    return _enough(free, "use a larger machine, or one worker")


def _disk(place: Path) -> str:
    return _enough(shutil.disk_usage(place).free, f"make room beside {place}, or `copydesk snapshots OUT gc`")


def _enough(free: int, remedy: str) -> str:
    if free < _LEAST_BYTES:
        raise _Unfit(f"{free / 1e9:.1f} GB free, less than {_LEAST_BYTES / 1e9:.1f}: {remedy}")
    return f"{free / 1e9:.1f} GB free"


def _kernels() -> str:
    try:
        from transforms.match.minhash import sign  # noqa: PLC0415 -- fails where there is no place to keep it

        place = FunctionCache(sign).cache_path
    except RuntimeError as error:
        raise _Unfit(
            "cannot be kept, and no run can start: set NUMBA_CACHE_DIR to a folder that can be written"
        ) from error
    Path(place).mkdir(parents=True, exist_ok=True)
    if not os.access(place, os.W_OK):
        raise _Unfit(f"{place} cannot be written, each run compiles them again: set NUMBA_CACHE_DIR to a folder")
    return f"kept in {place}"


def _runner() -> str:
    new_pipeline(DEFAULT_RUNNER, pipeline_options(1, ()))
    return f"{DEFAULT_RUNNER} of Beam {version('apache-beam')}"


def _file_system(out: Path) -> str:
    """Try what a commit rests on: exclusive links, links swapped in one step, locks, folders that can be synced."""
    place = _nearest(out)
    devices = {folder.stat().st_dev for folder in (place, *_folders(out))}
    if len(devices) > 1:
        raise _Unfit(f"{out}: its folders are on different file systems: files could not be linked; use one")
    with _trial(place) as folder:
        (folder / "file").write_bytes(b"1")
        os.link(folder / "file", folder / "link")
        with contextlib.suppress(FileExistsError):
            os.link(folder / "file", folder / "link")
            raise _Unfit(f"{place}: creates a link twice: two runs at once could both commit; use a local disk")
        for target in ("one", "two"):
            (folder / "next").symlink_to(target)
            (folder / "next").replace(folder / "current")
        with (folder / "file").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    return f"{place}: links, locks and renames as a commit needs them"


@contextlib.contextmanager
def _trial(place: Path) -> Iterator[Path]:
    folder = place / f".copydesk-{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _dataset(out: Path) -> str:
    dataset = dataset_at(out)
    if not dataset.manifests.numbers():
        dataset.refuse_strange()
        return f"{dataset.name}: none yet"
    health = verify(out)
    if health.problems:
        first = health.problems[0]
        raise _Unfit(f"{first.path}: {first.what}; {len(health.problems)} in all: {advice(out, health.problems)}")
    return f"{health.files} files of {health.snapshots} snapshots are as they were written"


def _folders(out: Path) -> list[Path]:
    return [path for name in ("data", "state", "staging", "snapshots", "manifests") if (path := out / name).is_dir()]


def _nearest(out: Path) -> Path:
    """The folder, or the first above it that is there."""
    out = out.absolute()
    return next(path for path in (out, *out.parents) if path.is_dir())
