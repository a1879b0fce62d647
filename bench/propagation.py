"""Propagation in a cluster: from the API server's answer to a write until a proxy answers right; etcd, kube-apiserver, control plane, proxy and client on one machine.

`new`: an Ingress with a host of its own is created. `pointed`: a live Ingress is pointed at another Service by a patch, under load, and every answer of that load is judged.
`removed`: the new one is deleted again. The clock starts when the API server's answer was read and stops when a polled keep-alive connection had the right answer:
`ms` the first connection, `all_ms` the last (of ours there is one to each worker of Envoy; of Traefik four). N Ingresses have a Service, an EndpointSlice and a host each.

Systems: `weir` and, as peers, Traefik's Ingress provider over the same objects, throttle 0 (`traefik`) and as it comes (`traefik-default`). In each round one system after the other
is started, serves all, comes to rest (its statuses are written), makes its share of changes and is ended: on two cores, one that ran beside another would pay for it.

All of it is said of Ingresses here; `propagation_gateway` says it of HTTPRoutes (`Language`).
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from bench import kube
from bench.clients import PATIENCE, PAUSE, Connection, WrongAnswer, source_ports, until_live
from bench.cluster import LOAD_BALANCER, at_rest, calm, envoy, keys_of, real_api, traefik, weir
from bench.figures import machine, rounds, save, summary, table
from bench.stand import backends, scratch
from weirkeeper.testing.client import Target
from weirkeeper.testing.load import Ask, Mix, Plan, load

SHARED_CLASS = "traefik.io/ingress-controller"
"""Traefik serves classes of this controller and can be told no other; ours can."""

QUIET, RESTING = 0.02, 600.0
LOAD = Plan(target=Target(port=0), asks=(), connections=8, rate=300.0, mix=Mix.KEEP_ALIVE, token="x-answer")
LIVE = "live.apps.example"


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change."""

    system: str
    size: int
    round: int
    change: str
    ms: float
    all_ms: float
    from_request_ms: float


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What the load saw while a live Ingress was pointed elsewhere, back and forth."""

    system: str
    size: int
    round: int
    requests: int
    failures: int
    changes: int


class Language(NamedTuple):
    """Which objects lead a host to a Service, and what systems are told so that they read them."""

    lead: Callable[[str, str, str], dict]
    """The object of this name that leads a host to a Service."""
    frame: Callable[[], Iterator[dict]]
    """What such objects hang on."""
    kinds: Callable[[str], None] = lambda _: None
    """Brings kinds to an API server that has not come with them."""
    controller: str = SHARED_CLASS
    flags: tuple[str, ...] = ()
    load_balancer: str = LOAD_BALANCER
    provider: str = "kubernetesIngress"
    ports: Mapping[str, int] = {}
    """Where systems must serve, where objects say it."""

    def port(self, system: str) -> int:
        return self.ports.get(system.partition("-")[0], 0)


INGRESS = Language(lead=kube.ingress, frame=lambda: iter((kube.ingress_class(controller=SHARED_CLASS),)))


def host(n: int) -> str:
    return f"h{n}.apps.example"


def objects(start: int, end: int, port: int, language: Language = INGRESS) -> Iterator[dict]:
    """Hosts `start` to `end` with what they need."""
    for n in range(start, end):
        yield kube.service(f"s{n}")
        yield kube.endpoint_slice(f"s{n}", (kube.address(n),), port)
        yield language.lead(f"i{n}", host(n), f"s{n}")


def live(language: Language, ports: dict[str, int]) -> Iterator[dict]:
    """What all hang on, and the live host with its two Services."""
    yield from language.frame()
    for name, port in ports.items():
        yield kube.service(f"live-{name}")
        yield kube.endpoint_slice(f"live-{name}", (kube.address(100_000),), port)
    yield language.lead("live", LIVE, "live-a")


def short(connection: Connection, name: str) -> str:
    status, headers = connection.ask(name)
    return f"{status} {headers.get('x-answer', '')}".strip()


def first_and_last(connections: list[Connection], name: str, before: set[str], after: str) -> tuple[int, int]:
    """When the first and the last connection had the right answer. One that is neither right nor as before ends the run; so does one that turns back."""
    waiting, first, last, deadline = list(connections), 0, 0, time.monotonic() + PATIENCE
    while waiting:
        for connection in tuple(waiting):
            got = short(connection, name)
            if got == after:
                last = time.monotonic_ns()
                first = first or last
                waiting.remove(connection)
            elif got not in before:
                raise WrongAnswer(f"{name} answered {got!r}; before {before}, after {after!r}")
        if waiting:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} never answered {after!r} but {got!r}")
            time.sleep(PAUSE)
    for connection in connections:
        if (got := short(connection, name)) != after:
            raise WrongAnswer(f"{name} turned back to {got!r}")
    return first, last


class Serving:
    """A system that serves the cluster now."""

    def __init__(self, language: Language, system: str, size: int, turn: int, api: kube.Api, port: int, connections: list[Connection]) -> None:
        self.lead, self.system, self.size, self.turn, self.api, self.port, self.connections = language.lead, system, size, turn, api, port, connections

    def _row(self, change: str, moments: kube.Moments, name: str, before: set[str], after: str) -> Row:
        first, last = first_and_last(self.connections, name, before, after)
        return Row(
            system=self.system, size=self.size, round=self.turn, change=change, ms=(first - moments.answered) / 1e6,
            all_ms=(last - moments.answered) / 1e6, from_request_ms=(first - moments.sent) / 1e6,
        )  # fmt: skip

    def come_and_go(self, number: int) -> Iterator[Row]:
        """A new host, then gone again, so that there are as many as before."""
        name = f"n{self.turn}-{number}-{self.system}"
        made = self.lead(name, f"{name}.apps.example", f"s{number * 7919 % self.size}")
        yield self._row("new", self.api.create(made), f"{name}.apps.example", {"404"}, "200 a")
        time.sleep(QUIET)
        yield self._row("removed", self.api.delete(made), f"{name}.apps.example", {"200 a"}, "404")
        time.sleep(QUIET)

    def point(self, number: int) -> Row:
        now, then = ("a", "b") if number % 2 == 0 else ("b", "a")
        made = self.lead("live", LIVE, f"live-{then}")
        row = self._row("pointed", self.api.merge(made, {"spec": made["spec"]}), LIVE, {f"200 {now}"}, f"200 {then}")
        time.sleep(QUIET)
        return row

    def under_load(self, share: int) -> tuple[list[Row], Judged]:
        """An even number of changes, so that the next system finds it as this one did."""
        changes = share + share % 2
        plan = msgspec.structs.replace(LOAD, target=Target(port=self.port), asks=(Ask(name="live", host=LIVE), Ask(name="other", host=host(0))))
        with load(plan) as running:
            rows = [self.point(number) for number in range(changes)]
            result = running.stop()
        wrong = result.failures(lambda r: r.status == 200 and r.answer in (("a", "b") if r.target == "live" else ("a",)))
        for record in wrong[:3]:
            print(f"  FAILURE {self.system} {self.size}: {record}", flush=True)
        return rows, Judged(system=self.system, size=self.size, round=self.turn, requests=len(result.records), failures=len(wrong), changes=changes)


@contextlib.contextmanager
def serving(place, kubeconfig: str, language: Language, system: str, size: int, turn: int) -> Iterator[Serving]:
    """That system, started: every sampled host answers, and it has come to rest."""
    with contextlib.ExitStack() as stack:
        api = kube.Api(kubeconfig)
        stack.callback(api.close)
        if system == "weir":
            plane = stack.enter_context(weir(place, kubeconfig, controller=language.controller, more=language.flags))
            keys = keys_of(kubeconfig, plane)
            engine = stack.enter_context(envoy(place, keys, plane, load_balancer=language.load_balancer, port=language.port(system)))
            port = engine.http
        else:
            throttle = "0s" if system == "traefik" else ""
            peer = stack.enter_context(traefik(place, kubeconfig, name=system, throttle=throttle, provider=language.provider, port=language.port(system)))
            port = peer.port
        for name in {host(0), host(size // 2), host(size - 1), LIVE}:
            until_live(port, name, "/", "200", RESTING)
        if system == "weir":
            at_rest(plane, RESTING)
            connections = [Connection(port, source) for _, source in sorted(source_ports(engine, port).items())]
        else:
            calm(peer.pid, seconds=RESTING, share=0.06)
            connections = [Connection(port) for _ in range(4)]
        for connection in connections:
            stack.callback(connection.close)
        yield Serving(language, system, size, turn, api, port, connections)


def measured(sizes: tuple[int, ...], shares: dict[str, int], rounds: int, language: Language = INGRESS) -> tuple[list[Row], list[Judged]]:
    """All rows. `shares`: changes of each kind that a system makes in a round."""
    rows: list[Row] = []
    judged: list[Judged] = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        ports = stack.enter_context(backends(place, "ab", ("0.0.0.0",)))
        kubeconfig = stack.enter_context(real_api()).kubeconfig()
        language.kinds(kubeconfig)
        kube.bulk(kubeconfig, live(language, ports), 1)
        there = 0
        for size in sizes:
            kube.bulk(kubeconfig, objects(there, size, ports["a"], language))
            there = size
            for turn in range(rounds):
                for system in list(shares) if turn % 2 == 0 else list(shares)[::-1]:
                    with serving(place, kubeconfig, language, system, size, turn) as one:
                        for number in range(shares[system]):
                            rows += one.come_and_go(number)
                        pointed, verdict = one.under_load(shares[system])
                        rows, judged = [*rows, *pointed], [*judged, verdict]
                    mine = [r.ms for r in rows if (r.system, r.size, r.round, r.change) == (system, size, turn, "new")]
                    print(f"  {size} round {turn} {system}: new p50 {summary(mine)['p50']:.1f} ms, {verdict.failures} of {verdict.requests} failed", flush=True)
    return rows, judged


def figures(rows: list[Row], judged: list[Judged]) -> dict[str, dict]:
    found = {}
    for size, change, system in sorted({(r.size, r.change, r.system) for r in rows}):
        mine = [r for r in rows if (r.size, r.change, r.system) == (size, change, system)]
        key = f"{size} {change} {system}"
        found[key] = summary([r.ms for r in mine]) | {
            "all_p50": summary([r.all_ms for r in mine])["p50"], "all_p99": summary([r.all_ms for r in mine])["p99"],
            "request_p50": summary([r.from_request_ms for r in mine])["p50"],
        }  # fmt: skip
        if change == "pointed":
            seen = [j for j in judged if (j.size, j.system) == (size, system)]
            found[key] |= {"requests": sum(j.requests for j in seen), "failures": sum(j.failures for j in seen)}
    for key, mine in found.items():
        size, change, system = key.split()
        if system != "weir" and (ours := found.get(f"{size} {change} weir")):
            mine["times_weir_p50"] = round(mine["p50"] / ours["p50"], 1)
    return found


def printed(found: dict[str, dict]) -> str:
    rows = [
        (key, f["n"], f["p50"], f["p90"], f["p99"], f["max"], f["all_p50"], f["all_p99"], f["request_p50"], f.get("times_weir_p50", ""), f.get("requests", ""), f.get("failures", ""))
        for key, f in found.items()
    ]
    return table(("N, change, system", "n", "p50 ms", "p90", "p99", "max", "last p50", "last p99", "from request", "x weir", "requests", "failed"), rows)


def run(*, quick: bool) -> str:
    return published("propagation", INGRESS, quick=quick)


def published(name: str, language: Language, *, quick: bool) -> str:
    """Measure, keep, print."""
    about = machine()
    if quick:
        rows, judged = measured((10, 100), {"weir": 10, "traefik": 4, "traefik-default": 1}, 1, language)
    else:
        rows, judged = measured((10, 1000, 3000), {"weir": 20, "traefik": 8, "traefik-default": 3}, rounds(5), language)
    found = figures(rows, judged)
    save(name, [*rows, *judged], found, about, quick=quick)
    return printed(found)
