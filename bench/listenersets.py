"""ListenerSets at scale: 2,500 of them with 16 HTTPRoutes each on one Gateway, in 50 namespaces, over a real API server and a real Envoy; what that costs in time and memory.

Built as the benchmark whose figures stand beside ours (howardjohn/gateway-api-bench, "ListenerSet Scale"): a ListenerSet has one listener for HTTPS with a host of its own and its namespace's certificate,
its routes have that host and a path each, and lead to a Service of one endpoint. All objects are there before the control plane and Envoy are started, at the same moment. Moments, in seconds from that start:
`all answer`: every host made a handshake and answered 200 at its last route's path; `programmed`: every ListenerSet is `Programmed` and counts 16 routes; `routes told`: every route's own status says that it is
accepted; `at rest`. Each with the memory of the processes, then and at the most. Last, at rest: one more route, and one more ListenerSet with a route, from the API server's answer to the first 200.
"""

import contextlib
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench import gateway, kube
from bench.b4 import status_kib
from bench.clients import Connection
from bench.cluster import SERVED, Engine, Weir, at_rest, envoy, keys_of, real_api, weir
from bench.figures import machine, save, summary, table
from bench.stand import backends, scratch
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.ports import free_port

PATIENCE = 1800.0
ZONE = "apps.example"
SECRET = "cert"
PUBLISHED = {"agentgateway_control_plane_mb": 943, "agentgateway_proxy_mb": 140, "istio_control_plane_mb": 1280, "istio_proxy_mb": 1997}
"""Memory as published (September 2025) for 2,500 x 16, in MiB; measured on another machine."""


class Shape(NamedTuple):
    """How big."""

    sets: int = 2_500
    routes: int = 16
    namespaces: int = 50

    def where(self, n: int) -> str:
        return f"team-{n % self.namespaces}"


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A phase: seconds since the start, or milliseconds of single changes; memory in MiB."""

    phase: str
    seconds: float = 0.0
    ms: list[float] = []
    weir_rss_mb: float = 0.0
    weir_pss_mb: float = 0.0
    weir_peak_mb: float = 0.0
    envoy_rss_mb: float = 0.0
    envoy_peak_mb: float = 0.0
    weir_cpu_s: float = 0.0
    envoy_cpu_s: float = 0.0
    status_writes: int = 0


def host(n: int) -> str:
    return f"h{n}.{ZONE}"


def listener_set(shape: Shape, n: int, port: int) -> dict:
    return gateway.listener_set(f"set{n}", shape.where(n), [gateway.listener(port, name=f"l{n}", host=host(n), secret=SECRET)])


def route(shape: Shape, n: int, number: int) -> dict:
    parents = [gateway.parent(f"set{n}", where=shape.where(n), kind="ListenerSet")]
    return gateway.route(f"r{n}-{number}", host(n), f"s{n}", parents, where=shape.where(n), paths=(f"/{number}",))


def frame(shape: Shape, authority: Authority, port: int) -> Iterator[dict]:
    """What all hang on. The Gateway has a listener of its own, as it must have one."""
    pair = authority.issue(f"*.{ZONE}")
    yield gateway.gateway_class()
    yield gateway.gateway([gateway.listener(port)])
    for n in range(shape.namespaces):
        yield kube.namespace(shape.where(n))
        yield kube.tls_secret(SECRET, pair.certificate, pair.key, shape.where(n))


def objects(shape: Shape, start: int, end: int, port: int, backend: int) -> Iterator[dict]:
    """ListenerSets `start` to `end` with all that is theirs."""
    for n in range(start, end):
        yield kube.service(f"s{n}", shape.where(n))
        yield kube.endpoint_slice(f"s{n}", [kube.address(n)], backend, shape.where(n))
        yield listener_set(shape, n, port)
        for number in range(shape.routes):
            yield route(shape, n, number)


def answers(port: int, name: str, path: str, context: ssl.SSLContext) -> bool:
    """Whether a new connection with this server name gets a 200. One that is refused, closed, or has no certificate yet does not."""
    with contextlib.suppress(OSError, AssertionError), contextlib.closing(Connection(port, 0, context, name)) as line:
        return line.ask(name, path)[0] == 200
    return False


def until_answered(port: int, name: str, path: str, context: ssl.SSLContext, pause: float = 0.002) -> int:
    """When (ns) it first answered 200."""
    deadline = time.monotonic() + PATIENCE
    while not answers(port, name, path, context):
        if time.monotonic() > deadline:
            raise TimeoutError(f"https://{name}{path} never answered 200")
        time.sleep(pause)
    return time.monotonic_ns()


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Listener(msgspec.Struct, rename="camel"):
    attached_routes: int = 0


class _Parent(msgspec.Struct):
    conditions: list[_Condition] = []


class _Status(msgspec.Struct):
    conditions: list[_Condition] = []
    listeners: list[_Listener] = []
    parents: list[_Parent] = []


class _Item(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


class _List(msgspec.Struct):
    items: list[_Item]
    metadata: dict = {}


def statuses(api: kube.Api, plural: str) -> list[_Status]:
    """Those of all objects of a kind, page by page."""
    found, after = list[_Status](), ""
    while True:
        page = msgspec.convert(api.get(f"/apis/{gateway.GROUP}/v1/{plural}?limit=2000{after}"), _List)
        found += [one.status for one in page.items]
        if not (token := page.metadata.get("continue")):
            return found
        after = f"&continue={token}"


def says(conditions: list[_Condition], of_type: str) -> bool:
    return any((one.type, one.status) == (of_type, "True") for one in conditions)


def programmed(api: kube.Api, shape: Shape) -> bool:
    """Whether every ListenerSet is, with all of its routes."""
    sets = statuses(api, "listenersets")
    good = (says(one.conditions, "Programmed") and [at.attached_routes for at in one.listeners] == [shape.routes] for one in sets)
    return len(sets) == shape.sets and all(good)


def routes_told(api: kube.Api, shape: Shape) -> bool:
    """Whether every route is accepted, in its own words."""
    routes = statuses(api, "httproutes")
    return len(routes) == shape.sets * shape.routes and all(one.parents and says(one.parents[0].conditions, "Accepted") for one in routes)


class Running:
    """The control plane and its Envoy, from the moment at which they were started."""

    def __init__(self, plane: Weir, engine: Engine, began: float) -> None:
        self.plane, self.engine, self.began = plane, engine, began

    def row(self, phase: str, ms: list[float] | None = None) -> Row:
        ours, theirs = self.plane.usage(), self.engine.usage()
        return Row(
            phase=phase, seconds=round(time.monotonic() - self.began, 1), ms=[round(one, 2) for one in ms or ()],
            weir_rss_mb=round(ours.rss / 2**20, 1), weir_pss_mb=round(ours.pss / 2**20, 1), weir_peak_mb=round(status_kib(self.plane.pid, "VmHWM") / 1024, 1),
            envoy_rss_mb=round(theirs.rss / 2**20, 1), envoy_peak_mb=round(status_kib(self.engine.pid, "VmHWM") / 1024, 1), weir_cpu_s=round(ours.cpu, 1),
            envoy_cpu_s=round(theirs.cpu, 1), status_writes=int(self.plane.number("status_writes_total")),
        )  # fmt: skip


def measured(shape: Shape, changes: int) -> Iterator[Row]:
    """All phases, each as soon as it is over; the first is how long it took to create everything."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        backend = stack.enter_context(backends(place, "a", ("0.0.0.0",)))["a"]
        kubeconfig = stack.enter_context(real_api()).kubeconfig()
        port, authority = SERVED[1] if kube.isolated() else free_port(), Authority()
        gateway.install_kinds(kubeconfig)
        kube.bulk(kubeconfig, frame(shape, authority, SERVED[0] if kube.isolated() else free_port()), 1)
        yield Row(phase="created", seconds=round(kube.bulk(kubeconfig, objects(shape, 0, shape.sets, port, backend)), 1))
        running = stack.enter_context(started(place, kubeconfig))
        api = kube.Api(kubeconfig)
        stack.callback(api.close)
        context = ssl.create_default_context(cadata=authority.pem().decode())
        yield from first_load(running, shape, port, context, api)
        yield from one_more(running, shape, changes, (port, backend), context, api)


