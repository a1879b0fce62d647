"""A backend whose mood a test sets while it runs: how ill it says it is, how it answers everybody else, and how long it takes."""

import http.server
import threading
import time

LIVE = "/live"


class Moody(http.server.ThreadingHTTPServer):
    """Answers its name. `health` is the status for probes at `LIVE`, `status` and `delay` (seconds) are for all others; `probes` are the hosts that probes asked for."""

    daemon_threads = True

    def __init__(self, name: str, *, delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.name, self.health, self.status, self.delay = name, 200, 200, delay
        self.probes: list[str | None] = []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def end(self) -> None:
        """Serve no more."""
        self.shutdown()
        self.server_close()


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Moody = self.server  # type: ignore[assignment]
        probe = self.path == LIVE
        if probe:
            server.probes.append(self.headers["host"])
        else:
            time.sleep(server.delay)
        self.send_response(server.health if probe else server.status)
        self.send_header("x-echo-name", server.name)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing is said."""
