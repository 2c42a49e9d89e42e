"""Fetch Apache Kafka's server, by Maven, and see that every file is the one that was pinned.

    python tests/engines/fetch_kafka.py

The jars come to rest in .engines/kafka-VERSION; what is there already is only checked.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "4.1.0"
ROOT = Path(__file__).resolve().parents[2]
PINS = Path(__file__).with_name("kafka.sha256")
JARS = ROOT / ".engines" / f"kafka-{VERSION}"

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
 <modelVersion>4.0.0</modelVersion>
 <groupId>copydesk</groupId><artifactId>engines</artifactId><version>1</version><packaging>pom</packaging>
 <dependencies>
  <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
 </dependencies>
</project>
"""


def fetch() -> Path:
    """Have the jars.

    Returns: their folder.

    Raises:
      SystemExit: Maven is not here or fails, or a jar is not the one that was pinned.
    """
    if not JARS.exists():
        if not (shutil.which("mvn") and shutil.which("java")):
            raise SystemExit("Kafka for the tests needs java and mvn")
        JARS.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=JARS.parent) as place:
            pom = Path(place) / "pom.xml"
            pom.write_text(_POM)
            command = [
                "mvn",
                "-q",
                "-B",
                "-f",
                str(pom),
                _COPY,
                "-DincludeScope=runtime",
                f"-DoutputDirectory={place}/jars",
            ]
            if subprocess.run(command, check=False).returncode:
                raise SystemExit(f"mvn could not fetch Kafka {VERSION}")
            check(Path(place) / "jars")
            (Path(place) / "jars").rename(JARS)
    check(JARS)
    return JARS


def check(folder: Path) -> None:
    """Compare a folder with the pins.

    Raises:
      SystemExit: a jar is missing, was not asked for, or is another.
    """
    pinned = {name: digest for digest, name in map(str.split, PINS.read_text().splitlines())}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    wrong = sorted(name for name in pinned.keys() | found.keys() if pinned.get(name) != found.get(name))
    if wrong:
        raise SystemExit(f"{folder}: not what {PINS.name} pins: {', '.join(wrong)}")


if __name__ == "__main__":
    sys.stdout.write(f"{fetch()}\n")
