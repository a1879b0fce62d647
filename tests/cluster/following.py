"""Clients that go where an Ingress's status sends them, as a name server would that is made of it; and what they saw.

Comes in: an Ingress. Goes out: requests on kept HTTP/1.1 and HTTP/2 connections and on new ones, and those that failed. A kept connection stays where it is until the
server closes it. An empty status leaves clients with what they know; it is counted.
"""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from commands import Kubectl
from installs import shown

from weirkeeper.testing.client import ClientTls, Target
from weirkeeper.testing.load import Ask, Mix, Plan, Record, Result, Running, load

RATE = 110.0
LONGEST = 900.0


class Followed:
    """The addresses of an Ingress's status, in a file, as they change."""

    def __init__(self, kubectl: Kubectl, name: str, file: Path) -> None:
        self.file, self.seen = file, list[list[str]]()
        self._told(shown(kubectl, name))
        path = "{.status.loadBalancer.ingress[*].ip}"
        self._command = ["kubectl", "-n", kubectl.namespace, "get", "ingress", name, "--watch", "-o", f"jsonpath={path}{{'\\n'}}"]
        self._watch: subprocess.Popen[str] | None = None
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        while self._reader.is_alive():
            if self._watch is not None:
                self._watch.terminate()
            self._reader.join(0.2)

    def _read(self) -> None:
        """A watch that has ended, of whatever cause, begins anew: clients know what the status says now."""
        while not self._closed.is_set():
            with subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True) as self._watch:
                assert self._watch.stdout is not None
                for line in self._watch.stdout:
                    self._told(sorted(line.split()))
            self._closed.wait(0.2)

    def _told(self, addresses: list[str]) -> None:
        self.seen.append(addresses)
        if addresses:
            beside = self.file.with_suffix(".new")
            beside.write_text("\n".join(addresses))
            beside.replace(self.file)


class Clients:
    """The load; after ``stop`` the questions can be asked."""

    def __init__(self, running: dict[Mix, Running], followed: Followed) -> None:
        self._running, self.followed = running, followed
        self.results: dict[Mix, Result] = {}

    def stop(self) -> None:
        """End it, once each kind of client has sent as many requests as were wished."""
        self.results = {mix: one.stop() for mix, one in self._running.items()}

    @property
    def count(self) -> int:
        """How many requests there were."""
        return sum(len(result.records) for result in self.results.values())

    def told(self) -> str:
        """What there was, for a person."""
        each = [f"{mix.value}: {len(one.records)}, {one.reconnects} closed while idle" for mix, one in self.results.items()]
        return f"{self.count} requests ({'; '.join(each)}); statuses: {self.followed.seen}"

    def failures(self, by: str) -> dict[Mix, list[Record]]:
        """Requests that a backend of that name did not answer with 200, by kind of client."""
        right = (200, by)
        found = {mix: result.failures(lambda r: (r.status, r.answer) == right) for mix, result in self.results.items()}
        return {mix: records for mix, records in found.items() if records}


@contextlib.contextmanager
def following(
    kubectl: Kubectl, name: str, host: str, folder: Path, *, least: int, port: int = 80, secure: int | None = None
) -> Iterator[Clients]:
    """Requests for a host, to wherever its Ingress's status says, at least so many of each kind. HTTP/2 comes with ``secure``, the port of HTTPS."""
    kinds = {Mix.KEEP_ALIVE: None, Mix.NEW_CONNECTION: None}
    if secure is not None:
        kinds[Mix.HTTP2] = ClientTls(sni=host, alpn=("h2",))
    followed = Followed(kubectl, name, folder / "addresses")
    with contextlib.ExitStack() as stack:
        stack.callback(followed.close)
        running = {}
        for mix, tls in kinds.items():
            target = Target(address=followed.seen[0][0], port=port if tls is None else secure or 443, tls=tls)
            plan = Plan(
                target=target, asks=(Ask(name=host, host=host),), mix=mix, connections=4, rate=RATE, seconds=LONGEST,
                least=least, follow=str(followed.file),
            )  # fmt: skip
            running[mix] = stack.enter_context(load(plan))
        yield Clients(running, followed)
