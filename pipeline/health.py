"""`/metrics` and `/healthz` of a follower, for Prometheus and whatever restarts processes that hang."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pipeline.status import Status
from schemas.errors import UsageError

try:
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise UsageError("--metrics needs prometheus-client: pip install 'copydesk[metrics]'") from error

_SECONDS = 10.0  # for a client to ask, after which its thread and connection are given up


class _StatusCollector(Collector):
    """The status as it is when it is asked for."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Tell every figure."""
        status = self._status
        yield CounterMetricFamily("copydesk_rounds", "Rounds begun.", value=status.round)
        yield CounterMetricFamily("copydesk_rounds_failed", "Rounds that failed.", value=status.failed)
        yield CounterMetricFamily("copydesk_articles", "Articles added.", value=status.articles)
        yield CounterMetricFamily("copydesk_rejected", "Records rejected.", value=status.rejected)
        yield GaugeMetricFamily("copydesk_snapshot", "The newest snapshot.", value=status.snapshot)
        yield GaugeMetricFamily("copydesk_round_seconds", "What the last round took.", value=status.last_seconds)
        yield GaugeMetricFamily("copydesk_sources_away", "Sources that do not answer.", value=len(status.away))
        since = status.last_success
        yield GaugeMetricFamily("copydesk_last_success_timestamp_seconds", "When a round last succeeded.", value=since)


@contextlib.contextmanager
def served(status: Status, every: float, address: str) -> Iterator[int]:
    """Serve both pages for as long as the block runs; gives the port.

    Args:
      status: what they tell.
      every: seconds from round to round, that it is judged by.
      address: HOST:PORT, or a port on the loopback address; port 0 is any free one.

    Raises:
      UsageError: the address cannot be meant, or is taken.
    """
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatusCollector(status))

    class Pages(BaseHTTPRequestHandler):
        timeout = _SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
            elif self.path == "/healthz":
                healthy = status.is_healthy(every, time.time())
                text = "ok\n" if healthy else f"no round succeeds: {status.problem}\n"
                self._answer(200 if healthy else 503, "text/plain; charset=utf-8", text.encode())
            else:
                self._answer(404, "text/plain; charset=utf-8", b"/metrics or /healthz\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: whoever asks knows."""

    try:
        server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Pages)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"--metrics {address}: {error}") from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
