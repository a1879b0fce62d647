"""Settling 10,000 Ingresses with 30,000 routes and 100,000 endpoints from nothing, one change after it, and the process's memory then.

In a fresh process each round: the objects are decoded values already (no YAML), handed to the reconciler with the Envoy provider, so that what is settled is every
table up to the bytes of Envoy's resources. Memory is read after the collector ran, with the objects, the tables and the bytes all kept.
"""

import gc
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from bench.figures import machine, save, summary, table

ENDPOINTS = 10


def measured(size: int) -> dict[str, float]:
    """One round, in this process."""
    import weirkeeper.app  # noqa: F401, PLC0415 - what the running program holds is in memory as well
    from weirkeeper.controllers.ingress import CONTROLLER  # noqa: PLC0415
    from weirkeeper.feeds.base import Seen, Synced  # noqa: PLC0415
    from weirkeeper.kube import types  # noqa: PLC0415
    from weirkeeper.providers.envoy import PROVIDER  # noqa: PLC0415
    from weirkeeper.reconcile import Reconciler  # noqa: PLC0415
    from weirkeeper.runtime.memory import give_back  # noqa: PLC0415
    from weirkeeper.testing.engines import usage_of  # noqa: PLC0415

    def ingress(n, notes=None):
        paths = [{"path": p, "pathType": "Prefix", "backend": {"service": {"name": f"s{n}", "port": {"number": 80}}}} for p in ("/", "/api", "/static")]
        meta = {"name": f"i{n}", "namespace": "default", "annotations": notes or {}}
        spec = {"ingressClassName": "weirkeeper", "rules": [{"host": f"h{n}.apps.example", "http": {"paths": paths}}]}
        return msgspec.convert({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": spec}, types.Ingress)

    def service(n):
        return msgspec.convert({"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{n}", "namespace": "default"}, "spec": {"ports": [{"port": 80, "name": "http"}]}}, types.Service)

    def slice_(n, port=8080):
        meta = {"name": f"s{n}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": f"s{n}"}}
        held = [{"addresses": [f"10.{n // 256 % 256}.{n % 256}.{e + 1}"], "conditions": {"ready": True}} for e in range(ENDPOINTS)]
        body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4", "ports": [{"name": "http", "port": port}], "endpoints": held}
        return msgspec.convert(body, types.EndpointSlice)

    kind = msgspec.convert({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "weirkeeper"}, "spec": {"controller": "weirkeeper.io/ingress"}}, types.IngressClass)
    heart = Reconciler([CONTROLLER], [PROVIDER])
    me = Path("/proc/self").resolve().name
    out: dict[str, float] = {"start_rss_mb": usage_of(int(me)).rss / 2**20}
    heart.receive([Synced(feed="bench", kinds=tuple(k for _, k in heart.kinds)), Seen(ref=kind.ref, object=kind)])
    heart.receive([Seen(ref=o.ref, object=o) for n in range(size) for o in (ingress(n), service(n), slice_(n))])
    gc.collect()
    out["objects_rss_mb"] = usage_of(int(me)).rss / 2**20
    began = time.perf_counter()
    outcome = heart.settle()
    out["settle_s"] = time.perf_counter() - began
    out["items"] = sum(len(items) for items in outcome.items.values())
    out["findings"] = sum(1 for found in outcome.findings.values() for _ in found or ())
    del outcome
    gc.collect()
    gc.freeze()
    give_back()  # as the program does after its first settle
    used = usage_of(int(me))
    out["rss_mb"], out["pss_mb"] = used.rss / 2**20, used.pss / 2**20
    for name, make in (
        ("ingress", lambda n: ingress(n * 97 % size, {"weirkeeper.io/proxy-body-size": f"{n % 7 + 1}m"})),
        ("new", lambda n: ingress(size + n)),
        ("endpoints", lambda n: slice_(n * 89 % size, 9000 + n)),
    ):
        times, runs = [], 0
        for n in range(50):
            thing = make(n)
            began = time.perf_counter()
            heart.receive([Seen(ref=thing.ref, object=thing)])
            outcome = heart.settle()
            times.append((time.perf_counter() - began) * 1e3)
            runs = max(runs, sum(outcome.runs.values()))
            assert any(outcome.items.values())
        out[f"{name}_p50_ms"], out[f"{name}_p99_ms"], out[f"{name}_runs"] = summary(times)["p50"], summary(times)["p99"], runs
    return out


def run(*, quick: bool) -> str:
    about, rows = machine(), []
    for size, rounds in ((10, 1), (1000, 1)) if quick else ((10, 3), (1000, 3), (10000, 3)):
        for _ in range(rounds):
            command = [sys.executable, "-c", f"import json; from bench.settle import measured; print(json.dumps(measured({size})))"]
            rows.append({"size": size, **json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent).stdout)})
    found = {str(n): {key: round(statistics.median(r[key] for r in rows if r["size"] == n), 3) for key in rows[0]} for n in sorted({r["size"] for r in rows})}
    save("settle", rows, found, about, quick=quick)
    keys = ("settle_s", "items", "ingress_p50_ms", "ingress_p99_ms", "new_p50_ms", "endpoints_p50_ms", "ingress_runs", "start_rss_mb", "objects_rss_mb", "rss_mb", "pss_mb")
    return table(("settle: Ingresses", *found), [(key, *(f[key] for f in found.values())) for key in keys])
