"""A HAProxy that somebody else keeps running (a kubelet, systemd) as a master with workers: told through the master's socket to take what is written.

Comes in: a folder, shared with it: ``haproxy.cfg`` is what it is started from, ``master.sock`` is its master's, ``complaints.log`` its standard error. Goes out: workers that serve what we
wrote. It is nobody's child of ours, so what becomes of us does not touch it.

Between two reloads ``haproxy.cfg`` is a gate: a configuration that listens nowhere. So one that starts anew, with files that may be old, takes no request before it was programmed.
"""

import asyncio
import contextlib
import os
import re
import signal
from pathlib import Path

from weirkeeper.providers import local
from weirkeeper.providers.haproxy.adoption import mark_of, said
from weirkeeper.providers.haproxy.generations import ALIVE, PROOF, STARTING, answers, speaks
from weirkeeper.providers.haproxy.runtime_socket import Away, RuntimeSocket
from weirkeeper.providers.haproxy.translate.names import CONFIGURATION, SOCKET
from weirkeeper.providers.haproxy.translate.skeleton import alive
from weirkeeper.providers.local import Running, write

MASTER, COMPLAINTS = "master.sock", "complaints.log"
LOOK = 0.02
_MASTER = re.compile(r"(\d+)\s+master\s+(\d+)\s+\[failed: (\d+)\]", re.ASCII)
_WORKER = re.compile(r"^(\d+)\s+worker\s+0\s", re.ASCII | re.MULTILINE)


class Supervised:
    """The workers of one master."""

    def __init__(self, folder: Path, *, log_bytes: int = 16 << 20, answers_at: str = "") -> None:
        """``answers_at``: where it says that it is alive, at its gate as well."""
        self.folder = folder
        self.socket = RuntimeSocket(folder / SOCKET)
        self._log_bytes, self._answers_at = log_bytes, answers_at
        self._watched: dict[Running, asyncio.StreamReader] = {}
        self._writer: asyncio.StreamWriter | None = None
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def bar(self) -> None:
        """Write the gate, for whoever starts next."""
        write(self.folder / CONFIGURATION, gate(self._answers_at).encode())

    async def running(self) -> Running | None:
        """The worker that serves; one at the gate does not."""
        try:
            told = await self.socket.ask(ALIVE, PROOF)
        except Away:
            return None
        if mark_of(told) is None:
            return None
        found = Running(pid=int(said(told)["Pid"]), started=int(said(told).get("Start_time_sec", "0")))
        if found not in self._watched:
            await self._watch(found)
        return found if found in self._watched else None

    def lives(self, one: Running) -> bool:
        """Whether its end was not seen."""
        return one in self._watched and not self._watched[one].at_eof()

    async def ended(self, one: Running) -> None:
        """Returns when it hangs up."""
        reader = self._watched.get(one)
        if reader is not None:
            with contextlib.suppress(OSError):
                while await reader.read(1 << 12):
                    pass
            reader.feed_eof()

    async def begin(self) -> Running | str:
        """Have the master reload. What it complains about is what it wrote meanwhile.

        A worker that hangs would keep its share of what connects, as the kernel divides it between old and new listeners: it is ended once another one serves.
        """
        before = await self._state()
        hung = None if await answers(self.socket) else before[2]
        already = local.size(self.folder / COMPLAINTS)
        await ask(self.folder / MASTER, "reload")
        try:
            async with asyncio.timeout(STARTING):
                pid = await self._reloaded(before[0])
                if pid is None:
                    return await asyncio.to_thread(local.since, self.folder / COMPLAINTS, already)
                self.socket.close()
                while not await speaks(self.socket, pid):  # noqa: ASYNC110 (another process begins)
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            raise Away("it did not reload in time") from None
        finally:
            await asyncio.to_thread(self.bar)
        if hung is not None and hung != pid:
            await asyncio.to_thread(_kill, hung, before[3])
        found = await self.running()
        if found is None:
            raise Away("it is gone already")
        return found

    async def end(self) -> None:
        """Send it back to its gate."""
        self.socket.close()
        await asyncio.to_thread(self.bar)
        with contextlib.suppress(Away):
            before = await self._state()
            await ask(self.folder / MASTER, "reload")
            async with asyncio.timeout(STARTING):
                await self._reloaded(before[0])

    def forget(self) -> None:
        """Nothing: the folder is its supervisor's as well."""

    def tidy(self) -> None:
        """Begin the file of complaints anew where it has grown."""
        path = self.folder / COMPLAINTS
        local.trim(path, path.with_name(COMPLAINTS + ".1"), self._log_bytes)

    async def _state(self) -> tuple[int, int, int | None, int]:
        """How often the master reloaded, how often in vain since it last did, its newest worker, and itself."""
        told = await ask(self.folder / MASTER, "show proc")
        master, worker = _MASTER.search(told), _WORKER.search(told)
        if master is None:
            raise Away(f"the master says {told[:200]!r}")
        return (
            int(master.group(2)),
            int(master.group(3)),
            int(worker.group(1)) if worker is not None else None,
            int(master.group(1)),
        )

    async def _reloaded(self, before: int) -> int | None:
        """The new worker, once the master has reloaded; None where it kept the old one."""
        while True:
            with contextlib.suppress(Away):
                times, failed, worker, _ = await self._state()
                if times > before and (failed or worker is not None):
                    return None if failed else worker
            await asyncio.sleep(LOOK)

    async def _watch(self, one: Running) -> None:
        """A connection of its own, on which nothing is ever said: its end is the worker's."""
        try:
            reader, writer = await local.connected(self.folder / SOCKET)
        except OSError:
            return
        writer.write(b"prompt\n")
        if self._writer is not None:
            self._writer.close()
        self._watched, self._writer = {one: reader}, writer


def _kill(pid: int, master: int) -> None:
    """End a worker of this master at once. Where its processes are none of those that are seen here, it is left to its supervisor's probe.

    Who may look at its folder would need all rights that it has (ptrace(2)): one that may use low ports has more than we do. Its name and its parent are everybody's to read.
    """
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if local.name_of(pid) == ("haproxy", master):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def gate(answers_at: str = "") -> str:
    """A configuration that serves nobody: it only waits to be programmed."""
    return f"""global
  description gate
  stats socket unix@{SOCKET} mode 600 level admin expose-fd listeners
  stats timeout 1h
  hard-stop-after 5s

defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
""" + "".join(line + "\n" for line in alive(answers_at))


async def ask(master: Path, command: str) -> str:
    """The master's answer; nothing where it hangs up, as it does when it reloads."""
    try:
        async with asyncio.timeout(STARTING):
            reader, writer = await local.connected(master)
            try:
                writer.write(f"{command}\n".encode())
                writer.write_eof()
                with contextlib.suppress(ConnectionError):
                    return (await reader.read()).decode(errors="replace")
                return ""
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise Away(f"its master does not answer: {error or type(error).__name__}") from error
