"""B1, route propagation: from the event handed to the intake to the right answer from every worker of Envoy.

Systems, all up at once, their changes interleaved in rounds: `weir` (as it is), `rds` (P1: our own program with `layout="rds"`: one whole RouteConfiguration, the layout
of the Envoy-based peers; it emulates that layout and is not a peer's controller), `traefik` (P2, throttle 0) and `traefik-default` (throttle 2 s).

The clock of ours and P1 starts when the intake is handed the event; the time from the rename is in the rows as well. Traefik's starts when the rename of its file
returns. Cases: `hosts` (N hosts, each with its own Service), `wildcard` (the same under one `*.apps.example` with a default backend), `https` (the hosts over
TLS), `paths` (one of 5,000 paths of one host, each an Ingress of its own). `BENCH_CASES="https:10000 paths:5000"` runs these again and keeps the rows of the others.
"""

import contextlib
import json
import os
import ssl
import time
from collections.abc import Iterator

import msgspec

from bench import objects
from bench.clients import Connection, source_ports, until_live, until_right
from bench.figures import RESULTS, machine, save, summary, table
from bench.objects import Folder, Row
from bench.stand import WORKERS, Plane, Traefik, backends, plane, scratch, traefik
from weirkeeper.testing.certificates import Authority

DOMAIN = "apps.example"
PATHS_HOST = "paths.example"
QUIET, CALM = 0.02, 1.0


def host(n: int) -> str:
    return f"h{n}.{DOMAIN}"


def files(place, case: str, size: int, port: int) -> Folder:
    """The folder of a case. For `paths`, 500 Services do: paths of one host usually share some."""
    folder = Folder(place)
    folder.put("revisions.yaml", objects.config_maps())
    folder.many("services", objects.services(min(size, 500) if case == "paths" else size, port))
    if case == "https":
        pair = Authority().issue(f"*.{DOMAIN}")
        folder.put("tls.yaml", objects.tls_secret("apps", pair.certificate, pair.key))
    if case == "wildcard":
        folder.put("wildcard.yaml", objects.ingress("wild", f"*.{DOMAIN}", "s0", revision=None, default="s0"))
    for n in range(size):
        folder.put(f"i{n}.yaml", one(case, n, 0))
    return folder


def one(case: str, n: int, revision: int) -> str:
    if case == "paths":
        return objects.ingress(f"i{n}", PATHS_HOST, f"s{n % 500}", revision=revision, paths=(f"/p{n}",))
    return objects.ingress(f"i{n}", host(n), f"s{n % 10}" if n >= 10**6 else f"s{n}", revision=revision, secret="apps" if case == "https" else "")


