"""The big cluster of B4 and B5: Ingresses over several namespaces, each with a Service of ten endpoints, a fifth of them with TLS.

Comes in: a size. Goes out: objects in an order in which nothing refers to what is not there yet; and asking all hosts at once.
"""

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench import kube
from bench.clients import Connection, connect
from bench.cluster import KEPT, SERVED, envoy, kept_api, keys_of, real_api, weir
from bench.stand import backends
from weirkeeper.testing.apiserver_real import ApiServer
from weirkeeper.testing.certificates import Authority

BACKEND = 8099
LENGTH = re.compile(rb"(?i)content-length: (\d+)")


class Shape(NamedTuple):
    """How big."""

    ingresses: int = 10_000
    endpoints: int = 10
    secrets: int = 2_000
    namespaces: int = 10

    def where(self, n: int) -> str:
        return f"team-{n % self.namespaces}"

    def answers(self, n: int) -> bytes:
        """What host N answers to plain HTTP: those with TLS send clients there."""
        return b"308" if n < self.secrets else b"200"


def host(n: int) -> str:
    return f"h{n}.apps.example"


def objects(shape: Shape, port: int, authority: Authority) -> Iterator[dict]:
    """Everything but the namespaces, endpoints with an address each where the machine has them."""
    for n in range(shape.ingresses):
        where = shape.where(n)
        yield kube.service(f"s{n}", where)
        yield kube.endpoint_slice(f"s{n}", addresses(shape, n), port, where)
        if n < shape.secrets:
            pair = authority.issue(host(n))
            yield kube.tls_secret(f"t{n}", pair.certificate, pair.key, where)
        yield kube.ingress(f"i{n}", host(n), f"s{n}", where=where, secret=f"t{n}" if n < shape.secrets else "")


class Big(NamedTuple):
    """The cluster with that state, what its hosts' certificates are verified by, where its backend listens, and how long it took to fill (0: it was kept from before)."""

    server: ApiServer
    trust: bytes
    port: int
    loaded_s: float


@contextlib.contextmanager
def big(place: Path, shape: Shape) -> Iterator[Big]:
    """A running API server with everything in it, as an install leaves it that has been at work. Inside a network of our own, where ports and addresses are the same each time, it is kept for the next run."""
    name, took, fresh = "-".join(map(str, ("state", *shape, *SERVED))), [0.0], Authority()
    trust, port = KEPT / f"{name}.pem", BACKEND if kube.isolated() else 0

    def fill(kubeconfig: str) -> None:
        kube.bulk(kubeconfig, [kube.ingress_class(), *map(kube.namespace, sorted({shape.where(n) for n in range(shape.ingresses)}))])
        took[0] = kube.bulk(kubeconfig, objects(shape, ports["a"], fresh))
        live_in(place, kubeconfig, shape)

    with backends(place, "a", ("0.0.0.0",), port) as ports:
        if not port:
            with real_api() as server:
                fill(server.kubeconfig())
                yield Big(server, fresh.pem(), ports["a"], took[0])
            return
        with kept_api(name, fill) as server:
            if took[0]:
                trust.write_bytes(fresh.pem())
            yield Big(server, trust.read_bytes(), port, took[0])


def live_in(place: Path, kubeconfig: str, shape: Shape) -> None:
    """Let the install run once until every status is written, then stop it: what comes after is no first start."""
    deadline = time.monotonic() + 600
    with weir(place, kubeconfig, name="before") as plane, envoy(place, keys_of(kubeconfig, plane), plane):
        while plane.number("status_writes_total") < shape.ingresses:
            plane.alive()
            if time.monotonic() > deadline:
                raise TimeoutError("the statuses are not written")
            time.sleep(0.5)


def addresses(shape: Shape, n: int) -> list[str]:
    return list(dict.fromkeys(kube.address(n * shape.endpoints + e) for e in range(shape.endpoints)))


def all_answer(port: int, shape: Shape, seconds: float, check: Callable[[], None], connections: int = 32) -> float:
    """When (monotonic seconds) the last host answered right: those that did not are asked again and again, over connections that ask one thing at a time."""
    waiting, deadline = list(range(shape.ingresses)), time.monotonic() + seconds
    lines = [connect(port) for _ in range(connections)]
    try:
        while waiting:
            check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(waiting)} hosts do not answer: {host(waiting[0])} and others")
            waiting = [n for start in range(0, len(waiting), connections) for n in _wrong(lines, shape, waiting[start : start + connections])]
    finally:
        for line in lines:
            line.close()
    return time.monotonic()


def _wrong(lines: list[socket.socket], shape: Shape, numbers: list[int]) -> list[int]:
    pairs = list(zip(lines, numbers, strict=False))
    for line, n in pairs:
        line.sendall(f"GET / HTTP/1.1\r\nHost: {host(n)}\r\n\r\n".encode())
    return [n for line, n in pairs if _status(line) != shape.answers(n)]


def _status(line: socket.socket) -> bytes:
    """The status of one whole answer: ours have a content-length and are short."""
    got = b""
    while not (end := got.find(b"\r\n\r\n")) > 0 or len(got) - end - 4 < int(LENGTH.search(got)[1]):
        more = line.recv(1 << 16)
        if not more:
            raise ConnectionError(f"a keep-alive connection was closed after {got!r}")
        got += more
    return got[9:12]


def tls_answers(port: int, numbers: list[int], trust: bytes, until: float) -> float:
    """When (monotonic seconds) the last of these hosts made a handshake with its own certificate and answered 200."""
    context = ssl.create_default_context(cadata=trust.decode())
    for n in numbers:
        while True:
            try:
                with contextlib.closing(Connection(port, 0, context, host(n))) as line:
                    status, _ = line.ask(host(n))
                if status == 200:
                    break
            except OSError as error:  # nobody listens yet, or no certificate yet
                if time.monotonic() > until:
                    raise TimeoutError(f"{host(n)} over TLS: {error}") from None
            time.sleep(0.005)
    return time.monotonic()
