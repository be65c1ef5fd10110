"""The pages /metrics, /healthz and /readyz of a service."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from rendezvous.telemetry.service import ServiceMetrics

# half as many series: process_start_time_seconds says the same
disable_created_metrics()  # type: ignore[no-untyped-call] # as published
SWITCH_S = 0.001
"""How long the thread that writes a page keeps Python to itself. A page of 50 versions takes 18 ms: with Python's own
5 ms a loop with deadlines waited 5 to 6 ms at its 90th percentile meanwhile, with 1 ms it waits 1.2 to 1.9."""
STALLED_AFTER_S = 10.0
"""A service whose loop has not turned for this long is unhealthy: it may be restarted."""


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


class Telemetry:
    """A service's registry, its health, and the HTTP pages that show them. `stop` ends the pages."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = _registry()
        self._clock = clock
        self._turned_s = clock()
        self._ready = False
        self._server: ThreadingHTTPServer | None = None
        metrics = ServiceMetrics(self.registry)
        metrics.ready.set_function(lambda: float(self._ready))
        metrics.loop_age.set_function(lambda: self._clock() - self._turned_s)

    def turned(self) -> None:
        """The service's loop went round."""
        self._turned_s = self._clock()

    def ready(self, *, is_ready: bool) -> None:
        """Whether the service does its work now: joined, warm, caught up."""
        self._ready = is_ready

    def health(self) -> tuple[bool, str]:
        """Whether the loop turns, and since when not."""
        age_s = self._clock() - self._turned_s
        return age_s < STALLED_AFTER_S, json.dumps({"seconds_since_loop": round(age_s, 3)})

    def serve(self, host: str, port: int) -> int:
        """Show the pages; port 0 takes a free one. Returns the port.

        Raises:
            OSError: the port is taken.
        """
        sys.setswitchinterval(SWITCH_S)
        server = ThreadingHTTPServer((host, port), _pages(self))
        server.daemon_threads = True
        self._server = server
        threading.Thread(target=server.serve_forever, name="telemetry", daemon=True).start()
        return int(server.server_address[1])

    def stop(self) -> None:
        """Close the pages."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def page(self, path: str) -> tuple[int, str, bytes]:
        """(HTTP status, content type, body) of one page."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest(self.registry)
        if path == "/healthz":
            healthy, body = self.health()
            return 200 if healthy else 503, "application/json", body.encode()
        if path == "/readyz":
            return 200 if self._ready else 503, "application/json", json.dumps({"ready": self._ready}).encode()
        return 404, "text/plain", b"/metrics /healthz /readyz\n"


def _pages(telemetry: Telemetry) -> type[BaseHTTPRequestHandler]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = telemetry.page(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A scrape every few seconds is no news."""

    return Pages
