"""The process of `copydesk` and of `python -m pipeline`: a command, and its exit code."""

import os
import sys

from pipeline import cli
from schemas.errors import INTERRUPTED


def main() -> None:
    """Carry out the command line and end the process.

    What was interrupted ends at once: threads of gRPC that wait for a killed engine now and then abort a process that
    winds down as usual, and its exit code is theirs then.
    """
    code = cli.main()
    if code == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
