"""The end of a serving Envoy, told to its clients: answers close their connections, HTTP/2 gets GOAWAY, requests under way are answered.

Comes in: the socket of its admin. Goes out: how many connections are left. Its listeners stay open all the while, so whoever comes late is served too. Connections
that nobody asks anything on stay to the limit: HTTP/1.1 has no word for them. (Envoy, docs/root/intro/arch_overview/operations/draining.rst.)
"""

import asyncio
import logging
from pathlib import Path

import aiohttp

from weirkeeper.providers.envoy.beside import asked

log = logging.getLogger(__name__)

LOOK = 0.05
LOOKS = 2
"""So often nobody has to be there: to end Envoy too early costs requests, and a look costs nothing."""
TOLD = 3.0
"""Who stops a pod tells both containers at once; so long the word for Envoy may be later than ours."""
ENDED = 5.0
_GRACEFUL = "/drain_listeners?graceful&skip_exit"
_OPEN = r"/stats?filter=^listener\..*\.downstream_cx_active$"
_NOT_OURS = ("listener.admin.", ".worker_", ".main_thread.")


class Draining:
    """The leave of one Envoy that somebody is about to stop, who waits for it to be over. ``waiting`` counts them."""

    def __init__(self, admin: Path, *, limit: float) -> None:
        self._admin, self._limit = admin, limit
        self.begun = False
        self.waiting = 0
        self._awaited, self._over = asyncio.Event(), asyncio.Event()

    async def wait(self) -> None:
        """Until Envoy may be ended. Nothing begins by it."""
        self.waiting += 1
        self._awaited.set()
        try:
            await self._over.wait()
        finally:
            self.waiting -= 1
            if not self.waiting:
                self._awaited.clear()

    async def run(self) -> None:
        """Drain, if Envoy is to be stopped too: where only its neighbour is, it serves on. Whoever waited ends it, else we do: what has drained is of no more use."""
        try:
            async with asyncio.timeout(TOLD):
                await self._awaited.wait()
        except TimeoutError:
            return
        self.begun = True
        try:
            left = await drained(self._admin, self._limit)
            log.info("drained; connections that are left: %d", left)
            self._over.set()
            await self._ended()
        except (aiohttp.ClientError, OSError) as error:
            log.info("there is no Envoy any more: %s", error)
        finally:
            self._over.set()

    async def _ended(self) -> None:
        for _ in range(round(ENDED / LOOK)):
            await asked(self._admin, _OPEN)  # an error once it has ended
            await asyncio.sleep(LOOK)
        await asked(self._admin, "/quitquitquit", "POST")


async def drained(admin: Path, limit: float) -> int:
    """Tell clients to go elsewhere; how many connections are left when none is, or after ``limit`` seconds. Where there is no Envoy (any more), aiohttp's errors and `OSError`."""
    loop = asyncio.get_running_loop()
    end, left, told, empty = loop.time() + limit, 0, False, 0
    while True:
        try:
            if not told:
                await asked(admin, _GRACEFUL, "POST")
                told = True
            left = open_connections(await asked(admin, _OPEN))
            empty = 0 if left else empty + 1
            if empty == LOOKS:
                return 0
        except aiohttp.ClientConnectorError:
            raise  # there is none
        except (aiohttp.ClientError, TimeoutError) as error:  # a busy Envoy is asked again
            log.info("its admin did not answer: %s", error or type(error).__name__)
        if loop.time() >= end:
            if not told:
                raise TimeoutError("its admin takes connections and does not answer")
            return left
        await asyncio.sleep(LOOK)


def open_connections(statistics: str) -> int:
    """The connections of clients, whatever they speak, out of Envoy's plain statistics."""
    rows = (line.rpartition(": ") for line in statistics.splitlines())
    return sum(
        int(value)
        for name, _, value in rows
        if value.isdecimal() and not name.startswith(_NOT_OURS[0]) and not any(part in name for part in _NOT_OURS[1:])
    )
