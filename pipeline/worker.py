"""The process of a worker of `--workers N`: Beam's own, which says warnings and worse, once.

Started as it is, Beam's worker logs every step of its start to stderr: one of its imports warns through the root
logger before the log level is known, and that gives the root logger a handler.
"""

import logging
import sys

logging.getLogger().addHandler(logging.NullHandler())  # what is logged goes to the driver, which shows it

from apache_beam.runners.worker import sdk_worker_main  # noqa: E402 -- its imports log

if __name__ == "__main__":
    sdk_worker_main.main(sys.argv)
