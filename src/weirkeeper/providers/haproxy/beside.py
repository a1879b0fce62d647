"""A HAProxy that somebody else keeps running, as the agent beside it has it.

Comes in: settings. Goes out: a keeper, HAProxy's version and its own numbers.
"""

import asyncio
import contextlib
from pathlib import Path

from weirkeeper.providers.beside import BesideSettings, Neighbour, Told
from weirkeeper.providers.haproxy.adoption import said
from weirkeeper.providers.haproxy.engine import OPTIONS, frame_of
from weirkeeper.providers.haproxy.generations import ALIVE, PROOF
from weirkeeper.providers.haproxy.keeper import Keeper
from weirkeeper.providers.haproxy.provider import HaproxyProvider
from weirkeeper.providers.haproxy.runtime_socket import Away
from weirkeeper.providers.haproxy.supervised import Supervised
from weirkeeper.providers.haproxy.translate.names import METRICS
from weirkeeper.providers.local import connected
from weirkeeper.providers.machine import numbers


class BesideHaproxy(Neighbour):
    """One HAProxy."""

    provider = HaproxyProvider()

    def __init__(self, settings: BesideSettings, told: Told) -> None:
        self._folder, chosen = Path(settings.folder), numbers(settings.options, OPTIONS)
        self._generations = Supervised(self._folder, log_bytes=chosen["max-log-bytes"], answers_at=settings.alive_at)
        self.keeper = Keeper(
            settings.load_balancer,
            self._folder,
            self._generations,
            frame_of(chosen, threads=settings.workers, alive=settings.alive_at),
            lambda _seen: None,
            between_reloads=chosen["reload-milliseconds"] / 1000,
            settled=told.settled,
            ails=told.ails,
        )

    def bar(self) -> None:
        """One that starts anew listens nowhere, until it is programmed."""
        self._generations.bar()

    async def version(self) -> str:
        """HAProxy's, once it answers, be it at its gate."""
        with contextlib.suppress(Away):
            return said(await self._generations.socket.ask(ALIVE, PROOF)).get("Version", "").partition("-")[0]
        return ""

    async def prometheus(self) -> str:
        """HAProxy's own numbers, as its exporter gives them; nothing where it does not answer."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PROOF):
                reader, writer = await connected(self._folder / METRICS)
                writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                writer.close()
                return body.decode(errors="replace") if b" 200 " in head.split(b"\r\n", 1)[0] else ""
        return ""