@contextlib.contextmanager
def started(place: Path, kubeconfig: str) -> Iterator[Running]:
    with weir(place, kubeconfig, more=gateway.FLAGS) as plane:
        began = time.monotonic()
        with envoy(place, keys_of(kubeconfig, plane), plane, load_balancer=gateway.LOAD_BALANCER) as engine:
            yield Running(plane, engine, began)


def first_load(running: Running, shape: Shape, port: int, context: ssl.SSLContext, api: kube.Api) -> Iterator[Row]:
    for n in range(shape.sets):
        running.plane.alive()
        until_answered(port, host(n), f"/{shape.routes - 1}", context, 0.05)
        if n == 0:
            yield running.row("first answers")
    yield running.row("all answer")
    for phase, true, pause in (("programmed", programmed, 1.0), ("routes told", routes_told, 5.0)):
        deadline = time.monotonic() + PATIENCE
        while not true(api, shape):
            running.plane.alive()
            if time.monotonic() > deadline:
                raise TimeoutError(f"never: {phase}")
            time.sleep(pause)
        yield running.row(phase)
    at_rest(running.plane, PATIENCE)
    yield running.row("at rest")


def one_more(running: Running, shape: Shape, changes: int, ports: tuple[int, int], context: ssl.SSLContext, api: kube.Api) -> Iterator[Row]:
    """New routes of standing ListenerSets; then new ListenerSets whose Services are there."""
    port, backend = ports
    routes, sets = list[float](), list[float]()
    for number in range(changes):
        n = number * 7919 % shape.sets
        moments = api.create(route(shape, n, shape.routes + number))
        routes.append((until_answered(port, host(n), f"/{shape.routes + number}", context) - moments.answered) / 1e6)
        time.sleep(0.02)
    yield running.row("one more route", routes)
    for n in range(shape.sets, shape.sets + changes):
        held = list(objects(shape._replace(routes=1), n, n + 1, port, backend))
        at_rest(running.plane, PATIENCE)
        for one in held[:-1]:
            moments = api.create(one)
        api.create(held[-1])
        sets.append((until_answered(port, host(n), "/0", context) - moments.answered) / 1e6)
    yield running.row("one more ListenerSet", sets)


def printed(rows: list[Row]) -> str:
    columns = [field for field in Row.__struct_fields__ if field not in ("phase", "ms")]
    cells = [(row.phase, *(getattr(row, column) for column in columns), *(summary(row.ms)[key] if row.ms else "" for key in ("p50", "max"))) for row in rows]
    return table(("listenersets: phase", *columns, "p50 ms", "max"), cells)


def run(*, quick: bool) -> str:
    about, rows = machine(), list[Row]()
    shape, changes = (Shape(60, 4, 5), 3) if quick else (Shape(), 10)
    for row in measured(shape, changes):
        print(f"  {row}", flush=True)
        rows.append(row)  # kept at once: a run takes long, and one that is ended early has said something too
        save("listenersets", rows, {"shape": shape._asdict(), "published": PUBLISHED}, about, quick=quick)
    return printed(rows)
