"""B1 on HAProxy: from the watch event, and from the agent's receipt, until HAProxy answers right; etcd, kube-apiserver, control plane, agent, HAProxy and client on one machine.

N Ingresses have a Service, an EndpointSlice and a host each. `new`: an Ingress with a host of its own is created. `pointed`: a live Ingress is pointed at another Service. `endpoint`: the
Service's one endpoint is another. `removed`: the new one is deleted. `reload`, the peer: a change that HAProxy can only be told by a reload, in the same run and at the same size, which
is what every change costs where there is no agent; they are far enough apart not to wait for one another.

`event_ms` begins when the control plane's intake was handed the event, `ms` when the agent had received the items; both end with the right answer on a polled connection that is kept
alive. `engine_ms` ends when HAProxy had taken all steps.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bench import kube
from bench.clients import PATIENCE, PAUSE, Connection, WrongAnswer, until_live
from bench.cluster import LOAD_BALANCER, ROOT, Weir, keys_of, real_api
from bench.figures import machine, rounds, save, summary, table
from bench.propagation import objects
from bench.stand import backends, child, scratch
from weirkeeper.testing.agent_instance import AgentInstance
from weirkeeper.testing.engines import usage_of
from weirkeeper.testing.haproxy_instance import HaproxyInstance

LIVE, LIVE_SERVICE = "live.apps.example", "live-own"
QUIET, APART = 0.02, 2.5


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A change."""

    size: int
    change: str
    ms: float
    event_ms: float
    engine_ms: float


