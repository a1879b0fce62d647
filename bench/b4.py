"""B4, footprint of the control plane over etcd and kube-apiserver alone: memory, CPU at 10 changes a second, stalls of its loop. Only its own process is measured.

10,000 Ingresses, 10,000 Services, 100,000 endpoints, 2,000 TLS Secrets in 10 namespaces, one real Envoy connected. Phases, each a row: `first settle` (from the start of the process until
Envoy answers for all; the install is not new: statuses are there), `idle`, `churn` (of 10 changes a second 8 are EndpointSlices and 2 Ingresses), `relist` (the API server is restarted after etcd has forgotten what
was before: everything is listed anew). A stall is what `weirkeeper_loop_stall_seconds` says: the longest of the last minute, so phases last longer than that.
"""

import contextlib
import time
from pathlib import Path

import msgspec

from bench import kube, state
from bench.cluster import Weir, at_rest, envoy, keys_of, weir
from bench.figures import machine, save, table
from bench.stand import scratch
from bench.state import Shape
from weirkeeper.testing.apiserver_real import ApiServer

RATE = 10.0
WINDOW = 62.0
"""A little more than what the gauge remembers."""


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A phase: memory at its end, CPU in cores over its (last) `seconds`, the longest stall in it."""

    phase: str
    seconds: float
    rss_mb: float
    pss_mb: float
    peak_rss_mb: float
    cores: float
    cpu_s: float
    stall_ms: float
    envoy_rss_mb: float = 0.0
    changes: int = 0


class Watched:
    """The process, looked at over a phase."""

    def __init__(self, plane: Weir, engine_pid: int) -> None:
        self.plane, self.engine = plane, engine_pid
        self.begin()

    def begin(self) -> None:
        self.began, self.cpu = time.monotonic(), self.plane.usage().cpu

    def row(self, phase: str, changes: int = 0) -> Row:
        used, seconds = self.plane.usage(), time.monotonic() - self.began
        spent = used.cpu - self.cpu
        return Row(
            phase=phase, seconds=round(seconds, 1), rss_mb=round(used.rss / 2**20, 1), pss_mb=round(used.pss / 2**20, 1),
            peak_rss_mb=round(status_kib(self.plane.pid, "VmHWM") / 1024, 1), cores=round(spent / seconds, 4), cpu_s=round(spent, 2),
            stall_ms=round(1000 * self.plane.number("loop_stall_seconds"), 1), envoy_rss_mb=round(status_kib(self.engine, "VmRSS") / 1024, 1), changes=changes,
        )  # fmt: skip


def status_kib(pid: int, field: str) -> int:
    return next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(f"{field}:"))


def churn(api: kube.Api, shape: Shape, port: int, seconds: float, start: int = 0) -> int:
    """Changes at `RATE`; how many there were."""
    began, number = time.monotonic(), start
    while (early := began + (number - start) / RATE - time.monotonic()) < seconds and (number - start) / RATE < seconds:
        time.sleep(max(0.0, early))
        n = number * 7919 % shape.ingresses
        if number % 5:
            held = kube.endpoint_slice(f"s{n}", state.addresses(shape, n), port, shape.where(n))
            if len(held["endpoints"]) > 1:
                held["endpoints"][number % len(held["endpoints"])]["conditions"] = {"ready": False, "serving": False, "terminating": True}
            held["metadata"]["labels"]["changed"] = f"n{number}"
            api.replace(held)
        else:
            held = kube.ingress(f"i{n}", state.host(n), f"s{n}", where=shape.where(n))
            api.merge(held, {"metadata": {"annotations": {"weirkeeper.io/proxy-body-size": f"{number % 97 + 1}m"}}})
        number += 1
    return number - start


def relist(server: ApiServer, api: kube.Api) -> None:
    """Restart the server with an etcd that remembers nothing of before."""
    revision = int(api.get("/api/v1/namespaces/kube-system")["metadata"]["resourceVersion"])
    newest = int(api.get("/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"])
    server.stop(kill=True)
    server.compact(max(revision, newest))
    server.start()


def measured(shape: Shape, *, window: float) -> tuple[list[Row], dict]:
    """All phases; what else was seen."""
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        server, _, port, loaded = stack.enter_context(state.big(place, shape))
        print(f"  loaded in {loaded:.0f} s", flush=True)
        plane = stack.enter_context(weir(place, server.kubeconfig()))
        began = time.monotonic()
        engine = stack.enter_context(envoy(place, keys_of(server.kubeconfig(), plane), plane))
        watched = Watched(plane, engine.pid)
        watched.began, watched.cpu = began, 0.0
        ready = plane.ready()
        while not engine.listens():
            plane.alive()
            time.sleep(0.05)
        answered = state.all_answer(plane.http, shape, 120.0, plane.alive) - began
        settled = watched.row("first settle")
        print(f"  {settled}", flush=True)
        at_rest(plane)
        rows += [settled]
        watched.begin()
        time.sleep(window)
        rows.append(watched.row("idle"))
        print(f"  {rows[-1]}", flush=True)
        with contextlib.closing(kube.Api(server.kubeconfig())) as api:
            warm = churn(api, shape, port, window / 6)
            watched.begin()
            rows.append(watched.row("churn", changes=churn(api, shape, port, window, warm)))
            print(f"  {rows[-1]}", flush=True)
            time.sleep(0.5)
            watched.begin()
            relist(server, api)
        at_rest(plane)
        rows.append(watched.row("relist"))
        print(f"  {rows[-1]}", flush=True)
        state.all_answer(plane.http, shape, 60.0, plane.alive)
    return rows, {"shape": shape._asdict(), "loaded_s": round(loaded, 1), "ready_s": round(ready, 2), "all_answered_s": round(answered, 2), "an_address_each": kube.isolated()}


def printed(rows: list[Row]) -> str:
    columns = ("rss_mb", "pss_mb", "peak_rss_mb", "cores", "cpu_s", "stall_ms", "envoy_rss_mb", "changes", "seconds")
    return table(("B4: phase", *columns), [(row.phase, *(getattr(row, column) for column in columns)) for row in rows])


def run(*, quick: bool) -> str:
    about = machine()
    rows, seen = measured(Shape(300, 10, 60, 3) if quick else Shape(), window=6.0 if quick else WINDOW)
    save("b4", rows, seen, about, quick=quick)
    return f"{printed(rows)}\n{seen}"