class Ours:
    """The program, with one connection pinned to each worker (P1 is the same with the other layout)."""

    def __init__(self, made: Plane, case: str, size: int) -> None:
        self.name, self.plane, self.case, self.size = made.name, made, case, size
        self.revisions: dict[int, int] = {}
        self.new = 10**6
        self.connections: list[Connection] = []

    def start(self) -> float:
        """Seconds until the last host answers; then connections to every worker, by the workers' own counters."""
        target = self._target(self.size - 1)
        if self.case == "https":
            took = until_live(self.plane.http, target[0], "/", "308")
        else:
            took = until_live(self.plane.http, *target, f"200 {objects.rev(0)}")
        port = self.plane.https if self.case == "https" else self.plane.http
        context = None
        if self.case == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.connections = [Connection(port, source, context, host(0)) for _, source in sorted(source_ports(self.plane, port, context, host(0)).items())]
        for n in (0, self.size // 2, self.size - 1):
            until_right(self.connections, *self._target(n), before={"404", "503"}, after=f"200 {objects.rev(0)}")
        return took

    def _target(self, n: int) -> tuple[str, str]:
        return (PATHS_HOST, f"/p{n}") if self.case == "paths" else (host(n), "/")

    def change(self, n: int, number: int) -> Row:
        """Another header on a host that is there."""
        now = self.revisions[n] = self.revisions.get(n, 0) + 1
        return self._row("changed", n, number, now, {f"200 {objects.rev(now - 1)}"})

    def add(self, number: int) -> Row:
        """A host (or path) that nobody has had before."""
        self.new += 1
        return self._row("new", self.new, number, 3, {"200"} if self.case == "wildcard" else {"404"})

    def _row(self, change: str, n: int, number: int, revision: int, before: set[str]) -> Row:
        text = one(self.case, n, revision)
        began = time.monotonic_ns()
        self.plane.folder.put(f"i{n}.yaml", text)
        renamed = time.monotonic_ns()
        ended = until_right(self.connections, *self._target(n), before=before, after=f"200 {objects.rev(revision)}")
        offered = self.plane.seen(f"Ingress/i{n}", began)
        return Row(
            system=self.name, case=self.case, size=self.size, change=change, number=number, ms=(ended - offered) / 1e6,
            from_rename_ms=(ended - renamed) / 1e6, workers=len(self.connections),
        )  # fmt: skip


def router(n: int, revision: int) -> str:
    rule = f"Host(`{host(n)}`)"
    return (
        f'    r{n}: {{rule: "{rule}", service: s{n if n < 10**6 else n % 10}, middlewares: [m{revision % objects.REVISIONS}]}}\n'
        f'    a{n}: {{rule: "{rule} && PathPrefix(`/api`)", service: s{n if n < 10**6 else n % 10}, middlewares: [m{revision % objects.REVISIONS}]}}\n'
    )


class Theirs:
    """Traefik, the same hosts and two rules each, with four keep-alive connections."""

    def __init__(self, name: str, size: int, port: int) -> None:
        self.name, self.size, self.case = name, size, "hosts"
        self.routers = {n: router(n, 0) for n in range(size)}
        self.revisions: dict[int, int] = {}
        self.new = 10**6
        edits = "".join(
            f"    m{r}: {{headers: {{customResponseHeaders: {{x-rev: {objects.rev(r)}}}, customRequestHeaders: {{x-name: app}}}}}}\n" for r in range(objects.REVISIONS)
        )
        services = "".join(f'    s{n}: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{port}"}}]}}}}\n' for n in range(size))
        self.head = f"http:\n  middlewares:\n{edits}  services:\n{services}  routers:\n"
        self.engine: Traefik | None = None
        self.connections: list[Connection] = []

    def text(self) -> str:
        return self.head + "".join(self.routers.values())

    def start(self) -> float:
        took = until_live(self.engine.http, host(self.size - 1), "/", f"200 {objects.rev(0)}")
        self.connections = [Connection(self.engine.http) for _ in range(4)]
        return took

    def change(self, n: int, number: int) -> Row:
        now = self.revisions[n] = self.revisions.get(n, 0) + 1
        return self._row("changed", n, number, now, {f"200 {objects.rev(now - 1)}"})

    def add(self, number: int) -> Row:
        self.new += 1
        return self._row("new", self.new, number, 3, {"404"})

    def _row(self, change: str, n: int, number: int, revision: int, before: set[str]) -> Row:
        self.routers[n] = router(n, revision)
        renamed = self.engine.put(self.text())
        ended = until_right(self.connections, host(n), "/", before=before, after=f"200 {objects.rev(revision)}")
        ms = (ended - renamed) / 1e6
        return Row(system=self.name, case=self.case, size=self.size, change=change, number=number, ms=ms, from_rename_ms=ms)


def interleaved(systems: list[tuple[Ours | Theirs, int]], rounds: int) -> Iterator[Row]:
    """In each round every system makes its share of changes and of new hosts, the order turned from round to round."""
    done = dict.fromkeys((s.name for s, _ in systems), 0)
    for turn in range(rounds):
        for system, share in systems if turn % 2 == 0 else systems[::-1]:
            time.sleep(CALM)  # what the system before this one still works off is not this one's to bear
            for _ in range(share // rounds + (1 if share % rounds > turn else 0)):
                number = done[system.name]
                done[system.name] += 1
                for step in (lambda: system.change(number * 7919 % system.size, number), lambda: system.add(number)):  # noqa: B023
                    yield step()
                    time.sleep(QUIET)


def cell(case: str, size: int, ours: int, rds: int, theirs: int, theirs_default: int, rounds: int) -> list[Row]:
    """All rows of one case at one size."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        port = stack.enter_context(backends(place))["a"]
        systems: list[tuple[Ours | Theirs, int]] = []
        for name, layout, share in (("weir", "scoped", ours), ("rds", "rds", rds)):
            if share:
                folder = files(place / f"f-{name}", case, size, port)
                systems.append((Ours(stack.enter_context(plane(place, folder, name=name, layout=layout)), case, size), share))
        for name, throttle, share in (("traefik", "0s", theirs), ("traefik-default", "", theirs_default)):
            if share:
                peer = Theirs(name, size, port)
                peer.engine = stack.enter_context(traefik(place, name, throttle, peer.text()))
                systems.append((peer, share))
        for system, _ in systems:
            took = system.start()
            print(f"  {case} {size}: {system.name} serves after {took:.1f} s on {len(system.connections)} connections", flush=True)
        time.sleep(2.0)
        rows = list(interleaved(systems, rounds))
        for system, _ in systems:
            if isinstance(system, Ours):
                assert len(system.connections) == WORKERS
        return rows


def figures(rows: list[Row]) -> dict[str, dict]:
    out = {}
    for key in sorted({(r.case, r.size, r.change, r.system) for r in rows}):
        mine = [r for r in rows if (r.case, r.size, r.change, r.system) == key]
        out[" ".join(map(str, key))] = summary([r.ms for r in mine]) | {"rename_p50": round(summary([r.from_rename_ms for r in mine])["p50"], 3)}
    return out


def printed(found: dict[str, dict]) -> str:
    rows = [(key, f["n"], f["p50"], f["p90"], f["p99"], f["max"], f["rename_p50"]) for key, f in found.items()]
    text = table(("B1: case, N, change, system", "n", "p50 ms", "p90", "p99", "max", "from rename p50"), rows)
    ratios = []
    for key, f in found.items():
        case, size, change, system = key.split()
        if system != "weir":
            mine = found[f"{case} {size} {change} weir"]
            ratios.append((f"{key} / weir", *(round(f[q] / mine[q], 1) for q in ("p50", "p90", "p99"))))
    text += "\n\n" + table(("times slower than weir", "at p50", "p90", "p99"), ratios) if ratios else ""
    sizes = sorted({int(k.split()[1]) for k in found if k.startswith("hosts ") and k.endswith(" weir")})
    for change in ("changed", "new"):
        if len(sizes) > 1:
            small, large = (found[f"hosts {n} {change} weir"] for n in (sizes[0], sizes[-1]))
            text += f"\nN={sizes[-1]} / N={sizes[0]}, {change}: p50 {large['p50'] / small['p50']:.2f}, p99 {large['p99'] / small['p99']:.2f}"
    return text


def kept(cases: tuple[str, ...]) -> list[Row]:
    """The rows of the last full run whose cases are not run again."""
    path = RESULTS / "b1.json"
    if not cases or not path.exists():
        return []
    return [row for row in msgspec.convert(json.loads(path.read_text())["rows"], list[Row]) if f"{row.case}:{row.size}" not in cases]


def run(*, quick: bool) -> str:
    cases = tuple(os.environ.get("BENCH_CASES", "").split()) if not quick else ()
    about, rows = machine(), kept(cases)
    plan = [("hosts", 10, 20, 5, 5, 1, 2), ("hosts", 1000, 20, 5, 5, 1, 2), ("paths", 500, 10, 0, 0, 0, 2)] if quick else [
        ("hosts", 10, 100, 50, 30, 5, 5), ("hosts", 1000, 100, 50, 30, 5, 5), ("hosts", 10000, 100, 30, 10, 3, 5),
        ("wildcard", 10000, 100, 0, 0, 0, 5), ("https", 10000, 100, 0, 0, 0, 5), ("paths", 5000, 50, 0, 0, 0, 5),
    ]  # fmt: skip
    for case, size, ours, rds, theirs, theirs_default, rounds in plan:
        if cases and f"{case}:{size}" not in cases:
            continue
        rows += cell(case, size, ours, rds, theirs, theirs_default, rounds)
        found = figures(rows)
        save("b1", rows, found, about, quick=quick)
    return printed(found)