class Clock:
    """The lines that a clocked command writes."""

    def __init__(self, path: Path) -> None:
        self.path, self._at, self.lines = path, 0, []

    def first(self, what: str, after: int, name: str = "", seconds: float = 10.0) -> int:
        """When that first happened after a moment, to something of that name."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.path.open("rb") as file:
                file.seek(self._at)
                text = file.read()
            whole = text.rpartition(b"\n")[0]
            self._at += len(whole) + 1 if whole else 0
            self.lines += [json.loads(line) for line in whole.splitlines()]
            for line in self.lines:
                if line["what"] == what and line["at"] >= after and (not name or any(name in one for one in line["names"])):
                    return line["at"]
            time.sleep(0.002)
        raise TimeoutError(f"no {what} of {name!r}")


class Stand:
    """Everything that runs."""

    def __init__(self, api: kube.Api, plane: Clock, agent: Clock, port: int, size: int) -> None:
        self.api, self.plane, self.agent, self.port, self.size = api, plane, agent, port, size
        self.connection = Connection(port)

    def row(self, change: str, made: Callable[[], object], named: tuple[str, str], host: str, before: set[str], after: str) -> Row:
        began = time.monotonic_ns()
        made()
        ended = self._until(host, before, after)
        event = self.plane.first("event", began, named[0])
        got = self.agent.first("round", event, named[1])
        settled = self.agent.first("settled", got)
        return Row(size=self.size, change=change, ms=(ended - got) / 1e6, event_ms=(ended - event) / 1e6, engine_ms=(settled - got) / 1e6)

    def _until(self, host: str, before: set[str], after: str) -> int:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                status, headers = self.connection.ask(host)
            except WrongAnswer:  # a generation that ends closes its connections
                self.connection.close()
                self.connection = Connection(self.port)
                continue
            got = f"{status} {headers.get('x-answer', '')}".strip()
            if got == after:
                return time.monotonic_ns()
            if got not in before:
                raise WrongAnswer(f"{host} answered {got!r}; before {before}, after {after!r}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{host} never answered {after!r} but {got!r}")
            time.sleep(PAUSE)


def changes(stand: Stand, ports: dict[str, int], number: int) -> Iterator[Row]:
    """One of each kind that needs no reload."""
    name = f"n{number}"
    host, made = f"{name}.apps.example", kube.ingress(name, f"{name}.apps.example", f"s{number * 7919 % stand.size}")
    to, was = ("b", "a") if number % 2 == 0 else ("a", "b")
    for change, act, named, at, before, after in (
        ("new", lambda: stand.api.create(made), (f"Ingress/{name}", host), host, {"404"}, "200 a"),
        ("pointed", lambda: stand.api.replace(kube.ingress("live", LIVE, f"live-{to}")), ("Ingress/live", LIVE), LIVE, {f"200 {was}"}, f"200 {to}"),
        ("endpoint", lambda: stand.api.replace(kube.endpoint_slice(LIVE_SERVICE, (kube.address(100_001),), ports[to])),
         (f"EndpointSlice/{LIVE_SERVICE}", LIVE_SERVICE), "own.apps.example", {f"200 {was}"}, f"200 {to}"),
        ("removed", lambda: stand.api.delete(made), (f"Ingress/{name}", host), host, {"200 a"}, "404"),
    ):  # fmt: skip
        yield stand.row(change, act, named, at, before, after)
        time.sleep(QUIET)


def reloaded(stand: Stand, number: int) -> Row:
    """A host whose route asks for something that stands in a section of its own."""
    name = f"r{number}"
    made = kube.ingress(name, f"{name}.apps.example", "s0")
    made["metadata"]["annotations"] = {"nginx.ingress.kubernetes.io/x-forwarded-prefix": f"/{number}"}
    time.sleep(APART)
    return stand.row("reload", lambda: stand.api.create(made), (f"Ingress/{name}", f"{name}.apps.example"), f"{name}.apps.example", {"404"}, "200 a")


def frame(ports: dict[str, int]) -> Iterator[dict]:
    yield kube.ingress_class()
    for name, port in ports.items():
        yield kube.service(f"live-{name}")
        yield kube.endpoint_slice(f"live-{name}", (kube.address(100_000),), port)
    yield kube.service(LIVE_SERVICE)
    yield kube.endpoint_slice(LIVE_SERVICE, (kube.address(100_001),), ports["a"])
    yield kube.ingress("live", LIVE, "live-a")
    yield kube.ingress("own", "own.apps.example", LIVE_SERVICE)


@contextlib.contextmanager
def started(kind: type[AgentInstance], place: Path, kubeconfig: str, size: int) -> Iterator[tuple[Stand, dict[str, float]]]:
    """A control plane, an agent and its engine, and every sampled host answers."""
    with contextlib.ExitStack() as stack:
        api = kube.Api(kubeconfig)
        stack.callback(api.close)
        plane, clocks = Weir(place, f"b{size}"), {one: Clock(place / f"{one}-{size}.clock") for one in ("plane", "agent")}
        file = place / f"{plane.name}.kubeconfig"
        file.write_text(kubeconfig)
        for clock in clocks.values():
            clock.path.touch()
        command = [sys.executable, "-m", "bench.clocked", str(clocks["plane"].path), *plane.command(file, (f"--provider={kind.kind}",))[3:]]
        plane.process = stack.enter_context(child(command, plane.log, cwd=ROOT))
        beside = kind(place / f"i{size}", LOAD_BALANCER, "i0", [f"127.0.0.1:{plane.ads}"], ["192.0.2.7"])
        beside.certify(keys_of(kubeconfig, plane), LOAD_BALANCER, "i0")
        beside.start_supervisor()
        began = time.monotonic()
        asked = [sys.executable, "-m", "bench.clocked", str(clocks["agent"].path), *beside.command[3:]]
        agent: subprocess.Popen = stack.enter_context(child(asked, place / f"agent-{size}.log", cwd=ROOT))
        stack.callback(beside.end_now)
        for n in {0, size // 2, size - 1}:
            until_live(plane.http, f"h{n}.apps.example", "/", "200")
        until_live(plane.http, LIVE, "/", "200")
        up = {"first_s": time.monotonic() - began}
        time.sleep(3.0)
        stand = Stand(api, clocks["plane"], clocks["agent"], plane.http, size)
        stack.callback(lambda: stand.connection.close())
        yield stand, up
        up["agent_pss_mb"] = usage_of(agent.pid).pss / 1e6
        up["engine_pss_mb"] = max(usage_of(pid).pss for pid in beside.processes_now()) / 1e6


def measured(sizes: tuple[int, ...], share: int, reloads: int) -> tuple[list[Row], dict[str, dict]]:
    rows: list[Row] = []
    about: dict[str, dict] = {}
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        ports = stack.enter_context(backends(place, "ab", ("0.0.0.0",)))
        kubeconfig = stack.enter_context(real_api()).kubeconfig()
        kube.bulk(kubeconfig, frame(ports))
        there = 0
        for size in sizes:
            kube.bulk(kubeconfig, objects(there, size, ports["a"]))
            there = size
            with started(HaproxyInstance, place, kubeconfig, size) as (stand, up):
                for number in range(share - share % 2):
                    rows += changes(stand, ports, number + 1000 * size)
                    if number % max(share // reloads, 1) == 0:
                        rows.append(reloaded(stand, number + 1000 * size))
                        time.sleep(APART)
            about[str(size)] = up
            print(f"  {size}: {up}", flush=True)
    return rows, about


def figures(rows: list[Row]) -> dict[str, dict]:
    found = {}
    for size, change in sorted({(r.size, r.change) for r in rows}):
        mine = [r for r in rows if (r.size, r.change) == (size, change)]
        event, engine = summary([r.event_ms for r in mine]), summary([r.engine_ms for r in mine])
        found[f"{size} {change}"] = summary([r.ms for r in mine]) | {"event_p50": event["p50"], "event_p99": event["p99"], "engine_p50": engine["p50"]}
    return found


def printed(found: dict[str, dict]) -> str:
    rows = [(key, f["n"], f["p50"], f["p90"], f["p99"], f["max"], f["event_p50"], f["event_p99"], f["engine_p50"]) for key, f in found.items()]
    head = ("N, change", "n", "p50 ms", "p90", "p99", "max", "event p50", "event p99", "engine p50")
    return table(head, rows)


def run(*, quick: bool) -> str:
    about = machine()
    rows, up = measured((10, 100), 6, 2) if quick else measured((10, 1_000, 10_000), 20 * rounds(5), 10)
    found = figures(rows)
    save("b1_haproxy", rows, {**found, "up": up}, about, quick=quick)
    return printed(found)
