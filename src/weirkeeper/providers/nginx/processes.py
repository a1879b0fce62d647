"""NGINX as operating-system processes: one master with workers, in a session of its own, known by a file, adopted, told to read its file again, ended.

Comes in: a folder, a binary. Goes out: a running NGINX, or the knowledge that it has ended. It outlives us. A pid is ours only if its start time is the recorded one and its title names our folder.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from weirkeeper.providers import local
from weirkeeper.providers.local import Running, write
from weirkeeper.providers.nginx.binary import nginx_binary
from weirkeeper.providers.nginx.master import Unable, answers, ceased, close, serving, sweep, write_all
from weirkeeper.providers.nginx.translate.frame import ASKED, CONFIGURATION, CONTROL, ERRORS, LOG

ENDING = 2.0
COMPLAINTS = "complaints.log"
NO_BINARY = (
    "no nginx with Lua: install nginx and libnginx-mod-http-lua, or set WEIRKEEPER_NGINX and WEIRKEEPER_NGINX_MODULES"
)


class Processes:
    """The processes of one folder."""

    def __init__(self, folder: Path, gate: Mapping[str, str], *, drain_seconds: float, log_bytes: int) -> None:
        """``gate`` are the files of the gate, our Lua among them."""
        self.folder, self.socket, self._gate = folder, folder / CONTROL, gate
        self._record = folder / "process.json"
        self._drain, self._log_bytes = drain_seconds, log_bytes

    async def running(self) -> Running | None:
        """The master, if it lives."""
        return self._recorded()

    def _recorded(self) -> Running | None:
        try:
            found = msgspec.json.decode(self._record.read_bytes(), type=Running)
        except (OSError, msgspec.DecodeError):
            return None
        return found if self.lives(found) else None

    def lives(self, one: Running) -> bool:
        """Whether it is ours and has not ended. In the moment of its beginning it has no command line yet."""
        command = b" ".join(local.command_of(one.pid))
        return local.started(one.pid) == one.started and (not command or str(self.folder).encode() in command)

    async def ended(self, one: Running) -> None:
        """Returns when the master has ended, be it our child or not."""
        await local.ended(one.pid, one.started)

    async def start(self, mark: str) -> Running | str:
        """A master at its gate, in place of one that runs; what it complains about where it does not begin."""
        binary = _needed()
        await self.end()
        await asyncio.to_thread(write_all, self.folder, self._gate)
        with (self.folder / COMPLAINTS).open("wb") as complaints:
            process = subprocess.Popen(  # noqa: ASYNC220 (it outlives us)
                self._command(binary), stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints,
                start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        process.returncode = 0  # its end is waited for by ``ended``; the object must not complain
        found = Running(pid=process.pid, started=local.started(process.pid) or 0)
        write(self._record, msgspec.json.encode(found))
        if await answers(self.socket, mark, lambda: self.lives(found)) == "":
            close(self.folder)
            return found
        if self.lives(found):
            await self.end()
            return "it did not answer in time"
        return self._complaints()

    async def read_again(self, one: Running, mark: str) -> str:
        """Have it read its file again; why not, where it does not. It is asked on trial first, for it says no more than a log line then."""
        tried = await asyncio.create_subprocess_exec(
            *self._command(_needed()), "-t", "-q", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.folder,
        )  # fmt: skip
        said = (await tried.communicate())[0].decode(errors="replace")
        if tried.returncode:
            return said or "it refuses the file"
        before = serving(one.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGHUP)
        if await answers(self.socket, mark, lambda: self.lives(one)) is None:
            return "it did not take the file in time"
        close(self.folder)
        await ceased(before, one.pid)
        return ""

    async def end(self) -> None:
        """End it, after its connections had the drain time."""
        found = self._recorded()
        if found is not None:
            for sign, grace in ((signal.SIGQUIT, self._drain), (signal.SIGTERM, ENDING), (signal.SIGKILL, ENDING)):
                if not self.lives(found):
                    break
                with contextlib.suppress(ProcessLookupError):
                    os.kill(found.pid, sign)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace):
                        await self.ended(found)
            local.reap(found.pid)
        self._clear()

    def forget(self) -> None:
        """Remove the folder, logs included."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def tidy(self) -> None:
        """Begin logs anew that have grown."""
        for name in (LOG, ERRORS, COMPLAINTS):
            local.trim(self.folder / name, self.folder / f"{name}.1", self._log_bytes)

    def _command(self, binary: Path) -> list[str]:
        return [str(binary), "-p", str(self.folder), "-c", CONFIGURATION, "-e", ERRORS]

    def _clear(self) -> None:
        """End workers whose master is gone, and remove sockets that nobody listens at."""
        if self._recorded() is None:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                recorded = msgspec.json.decode(self._record.read_bytes(), type=Running)
                for pid in _orphans(recorded.pid, self.folder):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            self._record.unlink(missing_ok=True)
            for name in (CONTROL, ASKED):
                (self.folder / name).unlink(missing_ok=True)
            sweep(self.folder)

    def _complaints(self) -> str:
        parts = []
        for name in (COMPLAINTS, ERRORS):
            with contextlib.suppress(OSError):
                parts.append((self.folder / name).read_bytes()[-4096:].decode(errors="replace"))
        return "\n".join(parts)


def _orphans(group: int, folder: Path) -> list[int]:
    """Workers of a master of ours that is gone: of its process group, and in our folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and (place / "cwd").resolve() == folder.resolve():
                found.append(int(place.name))
    return found


def _needed() -> Path:
    binary = nginx_binary()
    if binary is None:
        raise Unable(NO_BINARY)
    return binary
