"""Build Prism, Beam's local engine, from its Go module.

    python tests/engines/fetch_prism.py

The binary comes to rest in .engines/prism-VERSION. Go checks the module against its checksum database; the module's
own sum is pinned here too.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "2.77.0"  # the apache-beam of requirements.lock
MODULE = "github.com/apache/beam/sdks/v2"
SUM = "h1:RsC61pHEvtySEHAURQyP/+CVOJm/hy5hewuG9JF0+Ow="
FOLDER = Path(__file__).resolve().parents[2] / ".engines" / f"prism-{VERSION}"
PRISM = FOLDER / "prism"


def fetch() -> Path:
    """Have Prism; a first build takes some minutes.

    Returns: its path.

    Raises:
      SystemExit: Go is not here or fails, or the module is not the one that was pinned.
    """
    if PRISM.exists():
        return PRISM
    if not shutil.which("go"):
        raise SystemExit("Prism for the tests needs go")
    found = subprocess.run(
        ["go", "mod", "download", "-json", f"{MODULE}@v{VERSION}"], check=False, capture_output=True, cwd="/"
    )
    if found.returncode:
        raise SystemExit(f"go could not fetch {MODULE} {VERSION}: {found.stderr.decode().strip()}")
    if json.loads(found.stdout)["Sum"] != SUM:
        raise SystemExit(f"{MODULE} {VERSION} is not the module that was pinned")
    build = ["go", "install", f"{MODULE}/go/cmd/prism@v{VERSION}"]
    if subprocess.run(build, check=False, cwd="/", env={**os.environ, "GOBIN": str(FOLDER)}).returncode:
        raise SystemExit(f"go could not build Prism {VERSION}")
    return PRISM


if __name__ == "__main__":
    sys.stdout.write(f"{fetch()}\n")
