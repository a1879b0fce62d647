"""The processes behind one HAProxy, as whoever programs it sees them: one that serves, perhaps others that end; and how another takes its place.

Comes in: a folder with files. Goes out: processes that serve what is written there. ``OwnGenerations`` starts them on this machine, one process for each generation; ``supervised`` asks a
master that somebody else keeps.
"""

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Protocol

from weirkeeper.providers.haproxy.binary import haproxy_binary
from weirkeeper.providers.haproxy.plan import Step
from weirkeeper.providers.haproxy.processes import Folder, end, end_all, end_oldest, ended, start, trim
from weirkeeper.providers.haproxy.runtime_socket import Away, RuntimeSocket
from weirkeeper.providers.keeping import Processes
from weirkeeper.providers.local import Running

STARTING = 20.0
PROOF = 1.5
"""How long an answer may take that only shows that HAProxy is alive (seconds)."""
ALIVE = Step(command="show info")
NO_BINARY = "no haproxy: install it, or set WEIRKEEPER_HAPROXY"
_AT_ONCE = (signal.SIGKILL, 2.0)


class Unable(Exception):
    """No generation can be started, and no configuration is at fault."""


class Generations(Processes, Protocol):
    """The processes of one HAProxy."""

    socket: RuntimeSocket
    """Leads to the one that serves."""

    async def begin(self) -> Running | str:
        """Another one that serves the files of the folder, in place of those before; what it complains about where it does not. ``Unable`` or ``Away`` where there can be none."""
        ...


class OwnGenerations:
    """Generations that are started here and outlive us."""

    def __init__(self, folder: Folder, *, drain_seconds: float, log_bytes: int) -> None:
        self.folder = folder
        self.socket = RuntimeSocket(folder.socket)
        self._drain, self._log_bytes = drain_seconds, log_bytes

    async def running(self) -> Running | None:
        """The newest of those that live."""
        return next(reversed(self.folder.generations()), None)

    def lives(self, one: Running) -> bool:
        """Whether it is ours and has not ended."""
        return self.folder.owns(one)

    async def ended(self, one: Running) -> None:
        """Returns when it has ended, be it our child or not."""
        await ended(one)

    async def begin(self) -> Running | str:
        """A process that takes over the listening sockets of those before. One that hangs cannot hand them over: it is ended."""
        binary = haproxy_binary()
        if binary is None:
            raise Unable(NO_BINARY)
        await end_oldest(self.folder)
        self.socket.close()
        before = self.folder.generations()
        taken_over = before if before and await answers(self.socket) else []
        for hung in before if not taken_over else ():
            await end(self.folder, hung, _AT_ONCE)
        found = start(self.folder, binary, taken_over)
        try:
            async with asyncio.timeout(STARTING):
                while not await speaks(self.socket, found.pid):
                    if not self.folder.owns(found):
                        return await asyncio.to_thread(_read, self.folder.complaints)
                    await asyncio.sleep(0.01)
        except TimeoutError:
            await end(self.folder, found, _AT_ONCE)
            return "it did not answer in time"
        return found

    async def end(self) -> None:
        """End the process and what is left of older ones, after their connections had the drain time."""
        self.socket.close()
        await end_all(self.folder, self._drain)

    def forget(self) -> None:
        """Remove the folder."""
        self.folder.remove()

    def tidy(self) -> None:
        """Begin logs anew that have grown."""
        trim(self.folder, self._log_bytes)


async def answers(socket: RuntimeSocket) -> bool:
    """Whether whoever is behind the socket is alive."""
    try:
        await socket.ask(ALIVE, PROOF)
    except Away:
        return False
    return True


async def speaks(socket: RuntimeSocket, pid: int) -> bool:
    """Whether the process behind the socket is this one."""
    try:
        told = await socket.ask(ALIVE)
    except Away:
        return False
    if f"\nPid: {pid}\n" in told:
        return True
    socket.close()
    return False


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_bytes()[: 1 << 20].decode(errors="replace")
    return ""
