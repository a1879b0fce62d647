"""HAProxy as operating-system processes: generations in a session of their own, known by files, adopted, replaced, ended.

Comes in: a folder, a binary. Goes out: running processes, or the knowledge that they have ended. They outlive us. A pid is ours only if its start time is the recorded one and
its command line names our folder. Of several generations the last one serves; the others end by themselves when their last connection does.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import msgspec

from weirkeeper.providers import local
from weirkeeper.providers.haproxy.translate.names import CONFIGURATION, SOCKET
from weirkeeper.providers.local import Running, write

ENDING = 2.0
OLD_GENERATIONS = 2


class Folder:
    """The files of one HAProxy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / "process.json"
        self.log = path / "haproxy.log"
        self.complaints = path / "complaints.log"
        self.socket = path / SOCKET

    def generations(self) -> list[Running]:
        """All processes of this folder that still run, the serving one last."""
        try:
            recorded = msgspec.json.decode(self.record.read_bytes(), type=list[Running])
        except (OSError, msgspec.DecodeError):
            recorded = []
        return [one for one in recorded if self.owns(one)]

    def note(self, running: list[Running]) -> None:
        """Record the processes."""
        write(self.record, msgspec.json.encode(running))

    def owns(self, running: Running) -> bool:
        """Whether the process with this pid is one that we started here, and alive. In the moment of its beginning it has no command line yet."""
        return local.is_ours(running.pid, running.started, self.path)

    def remove(self) -> None:
        """Forget this HAProxy, logs included. Never while it runs."""
        shutil.rmtree(self.path, ignore_errors=True)


def start(folder: Folder, binary: Path, before: list[Running]) -> Running:
    """A new generation that takes over the listening sockets of those before. What it complains about goes to a file of its own."""
    command = [str(binary), "-db", "-C", str(folder.path), "-f", CONFIGURATION]
    if before:
        command += ["-x", f"./{SOCKET}", "-sf", *(str(one.pid) for one in before)]
    folder.complaints.unlink(missing_ok=True)
    with folder.log.open("ab") as log, folder.complaints.open("ab") as complaints:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=complaints, start_new_session=True, cwd=folder.path
        )
    process.returncode = 0  # its end is waited for by ``ended``; the object must not complain
    running = Running(pid=process.pid, started=local.started(process.pid) or 0)
    folder.note([*folder.generations()[-OLD_GENERATIONS:], running])
    return running


async def ended(running: Running) -> None:
    """Returns when the process has ended, be it our child or not."""
    await local.ended(running.pid, running.started)


async def end(folder: Folder, running: Running, *signs: tuple[signal.Signals, float]) -> None:
    """Send these signals, each with its time to work, until the process has ended. Never touches a process that is not ours."""
    for sign, grace in signs:
        if not folder.owns(running):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, sign)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await ended(running)
    local.reap(running.pid)


async def end_all(folder: Folder, drain_seconds: float) -> None:
    """End every generation: connections under way have the drain time."""
    signs = ((signal.SIGUSR1, drain_seconds), (signal.SIGTERM, ENDING), (signal.SIGKILL, ENDING))
    await asyncio.gather(*(end(folder, one, *signs) for one in folder.generations()))
    folder.record.unlink(missing_ok=True)


async def end_oldest(folder: Folder) -> None:
    """End the oldest generations where there are more than a reload may leave behind."""
    for running in folder.generations()[:-OLD_GENERATIONS]:
        await end(folder, running, (signal.SIGTERM, ENDING), (signal.SIGKILL, ENDING))


def trim(folder: Folder, most: int) -> None:
    """Begin a log anew where it has more bytes than that; what was in it is kept once, up to as many bytes."""
    for path in (folder.log, folder.complaints):
        local.trim(path, path.with_name(path.name + ".1"), most)
