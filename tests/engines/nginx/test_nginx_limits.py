"""A request with a limit of its own: what begins too late is a 504, whatever comes in between; what goes on for too long is broken off."""

import contextlib
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from weirkeeper.model.filters import Timeouts
from weirkeeper.model.match import RouteMatch, SegmentPrefix
from weirkeeper.model.text import PathText
from weirkeeper.model.value import Milliseconds
from weirkeeper.providers.nginx import PROVIDER
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("nginx-limits")]

LIMIT, STEP, STEPS = 1.6, 0.5, 8
"""Seconds: a limit that one step is far from, and all steps are beyond."""


class Slow(socketserver.BaseRequestHandler):
    """Says its answer in small parts: of its head where the path says so, else of its body."""

    def handle(self) -> None:
        head = self.request.recv(65536).startswith(b"GET /head")
        rest = b"" if head else b"content-length: %d\r\n\r\n" % STEPS
        with contextlib.suppress(OSError):
            self.request.sendall(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\n" + rest)
            for number in range(STEPS):
                time.sleep(STEP)
                self.request.sendall(b"x-%d: 1\r\n" % number if head else b".")
            if head:
                self.request.sendall(b"content-length: 4\r\n\r\nlate")


@pytest.fixture(scope="module")
def queue() -> Iterator[socket.socket]:
    """A listener in whose queue one connection has a place."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        listener.settimeout(30)
        yield listener


@pytest.fixture(scope="module")
def site(queue: socket.socket) -> Iterator[Site]:
    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) as slow,
        running_backends() as backends,
        running_stage(Rig(PROVIDER, options={"reload-milliseconds": "50"})) as stage,
    ):
        threading.Thread(target=slow.serve_forever, args=(0.05,), daemon=True).start()
        made = Site(stage, backends, "limits")
        ports = {"slow": slow.server_address[1], "queue": queue.getsockname()[1]}
        limits = Timeouts(request=Milliseconds(int(LIMIT * 1000)))
        behind = RouteMatch(path=SegmentPrefix(value=PathText("/queue")))
        routes = [made.route(to="slow", timeouts=limits), made.route(behind, to="queue", timeouts=limits)]
        made.apply(
            made.neutral(
                *routes, backends=map(made.backend, ports), endpoints={name: (port,) for name, port in ports.items()}
            )
        )
        made.until(lambda got: got.status == 504, "/head")
        yield made
        slow.shutdown()


def test_a_head_in_parts_is_a_504(site: Site) -> None:
    began = time.monotonic()
    got = site.get("/head")
    assert (got.status, got.header("set-cookie"), got.header("x-0")) == (504, None, None)
    assert time.monotonic() - began >= LIMIT * 0.9


def test_a_body_in_parts_is_broken_off(site: Site) -> None:
    address, port = site.stage.rig.reach(site.stage.http_port)
    url = f"http://{address or '127.0.0.1'}:{port}/body"
    command = ["curl", "-s", "-m", "60", "-w", "%{http_code}", "-H", f"Host: {site.host}", url]
    got = subprocess.run(command, capture_output=True, check=False)
    parts, status = got.stdout[:-3], got.stdout[-3:]
    assert (got.returncode, status) == (18, b"200")
    assert len(parts) < STEPS


def connecting(port: int) -> bool:
    """Whether somebody waits for this port to take his connection (state SYN_SENT, proc_net_tcp of the kernel's documentation)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any((far.endswith(f":{port:04X}"), state) == (True, "02") for _, _, far, state, *_ in map(str.split, lines))


def late(listener: socket.socket) -> None:
    """Takes the connection that has the place, once another one waits for it; then that one, by which is asked; its answer begins a while later."""
    poll_until(lambda: connecting(listener.getsockname()[1]), 30, what="the second connection waits")
    listener.accept()[0].close()
    with listener.accept()[0] as asked:
        asked.settimeout(30)
        asked.recv(65536)
        time.sleep(LIMIT * 0.7)
        asked.sendall(b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 4\r\n\r\nlate")


def test_a_head_behind_a_slow_connection_is_a_504(site: Site, queue: socket.socket) -> None:
    """The queue is full, so the kernel says nothing until it is asked again, a second later; then the head takes its time as well."""
    with socket.create_connection(queue.getsockname()):
        answering = threading.Thread(target=late, args=(queue,))
        answering.start()
        got = site.get("/queue")
        answering.join()
    assert (got.status, got.text, got.header("set-cookie")) == (504, "", None)
