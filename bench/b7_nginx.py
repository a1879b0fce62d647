"""B7 on NGINX: CPU for each request as the program configures it, beside a hand-written NGINX with the same hosts, edits, forwarded headers and access log.

Both have the same number of workers, whose CPU (user and system) is counted. wrk (one thread) loads them in turn, in rounds whose order turns, and asks 200 hot hosts in turn.
"""

import contextlib
import statistics
import time
from pathlib import Path

from bench import objects
from bench.b7 import files, host, script, wrk
from bench.clients import until_live
from bench.figures import machine, rounds, save, table
from bench.nginx_by_hand import ByHand, Site, running, workers_of
from bench.stand import backends, plane, scratch
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.engines.usage import cpu_seconds

CONNECTIONS = (16, 64)


def by_hand(place: Path, size: int, port: int) -> ByHand:
    """The same hosts by hand."""
    made = ByHand(place)
    for n in range(size):
        made.sites[host(n)] = Site(to=((f"127.0.0.1:{port}", 100),), answer=(("x-rev", objects.rev(0)),), asked=f"i{n}.internal")
    return made


def cell(size: int, turns: int, seconds: int) -> list[dict]:
    rows = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        backend = stack.enter_context(backends(place))["a"]
        pair = Authority().issue("*.apps.example")
        made = stack.enter_context(plane(place, files(place / "f", "hosts", size, backend, pair), provider="nginx"))
        until_live(made.http, host(size - 1), "/", "200")
        hand = stack.enter_context(running(by_hand(place / "hand", size, backend)))
        until_live(hand.http, host(size - 1), "/", "200")
        systems = {"weir": (made.envoy(), made.http), "by hand": (hand.process.pid, hand.http)}
        asks = script(place, "hosts", size)
        for _, port in systems.values():
            wrk(port, 16, 1, asks, tls=False)
        for count in CONNECTIONS:
            for turn in range(turns):
                for name, (master, port) in list(systems.items())[:: 1 if turn % 2 else -1]:
                    workers = workers_of(master)
                    before = sum(map(cpu_seconds, workers))
                    got = wrk(port, count, seconds, asks, tls=False)
                    time.sleep(0.05)
                    cost = (sum(map(cpu_seconds, workers)) - before) * 1e6 / got["requests"]
                    rows.append({"system": name, "size": size, "connections": count, "round": turn, "cpu_us": cost, **got})
    return rows


def figures(rows: list[dict]) -> dict[str, dict[str, float]]:
    out = {}
    for size, count in sorted({(r["size"], r["connections"]) for r in rows}):
        mine, hand = ([r for r in rows if (r["size"], r["connections"], r["system"]) == (size, count, name)] for name in ("weir", "by hand"))
        ours, theirs = statistics.median(r["cpu_us"] for r in mine), statistics.median(r["cpu_us"] for r in hand)
        pairs = [a["cpu_us"] / b["cpu_us"] for a, b in zip(mine, hand, strict=True)]
        tails = {name: statistics.median(r["p99_ms"] for r in held) for name, held in (("weir_p99_ms", mine), ("hand_p99_ms", hand))}
        found = {"weir_us": ours, "hand_us": theirs, "ratio": ours / theirs, "worst_round": max(pairs), **tails}
        out[f"{size} hosts, {count} connections"] = {key: round(value, 2) for key, value in found.items()}
    return out


def run(*, quick: bool) -> str:
    about, rows = machine(), []
    for size in (100,) if quick else (1, 10_000):
        rows += cell(size, 2 if quick else rounds(5), 1 if quick else 2)
    found = figures(rows)
    save("b7_nginx", rows, found, about, quick=quick)
    columns = ("weir_us", "hand_us", "ratio", "worst_round", "weir_p99_ms", "hand_p99_ms")
    return table(("B7 on NGINX: CPU a request", *columns), [(key, *(f[c] for c in columns)) for key, f in found.items()])
