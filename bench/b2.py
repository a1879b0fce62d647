"""B2, endpoint storm: 1,000 EndpointSlice changes a second for ten seconds, then all of them at once. The fake API server is a process of its own and writes the watch events.

10,000 Services of ten endpoints, an Ingress each, one real Envoy. Every change moves one Service from one backend to the other, so Envoy's own answers tell when it has arrived. Staleness: from the moment
just before the server keeps the change until a keep-alive connection that asks for that host every millisecond (`PAUSE`) has the new answer. Each of the `PROBES` connections follows one host after
another, chosen `AHEAD` of the storm: a sample of the changes. After the storm every host is asked: one that does not answer from the new backend ends the run. CPU is that of the processes.
"""

import contextlib
import time

import msgspec

from bench import kube
from bench.clients import PATIENCE, Connection, WrongAnswer, source_ports
from bench.cluster import Engine, Weir, envoy, keys_of, weir
from bench.figures import machine, quantile, rounds, save, summary, table
from bench.propagation import short
from bench.stand import backends, scratch
from weirkeeper.testing.apiserver import ApiServerProcess, apiserver_process
from weirkeeper.testing.engines.usage import cpu_seconds

PROBES, PAUSE, AHEAD = 2, 0.001, 0.030
ENDPOINTS = 10


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One sampled change: how long after it Envoy answered by it."""

    run: str
    number: int
    ms: float


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """One storm. `done_s`: from the first change until the last of the sampled hosts answered right; CPU in microseconds for each change."""

    run: str
    changes: int
    server_s: float
    done_s: float
    weir_us: float
    envoy_us: float
    server_us: float
    weir_rss_mb: float


def host(n: int) -> str:
    return f"h{n}.apps.example"


def kubeconfig_of(server: ApiServerProcess) -> str:
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "fake", "clusters": [{"name": "fake", "cluster": {"server": server.url}}],
        "users": [{"name": "fake", "user": {}}], "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }  # fmt: skip
    return msgspec.json.encode(document).decode()


def fill(server: ApiServerProcess, size: int, port: int) -> list[int]:
    """The objects; and the numbers of the Services in the order in which a storm changes their slices."""
    for one in (kube.namespace(kube.NAMESPACE), kube.ingress_class()):
        server.control("put", one)
    kube.bulk(kubeconfig_of(server), _objects(size, port))
    return sorted(range(size), key=lambda n: f"s{n}-1")


def _objects(size: int, port: int):
    for n in range(size):
        yield kube.service(f"s{n}")
        yield kube.endpoint_slice(f"s{n}", dict.fromkeys(kube.address(n * ENDPOINTS + e) for e in range(ENDPOINTS)), port)
        yield kube.ingress(f"i{n}", host(n), f"s{n}", paths=("/",))


class Storms:
    """A running system, and the storms that go over it."""

    def __init__(self, server: ApiServerProcess, plane: Weir, engine: Engine, ports: dict[str, int], order: list[int]) -> None:
        self.server, self.plane, self.engine, self.ports, self.order = server, plane, engine, ports, order
        self.now, self.then = "a", "b"
        by_worker = sorted(source_ports(engine, plane.http).items())
        self.lines = [Connection(plane.http, source) for _, source in by_worker[:PROBES]]

    def _began(self, rate: float, seconds: float) -> float:
        return self.server.control("churn", {"kind": "EndpointSlice", "rate": rate, "seconds": seconds, "path": "/ports/0/port", "value": self.ports[self.then]})["at"]

    def _spent(self) -> list[float]:
        return [cpu_seconds(pid) for pid in (self.plane.pid, self.engine.pid, self.server.pid)]

    def _changed(self) -> dict[int, float]:
        """When each was kept, by number."""
        while (said := self.server.control("churned"))["running"]:
            time.sleep(0.1)
        return {one["number"]: one["at"] for one in said["changes"]}

    def _ask(self, line: Connection, number: int) -> bool:
        got = short(line, host(self.order[number]))
        if got not in (f"200 {self.now}", f"200 {self.then}"):
            raise WrongAnswer(f"{host(self.order[number])} answered {got!r}")
        return got == f"200 {self.then}"

    def steady(self, name: str, rate: float, seconds: float) -> tuple[list[Row], Storm]:
        """A storm at a rate that lasts."""
        total = int(rate * seconds)
        before, began = self._spent(), self._began(rate, seconds)
        seen: list[tuple[int, float]] = []
        following: dict[Connection, int] = {}
        taken = -1
        while True:
            for line in self.lines:
                if line not in following:
                    taken = max(taken + 1, int((time.monotonic() - began + AHEAD) * rate))
                    if taken >= total:
                        continue
                    following[line] = taken
                if self._ask(line, following[line]):
                    seen.append((following.pop(line), time.monotonic()))
            if not following and taken >= total - 1:
                break
            if time.monotonic() > began + seconds + PATIENCE:
                raise TimeoutError(f"these changes never arrived: {sorted(following.values())}")
            time.sleep(PAUSE)
        return self._ended(name, before, seen)

    def burst(self, name: str) -> tuple[list[Row], Storm]:
        """All at once. Sampled are hosts from the whole order, the last ones among them."""
        total = len(self.order)
        before, _ = self._spent(), self._began(1e9, total / 1e9)
        waiting = sorted({*range(0, total, max(1, total // 30)), *range(max(0, total - 5), total)})
        seen: list[tuple[int, float]] = []
        deadline = time.monotonic() + PATIENCE
        while waiting:
            for number in tuple(waiting):
                if self._ask(self.lines[number % len(self.lines)], number):
                    seen.append((number, time.monotonic()))
                    waiting.remove(number)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(waiting)} sampled changes never arrived")
            time.sleep(0.01)
        return self._ended(name, before, seen)

    def _ended(self, name: str, before: list[float], seen: list[tuple[int, float]]) -> tuple[list[Row], Storm]:
        kept = self._changed()
        after = self._spent()
        for n in range(len(kept)):
            if not self._ask(self.lines[0], n):
                raise WrongAnswer(f"{host(self.order[n])} was not moved")
        self.now, self.then = self.then, self.now
        begun, last = min(kept.values()), max(kept.values())
        weir_us, envoy_us, server_us = (1e6 * (b - a) / len(kept) for a, b in zip(before, after, strict=True))
        rows = [Row(run=name, number=number, ms=1000 * (at - kept[number])) for number, at in seen]
        storm = Storm(
            run=name, changes=len(kept), server_s=last - begun, done_s=max(at for _, at in seen) - begun, weir_us=weir_us, envoy_us=envoy_us,
            server_us=server_us, weir_rss_mb=self.plane.usage().rss / 2**20,
        )  # fmt: skip
        print(f"  {name}: {storm}; p99 {quantile([r.ms for r in rows], 0.99):.1f} ms of {len(rows)}", flush=True)
        return rows, storm


def measured(size: int, rate: float, rounds: int) -> tuple[list[Row], list[Storm]]:
    """`rounds` storms that change every Service once at a rate, and as many bursts."""
    rows: list[Row] = []
    storms: list[Storm] = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        ports = stack.enter_context(backends(place, "ab", ("0.0.0.0",)))
        server = stack.enter_context(apiserver_process())
        order = fill(server, size, ports["a"])
        kubeconfig = kubeconfig_of(server)
        plane = stack.enter_context(weir(place, kubeconfig))
        engine = stack.enter_context(envoy(place, keys_of(kubeconfig, plane), plane))
        plane.ready()
        while not engine.listens():
            plane.alive()
            time.sleep(0.05)
        made = Storms(server, plane, engine, ports, order)
        for line in made.lines:
            stack.callback(line.close)
        deadline = time.monotonic() + PATIENCE
        while any(short(made.lines[0], host(n)) != "200 a" for n in (0, size // 2, size - 1)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for turn in range(rounds):
            for name, storm in ((f"steady {turn}", lambda name: made.steady(name, rate, size / rate)), (f"burst {turn}", made.burst)):
                time.sleep(2.0)
                more, one = storm(name)
                rows, storms = rows + more, [*storms, one]
    return rows, storms


def figures(rows: list[Row], storms: list[Storm]) -> dict[str, dict]:
    return {storm.run: {"staleness_ms": summary([r.ms for r in rows if r.run == storm.run]), **msgspec.to_builtins(storm)} for storm in storms}


def printed(found: dict[str, dict]) -> str:
    rows = [
        (name, f["changes"], f["staleness_ms"]["n"], f["staleness_ms"]["p50"], f["staleness_ms"]["p99"], f["staleness_ms"]["max"], f["server_s"], f["done_s"], f["weir_us"], f["envoy_us"], f["server_us"])
        for name, f in found.items()
    ]
    return table(("B2: storm", "changes", "sampled", "p50 ms", "p99", "max", "server s", "done s", "weir us", "envoy us", "server us"), rows)


def run(*, quick: bool) -> str:
    about = machine()
    rows, storms = measured(300, 200.0, 1) if quick else measured(10_000, 1000.0, rounds(5))
    found = figures(rows, storms)
    save("b2", [*rows, *storms], found, about, quick=quick)
    return printed(found)
