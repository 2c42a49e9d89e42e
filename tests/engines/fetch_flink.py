"""Fetch a standalone Flink and Beam's job server for it, by pip and Maven, every file as pinned in flink.sha256.

    python tests/engines/fetch_flink.py

They come to rest in .engines/flink-VERSION; what is there already is only checked. The pins name what is kept: Flink's
distribution without its table and SQL libraries, Beam's runner without what it brings for Google's cloud.

Beam publishes its job server as one jar, beam-runners-flink-FLINK-job-server. Here it is put together from the
libraries that this jar is made of: a small jar whose class path names them.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

FLINK = "1.19.3"  # the apache-flink-libraries of PyPI
BEAM = "2.62.0"  # the newest whose job server could be put together when this was written; see docs/engines.md
PINS = Path(__file__).with_name("flink.sha256")
FOLDER = Path(__file__).resolve().parents[2] / ".engines" / f"flink-{FLINK}"
JOB_SERVER = FOLDER / "job-server.jar"

_SDIST = "4a58e3a1fb7d83340bc96b6c080624c6d792d69fae5d294b96224775204a9c60"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
 <modelVersion>4.0.0</modelVersion>
 <groupId>copydesk</groupId><artifactId>engines</artifactId><version>1</version><packaging>pom</packaging>
 <dependencies><dependency>
  <groupId>org.apache.beam</groupId>
  <artifactId>beam-runners-flink-{FLINK.rpartition(".")[0]}</artifactId>
  <version>{BEAM}</version>
 </dependency></dependencies>
</project>
"""


def fetch() -> Path:
    """Have Flink and the job server.

    Returns: their folder: lib/ is Flink, runner/ what Beam adds to it, client/ what the job server needs beside that.

    Raises:
      SystemExit: Java or Maven is not here, a download fails, or a file is not the one that was pinned.
    """
    if not FOLDER.exists():
        if not (shutil.which("mvn") and shutil.which("java")):
            raise SystemExit("Flink for the tests needs java and mvn")
        FOLDER.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER.parent) as place:
            _fetch_into(Path(place), Path(place) / "kept")
            _check(Path(place) / "kept")
            (Path(place) / "kept").rename(FOLDER)
    _check(FOLDER)
    return FOLDER


def _fetch_into(place: Path, kept: Path) -> None:
    wanted = place / "wanted.txt"
    wanted.write_text(f"apache-flink-libraries=={FLINK} --hash=sha256:{_SDIST}\n")
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary=:all:", "--require-hashes"]
    if subprocess.run([*pip, "-d", str(place), "-r", str(wanted)], check=False).returncode:
        raise SystemExit(f"pip could not fetch Flink {FLINK}")
    (place / "pom.xml").write_text(_POM)
    copy = ["mvn", "-q", "-B", "-f", str(place / "pom.xml"), _COPY, f"-DoutputDirectory={place}/jars"]
    if subprocess.run([*copy, "-DincludeScope=runtime"], check=False).returncode:
        raise SystemExit(f"mvn could not fetch Beam's runner {BEAM} for Flink")
    with tarfile.open(place / f"apache-flink-libraries-{FLINK}.tar.gz") as archive:
        for name in _pins():
            (kept / name).parent.mkdir(parents=True, exist_ok=True)
            if name.startswith("lib/"):
                member = archive.extractfile(f"apache-flink-libraries-{FLINK}/deps/{name}")
                assert member is not None
                with (kept / name).open("wb") as file:
                    shutil.copyfileobj(member, file)
            elif (place / "jars" / Path(name).name).exists():
                (place / "jars" / Path(name).name).rename(kept / name)
    _tie_together(kept / JOB_SERVER.name, [name for name in _pins() if name != "lib/flink-dist-" + FLINK + ".jar"])


def _tie_together(jar: Path, names: list[str]) -> None:
    line = f"Class-Path: {' '.join(names)}"
    cut = [line[:70], *(f" {line[at : at + 69]}" for at in range(70, len(line), 69))]  # a manifest's lines are short
    lines = ["Manifest-Version: 1.0", "Main-Class: org.apache.beam.runners.flink.FlinkJobServerDriver", *cut, "", ""]
    with zipfile.ZipFile(jar, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", "\r\n".join(lines))


def _pins() -> dict[str, str]:
    """Path below FOLDER → SHA-256."""
    return {name: digest for digest, name in map(str.split, PINS.read_text().splitlines())}


def _check(folder: Path) -> None:
    for name, digest in _pins().items():
        if not (folder / name).exists():
            raise SystemExit(f"{folder / name}: is missing")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise SystemExit(f"{folder / name}: is not the file that was pinned")


if __name__ == "__main__":
    sys.stdout.write(f"{fetch()}\n")
