"""B3, change without failure: 20 changes a run, under 32 connections, and every answer judged.

A failure is an answer that is right neither before nor after the change, a lost or late answer, or an answer of before that was asked for more than `WINDOW` after
the intake was handed the change. 503 while a Service is scaled to nothing and 404 while a host is removed are right. Load: 32 keep-alive connections over HTTP in
turn over all hosts, and 4 clients that make a new TLS connection for each request, in processes of their own.
"""

import contextlib
import threading
import time

from bench import objects
from bench.clients import until_live
from bench.figures import machine, save, summary, table
from bench.objects import Folder
from bench.stand import Plane, backends, plane, scratch
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import ClientTls, Target
from weirkeeper.testing.load import Ask, Mix, Plan, Record, load

WINDOW = 0.050
GAP = 0.15
RATE = 1500.0
HOSTS = ("backend", "header", "weight", "scale", "gone", "secure")


def host(name: str) -> str:
    return f"{name}.apps.example"


class Timeline:
    """What is right for a host, from when on. Answers are `200 a`, `503`, `404`."""

    def __init__(self) -> None:
        self.steps: dict[str, list[tuple[int, frozenset[str]]]] = {name: [] for name in HOSTS}

    def hold(self, name: str, at: int, *right: str) -> None:
        self.steps[name].append((at, frozenset(right)))

    def right(self, name: str, started: int, ended: int) -> set[str]:
        """All that may be answered to a request of that time: what held at any moment from `WINDOW` before its start to its end."""
        found: set[str] = set()
        steps = self.steps[name]
        for number, (at, right) in enumerate(steps):
            until = steps[number + 1][0] if number + 1 < len(steps) else 1 << 62
            if at <= ended and until >= started - WINDOW * 1e9:
                found |= right
        return found


def said(record: Record) -> str:
    if record.lost is not None:
        return f"lost: {record.lost.value}"
    return f"200 {record.answer}" if record.status == 200 else str(record.status)


