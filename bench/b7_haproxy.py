"""B7 on HAProxy: CPU for each request as the program configures it, beside two hand-written HAProxys with the same hosts, edits, forwarded headers and access log.

`by hand` has nothing else; `same guards` has the program's rules against odd requests too, so that the ratio to it is what routing by our maps costs. The CPU is that of the one process with two threads.
wrk (one thread) loads them in turn, in rounds whose order turns, and asks 200 hot hosts in turn.
"""

import contextlib
import os
import statistics
import time

from bench import objects
from bench.b7 import files, host, script, wrk
from bench.clients import until_live
from bench.figures import machine, rounds, save, table
from bench.haproxy_by_hand import guards_of, running
from bench.stand import backends, plane, scratch
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.engines.usage import cpu_seconds

CONNECTIONS = (16, 64)
SYSTEMS = ("weir", "by hand", "same guards")


def cell(size: int, turns: int, seconds: int) -> list[dict]:
    rows = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        backend = stack.enter_context(backends(place))["a"]
        pair = Authority().issue("*.apps.example")
        made = stack.enter_context(plane(place, files(place / "f", "hosts", size, backend, pair), provider="haproxy"))
        until_live(made.http, host(size - 1), "/", "200")
        hosts = {host(n): (objects.rev(0), f"i{n}.internal") for n in range(size)}
        systems = {"weir": (made.envoy(), made.http, next(made.state.rglob("haproxy.log")))}
        guards = guards_of(next(made.state.rglob("haproxy.cfg")).read_text())
        for name, more in (("by hand", ""), ("same guards", guards)):
            pid, port = stack.enter_context(running(place / name.replace(" ", "-"), hosts, backend, more))
            until_live(port, host(size - 1), "/", "200")
            systems[name] = (pid, port, place / name.replace(" ", "-") / "haproxy.log")
        asks = script(place, "hosts", size)
        for _, port, _ in systems.values():
            wrk(port, 16, 1, asks, tls=False)
        for count in CONNECTIONS:
            for turn in range(turns):
                for name, (pid, port, log) in list(systems.items())[:: 1 if turn % 2 else -1]:
                    before = cpu_seconds(pid)
                    got = wrk(port, count, seconds, asks, tls=False)
                    time.sleep(0.05)
                    cost = (cpu_seconds(pid) - before) * 1e6 / got["requests"]
                    os.truncate(log, 0)
                    rows.append({"system": name, "size": size, "connections": count, "round": turn, "cpu_us": cost, **got})
    return rows


def figures(rows: list[dict]) -> dict[str, dict[str, float]]:
    out = {}
    for size, count in sorted({(r["size"], r["connections"]) for r in rows}):
        mine, hand, same = ([r for r in rows if (r["size"], r["connections"], r["system"]) == (size, count, name)] for name in SYSTEMS)
        ours, theirs, guarded = (statistics.median(r["cpu_us"] for r in held) for held in (mine, hand, same))
        pairs = [a["cpu_us"] / b["cpu_us"] for a, b in zip(mine, hand, strict=True)]
        tails = {name: statistics.median(r["p99_ms"] for r in held) for name, held in (("weir_p99_ms", mine), ("hand_p99_ms", hand))}
        found = {"weir_us": ours, "hand_us": theirs, "guards_us": guarded, "ratio": ours / theirs, "to_same_guards": ours / guarded, "worst_round": max(pairs), **tails}
        out[f"{size} hosts, {count} connections"] = {key: round(value, 2) for key, value in found.items()}
    return out


def run(*, quick: bool) -> str:
    about, rows = machine(), []
    for size in (100,) if quick else (1, 10_000):
        rows += cell(size, 2 if quick else rounds(5), 1 if quick else 2)
    found = figures(rows)
    save("b7_haproxy", rows, found, about, quick=quick)
    columns = ("weir_us", "hand_us", "guards_us", "ratio", "to_same_guards", "worst_round", "weir_p99_ms", "hand_p99_ms")
    return table(("B7 on HAProxy: CPU a request", *columns), [(key, *(f[c] for c in columns)) for key, f in found.items()])
