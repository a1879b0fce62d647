"""B6, footprint: memory of Envoy and of the control plane with 10,000 hosts, 10,000 Services and 100,000 endpoints, and the number of metric series Envoy exports.

Measured idle after the first load, and again after 200 hot hosts were asked under load and some seconds of rest. (The definition says 60 s: here `REST` seconds, as nothing
changes any more.) P1 is the same program with one whole route table; its bootstrap, and so its statistics, are the same.
"""

import contextlib
import time

from bench import objects
from bench.b7 import host, script, wrk
from bench.clients import until_live
from bench.figures import machine, save, table
from bench.objects import Folder
from bench.stand import Plane, backends, plane, scratch

REST = 20.0
ADDRESSES = tuple(f"127.0.0.{n}" for n in range(1, 11))


def used(made: Plane) -> dict[str, float]:
    ours, envoy = made.usage()
    return {"envoy_rss_mb": envoy.rss / 2**20, "envoy_pss_mb": envoy.pss / 2**20, "weir_rss_mb": ours.rss / 2**20, "weir_pss_mb": ours.pss / 2**20}


def series(made: Plane) -> int:
    """Lines of Envoy's Prometheus page that are samples; a histogram counts with all its buckets."""
    return sum(1 for line in made.admin("/stats/prometheus").splitlines() if line and not line.startswith("#"))


def cell(layout: str, size: int, rest: float) -> list[dict]:
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        backend = stack.enter_context(backends(place, addresses=ADDRESSES))["a"]
        folder = Folder(place / "f")
        folder.put("revisions.yaml", objects.config_maps())
        folder.many("services", objects.services(size, backend, ADDRESSES))
        folder.many("ingresses", [objects.ingress(f"i{n}", host(n), f"s{n}") for n in range(size)])
        began = time.monotonic()
        made = stack.enter_context(plane(place, folder, layout=layout))
        until_live(made.http, host(size - 1), "/", "200")
        took = time.monotonic() - began
        time.sleep(rest)
        idle = {"system": layout, "size": size, "state": "idle", "first_load_s": took, **used(made), "series": series(made)}
        got = wrk(made.http, 16, 3, script(place, "hosts", size), tls=False)
        time.sleep(rest)
        hot = {"system": layout, "size": size, "state": "200 hot hosts", "first_load_s": took, **used(made), "series": series(made), "requests": got["requests"]}
        return [idle, hot]


def run(*, quick: bool) -> str:
    about, rows = machine(), []
    for layout in ("scoped", "rds"):
        rows += cell(layout, 1000 if quick else 10000, 3.0 if quick else REST)
    rows = [{k: round(v, 1) if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    save("b6", rows, {"rest_s": REST}, about, quick=quick)
    columns = ("envoy_rss_mb", "envoy_pss_mb", "series", "weir_rss_mb", "weir_pss_mb", "first_load_s")
    return table(("B6", *columns), [(f"{r['system']}, {r['size']} hosts, {r['state']}", *(r[c] for c in columns)) for r in rows])
