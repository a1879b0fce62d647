"""One Envoy as an operating-system process: started in a session of its own, known by files, adopted, drained, ended.

Comes in: a folder, a binary, a bootstrap. Goes out: a running process, or the knowledge that it has ended. The process outlives us: nothing here
is its parent in a way that matters. A pid is ours only if its start time is the recorded one and its command line names our bootstrap file. A process
whose record was never written, because we were killed just then, is found by its command line alone.

Envoy writes its own log and the access log to one file, opened for appending by both; so the file may be cut to nothing while they write (``trim``).
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import aiohttp
import msgspec

from weirkeeper.providers import local
from weirkeeper.providers.envoy.bootstrap import digest
from weirkeeper.providers.envoy.draining import drained

ENDING = 5.0


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of a process."""

    pid: int
    started: int
    bootstrap: str


class Folder:
    """The files of one Envoy: bootstrap, record of its process, log, admin socket."""

    def __init__(self, path: Path, admin: Path | None = None) -> None:
        self.path = path
        self.bootstrap = path / "bootstrap.json"
        self.record = path / "process.json"
        self.log = path / "envoy.log"
        self.older_log = path / "envoy.log.1"
        self.admin = admin if admin is not None else path / "admin.sock"

    def recorded(self) -> Running | None:
        """The recorded process, if it still runs and is ours."""
        try:
            running = msgspec.json.decode(self.record.read_bytes(), type=Running)
        except (OSError, msgspec.DecodeError):
            return None
        return running if self.owns(running) else None

    def running(self) -> Running | None:
        """The process of this folder: the recorded one, else one that was started and not recorded."""
        return self.recorded() or self._stray()

    def remove(self) -> None:
        """Forget this Envoy, logs included. Never while it runs."""
        self.admin.unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def _stray(self) -> Running | None:
        for process in Path("/proc").iterdir():
            pid = int(process.name) if process.name.isdecimal() else 0
            began = local.started(pid) if pid and str(self.bootstrap).encode() in local.command_of(pid) else None
            if began is not None:
                return Running(pid=pid, started=began, bootstrap=digest(_content(self.bootstrap)))
        return None

    def owns(self, running: Running) -> bool:
        """Whether the process with this pid is the one that we started, and alive. In the moment of its beginning it has no command line yet."""
        return local.is_ours(running.pid, running.started, self.bootstrap)


def start(folder: Folder, binary: Path, document: bytes, concurrency: int | None) -> Running:
    """A new Envoy with this bootstrap, in a session of its own so that no signal meant for us reaches it."""
    folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.record.unlink(missing_ok=True)
    _write(folder.bootstrap, document)
    command = [
        str(binary),
        "-c",
        str(folder.bootstrap),
        "--disable-hot-restart",
        "-l",
        "warn",
        "--drain-strategy",
        "immediate",
        "--file-flush-interval-msec",  # access log lines are for people who watch them: 10 s is Envoy's default
        "1000",
    ]
    if concurrency is not None:
        command += ["--concurrency", str(concurrency)]
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=folder.path
        )
    running = Running(pid=process.pid, started=local.started(process.pid) or 0, bootstrap=digest(document))
    _write(folder.record, msgspec.json.encode(running))
    process.returncode = 0  # its end is waited for by ``ended``; the object must not complain
    return running


async def ended(running: Running) -> None:
    """Returns when the process has ended, be it our child or not."""
    await local.ended(running.pid, running.started)


async def end(folder: Folder, running: Running, grace: float = ENDING) -> None:
    """Ask the process to go, then insist. Never touches a process that is not ours."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if not folder.owns(running):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, sign)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await ended(running)
    local.reap(running.pid)
    folder.record.unlink(missing_ok=True)


def trim(folder: Folder, most: int) -> None:
    """Begin the log anew where it has more bytes than that; what was in it is kept once, up to as many bytes."""
    local.trim(folder.log, folder.older_log, most)


async def drain(folder: Folder, seconds: float) -> None:
    """Tell clients to go elsewhere and wait until the last connection is gone, or until the time is over."""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        await drained(folder.admin, seconds)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _write(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.chmod(0o600)
    beside.replace(path)
