"""B6 on NGINX: as on HAProxy. `engine_pss_mb` is the master and all its workers together: what they share (the dictionary, the libraries) is counted once."""

import json
from pathlib import Path

from bench.b6_haproxy import REST, cell
from bench.figures import machine, save, table
from bench.nginx_by_hand import workers_of


def processes(state: Path) -> list[int]:
    """The master and its workers."""
    [record] = state.rglob("process.json")
    master = json.loads(record.read_bytes())["pid"]
    return [master, *workers_of(master)]


def run(*, quick: bool) -> str:
    about, size = machine(), 1000 if quick else 10_000
    found = [cell(size, many, 2.0 if quick else REST, "nginx", processes) for many in (1, 10)]
    rows = [{k: round(v, 1) if isinstance(v, float) else v for k, v in one.items()} for one in found]
    save("b6_nginx", rows, {"rest_s": REST}, about, quick=quick)
    columns = ("engine_pss_mb", "engine_rss_mb", "weir_pss_mb", "first_load_s")
    return table(("B6 on NGINX", *columns), [(f"{r['size']} hosts, {r['endpoints']} endpoints each", *(r[c] for c in columns)) for r in rows])
