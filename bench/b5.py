"""B5, cold start over etcd and kube-apiserver: everything of ours is stopped; from the start of the processes until every host answers.

The state of B4, one Envoy. The control plane and Envoy are started at the same moment; the install is not new: its authority and its statuses are there, Envoy has its certificate. Moments, all from that start:
`ready` (/readyz), `lists` (the first time that /readyz no longer waits for a list; it is asked every 10 ms), `first` (one host answers), `all` (every host was asked and answered right: the time to
ask them is in it; hosts with TLS answer 308 there), `tls` (a sample of them made a handshake with their own certificates and answered 200).
"""

import contextlib
import threading
import time

import msgspec

from bench import state
from bench.cluster import Weir, envoy, keys_of, weir
from bench.figures import machine, rounds, save, table
from bench.stand import scratch
from bench.state import Shape

SAMPLE = 25


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A cold start, in seconds."""

    round: int
    lists: float
    ready: float
    listens: float
    first: float
    all: float
    tls: float
    from_lists: float
    weir_cpu_s: float
    envoy_cpu_s: float
    rss_mb: float
    peak_stall_ms: float


class Witness(threading.Thread):
    """Asks /readyz all the time and notes when what was said for the first time."""

    def __init__(self, plane: Weir) -> None:
        super().__init__(daemon=True)
        self.plane, self.lists, self.ready = plane, 0.0, 0.0

    def run(self) -> None:
        while not self.ready:
            said = self.plane.ask("/readyz")
            now = time.monotonic()
            if said and not self.lists and "is not listed yet" not in said and "nothing is known yet" not in said:
                self.lists = now
            if said.endswith("ok\n"):
                self.ready = now
            time.sleep(0.01)


def started(place, kubeconfig: str, keys, like: Weir, shape: Shape, trust: bytes, turn: int) -> Row:
    """One cold start."""
    began = time.monotonic()
    with weir(place, kubeconfig, like=like) as plane, envoy(place, keys, plane) as engine:
        witness = Witness(plane)
        witness.start()
        while not engine.listens():
            plane.alive()
            time.sleep(0.01)
        listens = time.monotonic()
        one = state.all_answer(plane.http, Shape(1, shape.endpoints, min(1, shape.secrets), 1), 120.0, plane.alive)
        everything = state.all_answer(plane.http, shape, 120.0, plane.alive)
        sampled = range(0, shape.secrets, max(1, shape.secrets // SAMPLE))
        tls = state.tls_answers(plane.https, list(sampled), trust, time.monotonic() + 60)
        witness.join(60)
        used = plane.usage()
        return Row(
            round=turn, lists=witness.lists - began, ready=witness.ready - began, listens=listens - began, first=one - began, all=everything - began, tls=tls - began,
            from_lists=everything - witness.lists, weir_cpu_s=used.cpu, envoy_cpu_s=engine.usage().cpu, rss_mb=used.rss / 2**20,
            peak_stall_ms=1000 * plane.number("loop_stall_seconds"),
        )  # fmt: skip


def measured(shape: Shape, rounds: int) -> list[Row]:
    """That many cold starts over one state."""
    rows = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        made = stack.enter_context(state.big(place, shape))
        print(f"  loaded in {made.loaded_s:.0f} s", flush=True)
        kubeconfig = made.server.kubeconfig()
        with weir(place, kubeconfig) as plane:
            keys = keys_of(kubeconfig, plane)
            plane.ready()
        for turn in range(rounds):
            time.sleep(2.0)
            rows.append(started(place, kubeconfig, keys, plane, shape, made.trust, turn))
            print(f"  {rows[-1]}", flush=True)
    return rows


def printed(rows: list[Row]) -> str:
    columns = [field for field in Row.__struct_fields__ if field != "round"]
    return table(("B5: round", *columns), [(row.round, *(getattr(row, column) for column in columns)) for row in rows])


def run(*, quick: bool) -> str:
    about, shape = machine(), Shape(300, 10, 60, 3) if quick else Shape()
    rows = measured(shape, 2 if quick else rounds(5))
    by_time = sorted(rows, key=lambda row: row.all)
    found = {"shape": shape._asdict(), "median": msgspec.to_builtins(by_time[len(by_time) // 2]), "worst": msgspec.to_builtins(by_time[-1])}
    save("b5", rows, found, about, quick=quick)
    return printed(rows)
