"""A real Envoy from a bootstrap dict, running while a block runs.

In: the bootstrap as Envoy's JSON. Out: an `Envoy` that is live, with its admin, its log and what it uses. Its files lie in a
folder of its own that goes with it. What is configured is the caller's business; nothing here knows a listener or a route.
"""

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from weirkeeper.testing.engines.admin import Admin
from weirkeeper.testing.engines.binaries import envoy_binary
from weirkeeper.testing.engines.usage import Usage, usage_of
from weirkeeper.testing.eventually import DeadlinePassed, eventually

STARTING = 60.0
ENDING = 30.0
LOG_TAIL = 4000


class EnvoyEnded(RuntimeError):
    """Envoy ended or did not become live; the message holds the end of its log."""


class Envoy:
    """A running Envoy."""

    def __init__(self, process: subprocess.Popen[bytes], admin: Admin, log_file: Path) -> None:
        self.process, self.admin, self.log_file = process, admin, log_file

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """What Envoy has written so far."""
        return self.log_file.read_text("utf-8", "replace")

    def usage(self) -> Usage:
        """CPU seconds and memory."""
        return usage_of(self.pid)

    async def ready(self, deadline: float = STARTING) -> None:
        """Waits until Envoy is live; raises `EnvoyEnded` as soon as it has ended."""

        async def look() -> bool:
            if self.process.poll() is not None:
                raise EnvoyEnded(f"Envoy ended with {self.process.returncode}:\n{self.log()[-LOG_TAIL:]}")
            return await self.admin.ready()

        try:
            await eventually(look, deadline, what="Envoy is live")
        except DeadlinePassed as error:
            raise EnvoyEnded(f"{error}; its log ends:\n{self.log()[-LOG_TAIL:]}") from None

    def stop(self) -> None:
        """Ends it, by force when it does not go."""
        self.process.terminate()
        try:
            self.process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def with_admin(bootstrap: Mapping[str, Any], socket: Path) -> tuple[dict[str, Any], Admin]:
    """The bootstrap with an admin interface, and how to reach it: its own if it has one, else one on `socket`."""
    address = (bootstrap.get("admin") or {}).get("address", {})
    if "socket_address" in address:
        place = address["socket_address"]
        return dict(bootstrap), Admin(host=place["address"], port=place["port_value"])
    if "pipe" in address:
        return dict(bootstrap), Admin(socket=Path(address["pipe"]["path"]))
    return {**bootstrap, "admin": {"address": {"pipe": {"path": str(socket), "mode": 0o600}}}}, Admin(socket=socket)


@contextlib.asynccontextmanager
async def running_envoy(
    bootstrap: Mapping[str, Any],
    *,
    concurrency: int = 1,
    log_level: str = "warn",
    arguments: tuple[str, ...] = (),
    deadline: float = STARTING,
) -> AsyncIterator[Envoy]:
    """A live Envoy that ends with the block."""
    with started_envoy(bootstrap, concurrency=concurrency, log_level=log_level, arguments=arguments) as envoy:
        await envoy.ready(deadline)
        yield envoy


@contextlib.contextmanager
def envoy_process(
    bootstrap: Mapping[str, Any],
    *,
    concurrency: int = 1,
    log_level: str = "warn",
    arguments: tuple[str, ...] = (),
    deadline: float = STARTING,
) -> Iterator[Envoy]:
    """`running_envoy` for callers without an event loop; the admin still answers coroutines (`asyncio.run`)."""
    with started_envoy(bootstrap, concurrency=concurrency, log_level=log_level, arguments=arguments) as envoy:
        asyncio.run(envoy.ready(deadline))
        yield envoy


@contextlib.contextmanager
def started_envoy(
    bootstrap: Mapping[str, Any], *, concurrency: int = 1, log_level: str = "warn", arguments: tuple[str, ...] = ()
) -> Iterator[Envoy]:
    """An Envoy that may not be live yet, for tests of the time before that."""
    with tempfile.TemporaryDirectory(prefix="weir-envoy-") as folder:
        place = Path(folder)
        config, admin = with_admin(bootstrap, place / "admin")
        (place / "bootstrap.json").write_bytes(msgspec.json.encode(config))
        command = [str(envoy_binary()), "-c", str(place / "bootstrap.json"), "--concurrency", str(concurrency)]
        command += ["--log-level", log_level, "--disable-hot-restart", *arguments]
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        envoy = Envoy(process, admin, place / "log")
        try:
            yield envoy
        finally:
            envoy.stop()
