"""`python -m bench.plane`: the program in a process of its own, as `weir up` runs it, that says when each event was handed to its intake.

Comes in: a folder, ports, a layout. Goes out: on standard output a line of JSON for each call of the intake by the feed (nanoseconds of the monotonic clock, which all
processes share, and the names). The feed, the intake, the settling, the distribution and Envoy are the product's own; only `offer` is listened to.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from weirkeeper.app import PROVIDERS, plugin, plugins
from weirkeeper.app.folder import Application
from weirkeeper.feeds.base import Seen
from weirkeeper.providers.envoy.options import EnvoyOptions
from weirkeeper.providers.envoy.provider import EnvoyProvider
from weirkeeper.runtime.logging import Log
from weirkeeper.settings import Settings

NAMED = 64


def told(offer, events):
    """Say when, then do."""
    held = tuple(events)
    at = time.monotonic_ns()
    offer(held)
    names = [f"{e.ref.kind}/{e.ref.name}" for e in held[:NAMED] if isinstance(e, Seen)]
    os.write(1, msgspec.json.encode({"at": at, "names": names, "count": len(held)}) + b"\n")


async def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("--folder", "--state", "--layout"):
        parser.add_argument(name, required=True)
    for name in ("--http", "--https", "--workers"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--no-log", action="store_true")
    parser.add_argument("--provider", default="envoy")
    options = parser.parse_args()
    settings = Settings(
        state_directory=options.state, addresses=("127.0.0.1",), http_port=options.http, https_port=options.https,
        loopback_endpoints=True, concurrency=options.workers, drain_seconds=0.5, log_level="warning",
    )  # fmt: skip
    made = plugins(settings)
    envoy = EnvoyOptions(layout=options.layout, **({"access_log": None} if options.no_log else {}))
    chosen = EnvoyProvider(envoy) if options.provider == "envoy" else plugin(PROVIDERS, options.provider)
    app = Application(settings, made._replace(providers=(chosen,)), Path(options.folder), Log(sys.stderr, json_lines=False, level="error"))
    inner = app._feed._offer
    app._feed._offer = lambda events: told(inner, events)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await app.run(stop)


if __name__ == "__main__":
    asyncio.run(main())
