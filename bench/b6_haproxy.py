"""B6 on HAProxy: memory of HAProxy with 10,000 hosts and 10,000 Services, of one endpoint each and of ten; and of the control plane that started it.

Measured at rest after the first load: what is asked of it later allocates no more. `engine_pss_mb` is the one process of HAProxy.
"""

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import objects
from bench.b6 import ADDRESSES
from bench.b7 import host
from bench.clients import until_live
from bench.figures import machine, save, table
from bench.objects import Folder
from bench.stand import backends, child, scratch
from weirkeeper.testing.engines import usage_of
from weirkeeper.testing.ports import free_port

REST = 10.0


def of_haproxy(state: Path) -> list[int]:
    """Its one process."""
    [record] = state.rglob("process.json")
    return [json.loads(record.read_bytes())[-1]["pid"]]


def cell(size: int, endpoints: int, rest: float, provider: str = "haproxy", processes: Callable[[Path], list[int]] = of_haproxy) -> dict:
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        backend = stack.enter_context(backends(place, addresses=ADDRESSES))["a"]
        folder, state, http = Folder(place / "f"), place / "s", free_port()
        folder.put("revisions.yaml", objects.config_maps())
        folder.many("services", objects.services(size, backend, ADDRESSES[:endpoints]))
        folder.many("ingresses", [objects.ingress(f"i{n}", host(n), f"s{n}") for n in range(size)])
        command = [sys.executable, "-m", "weirkeeper", "up", f"--provider={provider}", f"--state-dir={state}", f"--http-port={http}"]
        command += [f"--https-port={free_port()}", str(folder.path)]
        began = time.monotonic()
        process = stack.enter_context(child(command, place / "weir.log", cwd=str(Path(__file__).parent.parent)))
        until_live(http, host(size - 1), "/", "200")
        took = time.monotonic() - began
        time.sleep(rest)
        used = [usage_of(pid) for pid in processes(state)]
        found = {"endpoints": endpoints, "size": size, "engine_pss_mb": sum(one.pss for one in used) / 2**20, "engine_rss_mb": max(one.rss for one in used) / 2**20}
        found |= {"weir_pss_mb": usage_of(process.pid).pss / 2**20, "first_load_s": took}
        process.terminate()
        with contextlib.suppress(TimeoutError):
            process.wait(60)
        return found


def run(*, quick: bool) -> str:
    about, size = machine(), 1000 if quick else 10_000
    rows = [{k: round(v, 1) if isinstance(v, float) else v for k, v in cell(size, many, 2.0 if quick else REST).items()} for many in (1, 10)]
    save("b6_haproxy", rows, {"rest_s": REST}, about, quick=quick)
    columns = ("engine_pss_mb", "engine_rss_mb", "weir_pss_mb", "first_load_s")
    return table(("B6 on HAProxy", *columns), [(f"{r['size']} hosts, {r['endpoints']} endpoints each", *(r[c] for c in columns)) for r in rows])