class Run:
    """One run over a running program."""

    def __init__(self, made: Plane, ports: dict[str, int], authority: Authority) -> None:
        self.plane, self.ports, self.authority = made, ports, authority
        self.line = Timeline()
        self.changes: list[dict] = []

    def write(self, name: str, changed: str, text: str | None, kind: str, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        """Make one change; the moment of the change is when the intake was handed it."""
        began = time.monotonic_ns()
        if text is None:
            self.plane.folder.take(f"{changed.partition('/')[2]}.yaml")
        else:
            self.plane.folder.put(f"{changed.partition('/')[2]}.yaml", text)
        at = self.plane.seen(changed, began)
        self.line.hold(name, began, *before, *after)  # written, not yet handed over: either is right
        self.line.hold(name, at, *after)
        self.changes.append({"change": kind, "host": name, "at": at})
        time.sleep(GAP)

    def backend(self, now: str, then: str) -> None:
        self.write("backend", "Ingress/backend", objects.ingress("backend", host("backend"), then, revision=None), "new backend", (f"200 {now}",), (f"200 {then}",))

    def header(self, now: int, then: int) -> None:
        text = objects.ingress("header", host("header"), "a", revision=then)
        self.write("header", "Ingress/header", text, "header edit", (f"200 {objects.rev(now)}",), (f"200 {objects.rev(then)}",))

    def weight(self, weight: int, before: tuple[str, ...], after: tuple[str, ...]) -> None:
        more = (("canary", "true"), ("canary-weight", str(weight)))
        text = objects.ingress("weight-canary", host("weight"), "b", revision=None, more=more)
        self.write("weight", "Ingress/weight-canary", text, f"weight {weight}", before, after)

    def scale(self, up: bool) -> None:
        text = objects.endpoints("scaled", ("127.0.0.1",) if up else (), self.ports["a"])
        answers = (("503",), ("200 a",)) if up else (("200 a",), ("503",))
        self.write("scale", "EndpointSlice/scaled-1", text, "scaled to 1" if up else "scaled to 0", *answers)

    def gone(self, there: bool) -> None:
        text = objects.ingress("gone", host("gone"), "a", revision=None) if there else None
        answers = (("404",), ("200 a",)) if there else (("200 a",), ("404",))
        self.write("gone", "Ingress/gone", text, "host re-added" if there else "host removed", *answers)

    def rotate(self) -> None:
        pair = self.authority.issue(host("secure"))
        self.write("secure", "Secret/secure", objects.tls_secret("secure", pair.certificate, pair.key), "certificate rotated", ("200 a",), ("200 a",))

    def all(self) -> None:
        """The 20 changes; the state at the end is that of the beginning."""
        for now, then in (("a", "b"), ("b", "c"), ("c", "b"), ("b", "a")):
            self.backend(now, then)
        for now, then in ((0, 1), (1, 2), (2, 3), (3, 0)):
            self.header(now, then)
        self.weight(50, ("200 a",), ("200 a", "200 b"))
        self.weight(100, ("200 a", "200 b"), ("200 b",))
        self.weight(20, ("200 b",), ("200 a", "200 b"))
        self.weight(0, ("200 a", "200 b"), ("200 a",))
        for _ in range(2):
            self.scale(False)
            self.scale(True)
        self.gone(False)
        self.gone(True)
        self.rotate()
        self.rotate()

    def go(self) -> tuple[list[Record], int]:
        start = time.monotonic_ns() - 10**9
        for name, right in zip(HOSTS, ("200 a", "200 r0", "200 a", "200 a", "200 a", "200 a"), strict=True):
            self.line.hold(name, start, right)
        plain = Plan(target=Target(port=self.plane.http), asks=tuple(Ask(name=n, host=host(n)) for n in HOSTS[:-1]), connections=32, rate=RATE, token="x-answer")
        tls = Target(port=self.plane.https, tls=ClientTls(sni=host("secure")))
        secure = Plan(target=tls, asks=(Ask(name="secure", host=host("secure")),), connections=4, rate=60.0, mix=Mix.NEW_CONNECTION, token="x-answer")
        with load(plain) as one, load(secure) as two:
            time.sleep(0.3)
            changing = threading.Thread(target=self.all)
            changing.start()
            changing.join()
            time.sleep(0.2)
            results = [one.stop(), two.stop()]
        return [record for result in results for record in result.records], sum(result.reconnects for result in results)

    def judged(self, records: list[Record]) -> list[dict]:
        return [
            {"host": r.target, "said": said(r), "right": sorted(self.line.right(r.target, r.started_ns, r.ended_ns)), "at": r.started_ns, "ended": r.ended_ns}
            for r in records
            if said(r) not in self.line.right(r.target, r.started_ns, r.ended_ns)
        ]

    def windows(self, records: list[Record]) -> list[float]:
        """For each change: how long after the intake had it the last request began that was still answered as before (ms)."""
        out = []
        for change in self.changes:
            steps = self.line.steps[change["host"]]
            number = next(i for i, (at, _) in enumerate(steps) if at == change["at"])
            before, after = steps[number - 1][1], steps[number][1]
            until = steps[number + 1][0] if number + 1 < len(steps) else 1 << 62
            old = set(change.get("old", before - after))
            late = [r.started_ns - change["at"] for r in records if r.target == change["host"] and change["at"] <= r.started_ns < until and said(r) in old]
            change["window_ms"] = max(late, default=0) / 1e6
            out.append(change["window_ms"])
        return out


def files(place, ports: dict[str, int], authority: Authority) -> Folder:
    folder = Folder(place)
    folder.put("revisions.yaml", objects.config_maps("x-answer"))
    for name in "abc":
        folder.put(f"service-{name}.yaml", objects.service(name) + "---\n" + objects.endpoints(name, ("127.0.0.1",), ports[name]))
    folder.put("service-scaled.yaml", objects.service("scaled"))
    folder.put("scaled-1.yaml", objects.endpoints("scaled", ("127.0.0.1",), ports["a"]))
    for name in ("backend", "weight", "gone"):
        folder.put(f"{name}.yaml", objects.ingress(name, host(name), "a", revision=None))
    folder.put("header.yaml", objects.ingress("header", host("header"), "a", revision=0))
    folder.put("scale.yaml", objects.ingress("scale", host("scale"), "scaled", revision=None))
    folder.put("weight-canary.yaml", objects.ingress("weight-canary", host("weight"), "b", revision=None, more=(("canary", "true"), ("canary-weight", "0"))))
    pair = authority.issue(host("secure"))
    folder.put("secure.yaml", objects.tls_secret("secure", pair.certificate, pair.key))
    folder.put("secure-route.yaml", objects.ingress("secure", host("secure"), "a", revision=None, secret="secure"))
    return folder


def run(*, quick: bool) -> str:
    return measured("b3", Run, "envoy", quick=quick)


def measured(name: str, kind: type[Run], provider: str, *, quick: bool) -> str:
    """Ten runs with that engine."""
    about, rows, figures = machine(), [], []
    failures: list[dict] = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        ports, authority = stack.enter_context(backends(place, "abc")), Authority()
        made = stack.enter_context(plane(place, files(place / "f", ports, authority), provider=provider))
        for host_name in HOSTS[:-1]:
            until_live(made.http, host(host_name), "/", "200")
        until_live(made.http, host("secure"), "/", "308")
        for number in range(2 if quick else 10):
            one = kind(made, ports, authority)
            records, reconnects = one.go()
            wrong, windows = one.judged(records), one.windows(records)
            failures += [{"run": number, **w} for w in wrong]
            rows += [{"run": number, **change} for change in one.changes]
            figures.append({"run": number, "requests": len(records), "changes": len(one.changes), "failures": len(wrong), "reconnects": reconnects, "worst_window_ms": round(max(windows), 2)})
            print(f"  run {number}: {figures[-1]}", flush=True)
    all_windows = [row["window_ms"] for row in rows]
    total = {"runs": figures, "failures": failures[:100], "failures_in_all": len(failures), "requests": sum(f["requests"] for f in figures), "window_ms": summary(all_windows)}
    save(name, rows, total, about, quick=quick)
    kinds = sorted({row["change"] for row in rows})
    text = table((f"{name.upper()}: change", "n", "window p50 ms", "max"), [(kind, len(w := [r["window_ms"] for r in rows if r["change"] == kind]), summary(w)["p50"], max(w)) for kind in kinds])
    text += f"\n{total['requests']} requests, {len(failures)} failures in {len(figures)} runs of 20 changes; worst window {max(all_windows):.1f} ms"
    for failure in failures[:10]:
        text += f"\n  FAILURE {failure}"
    return text
