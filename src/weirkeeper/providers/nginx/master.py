"""The master of an NGINX and its workers, as whoever programs them sees them. Either we start it (``processes``) or somebody else keeps it (``supervised``).

Comes in: a file that was written. Goes out: workers that serve it, or NGINX's words where they do not.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from weirkeeper.providers import keeping, local
from weirkeeper.providers.local import Running
from weirkeeper.providers.nginx import control
from weirkeeper.providers.nginx.translate.frame import FOLDERS, TEMPORARY
from weirkeeper.providers.nginx.translate.items import KEYS

STARTING, HEARING, LOOK = 20.0, 2.0, 0.005


class Unable(Exception):
    """None can be started, and no file is at fault."""


class Master(keeping.Processes, Protocol):
    """One master; its folder, and the socket by which it is programmed."""

    folder: Path
    socket: Path

    async def start(self, mark: str) -> Running | str:
        """One that begins at its gate, of that mark: it listens nowhere; what it complains about where it does not begin. Nobody else serves there then. ``Unable`` or ``Away`` where there is none yet."""
        ...

    async def read_again(self, one: Running, mark: str) -> str:
        """Have it read its file again; why not, where it does not."""
        ...


async def answers(
    socket: Path, mark: str, lives: Callable[[], bool], refused: Callable[[], str] = lambda: ""
) -> str | None:
    """Nothing once workers of that file serve; what it refuses the file for; None where neither came in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STARTING):
            while lives():
                with contextlib.suppress(control.Away):
                    if (await control.state(socket)).mark == mark:
                        return ""
                if why := await asyncio.to_thread(refused):
                    return why
                await asyncio.sleep(LOOK)
    return None


async def ceased(before: Mapping[int, int], master: int) -> None:
    """Returns when none of these workers takes requests: one that still does would read entries for the file after its own. One that does not even hear that it is to end hangs, and is ended."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HEARING):
            while _left(before):  # noqa: ASYNC110 (other processes end)
                await asyncio.sleep(LOOK)
    for pid in _left(before):
        kill(pid, master)


def _left(before: Mapping[int, int]) -> list[int]:
    return [pid for pid, began in before.items() if local.started(pid) == began and not _ending(pid)]


def kill(pid: int, master: int) -> None:
    """End a process that is this master, or a worker of it."""
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            found = local.name_of(pid)
            if found is not None and found[0] == "nginx" and master in {pid, found[1]}:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def serving(master: int) -> dict[int, int]:
    """Workers of a master that take requests, and when they began; none where they are not seen from here."""
    try:
        children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    except OSError:
        return {}
    return {int(pid): local.started(int(pid)) or 0 for pid in children if not _ending(int(pid))}


def _ending(pid: int) -> bool:
    """Those that end say so in their title."""
    return b"shutting down" in b" ".join(local.command_of(pid))


def write_all(folder: Path, files: Mapping[str, str]) -> None:
    """Write these files, and the folders that NGINX wants to be there. The last one comes last, so that who waits for it finds the rest."""
    for name in ("client_body", *FOLDERS[1:]):
        (folder / TEMPORARY / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in files.items():
        local.write(folder / name, text.encode())


def show(folder: Path, chains: Mapping[str, str]) -> None:
    """Write these certificates, and keep no others."""
    for path in (folder / KEYS).glob("*.pem"):
        if f"{KEYS}/{path.name}" not in chains:
            path.unlink(missing_ok=True)
    for name, text in chains.items():
        local.write(folder / name, text.encode())


def close(folder: Path) -> None:
    """Sockets are their user's alone."""
    for path in folder.glob("*.sock"):
        with contextlib.suppress(FileNotFoundError):
            path.chmod(0o600)


def sweep(folder: Path) -> None:
    """Remove the sockets of streams, which one that was killed left behind. One at its gate has none."""
    for path in folder.glob("stream-*.sock"):
        path.unlink(missing_ok=True)
