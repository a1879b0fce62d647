"""An NGINX that somebody else keeps running (a kubelet, systemd): told through its own workers to read what is written.

Comes in: a folder, shared with it: ``nginx.conf`` is what it is started from, ``control.sock`` is where its workers answer, ``error.log`` is what it says. Goes out: workers that serve what we wrote. It is nobody's child of
ours, so what becomes of us does not touch it, and nothing here needs to see its processes: where they are seen, an end is noticed at once, and workers that hang are ended.

Between two reloads ``nginx.conf`` is a gate: a file that listens nowhere. So one that starts anew takes no request before it was programmed. One that starts in the moment of a reload refuses the file: it has no entries.
"""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

from weirkeeper.providers import local
from weirkeeper.providers.local import Running
from weirkeeper.providers.nginx import control
from weirkeeper.providers.nginx.control import Away
from weirkeeper.providers.nginx.master import answers, ceased, close, kill, serving, sweep, write_all
from weirkeeper.providers.nginx.plan import GATE
from weirkeeper.providers.nginx.translate.frame import CONTROL, ERRORS, LOG, PID

_SAID = re.compile(r"\[(emerg|error)\] \d+#\d+: (?:\*\d+ )?(.*)", re.ASCII)
_TAKEN = re.compile(r"bind\(\) to \S+ failed \(98: ", re.ASCII)
_LAST_WORD = "still could not bind()"
RESPAWN = 1.0
"""How long a master may need to start workers in place of those that were ended (seconds)."""


class Supervised:
    """The workers of one master."""

    def __init__(self, folder: Path, gate: Mapping[str, str], *, log_bytes: int) -> None:
        """``gate`` are the files of the gate, our Lua among them."""
        self.folder, self.socket = folder, folder / CONTROL
        self._gate, self._log_bytes = gate, log_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def bar(self) -> None:
        """Write the gate, for whoever starts next."""
        write_all(self.folder, self._gate)

    async def running(self) -> Running | None:
        """The one that serves; one at the gate does not."""
        try:
            told = await control.state(self.socket)
        except Away:
            return None
        return self._running(told.master) if told.mark != GATE and not told.orphan else None

    def lives(self, one: Running) -> bool:
        """Whether it has not ended, where it is seen from here."""
        return not one.started or local.started(one.pid) == one.started

    async def ended(self, one: Running) -> None:
        """Returns when it has ended; never where that is not seen from here."""
        if not one.started:
            await asyncio.Event().wait()
        await local.ended(one.pid, one.started)

    async def start(self, mark: str) -> Running | str:
        """The one at its gate. Another one is told to end, and one that hangs is ended, for its supervisor to start it anew."""
        try:
            told = await control.state(self.socket)
        except Away as error:
            await self._shake()
            raise Away(f"{error}; it has to be started") from None
        if told.mark == mark and not told.orphan:
            sweep(self.folder)
            close(self.folder)
            return self._running(told.master)
        with contextlib.suppress(Away):
            await control.finish(self.socket)
        raise Away("it has to be started anew")

    async def read_again(self, one: Running, mark: str) -> str:
        """Have it read its file again. Why it does not stands in its log: a new file never harms the one that it has."""
        log, before = self.folder / ERRORS, serving(one.pid) if one.started else {}
        already = local.size(log)
        try:
            await control.reload(self.socket)
            why = await answers(self.socket, mark, lambda: self.lives(one), lambda: refusal(local.since(log, already)))
        finally:
            await asyncio.to_thread(self.bar)
        if why is None:
            raise Away("it did not read its file in time")
        if not why:
            close(self.folder)
            await ceased(before, one.pid)
        return why

    async def end(self) -> None:
        """Send it back to its gate."""
        await asyncio.to_thread(self.bar)
        with contextlib.suppress(Away):
            await control.reload(self.socket)
            await answers(self.socket, GATE, lambda: True)

    def forget(self) -> None:
        """Nothing: the folder is its supervisor's as well."""

    def tidy(self) -> None:
        """Begin logs anew that have grown; one that leads elsewhere is somebody else's."""
        for path in (self.folder / LOG, self.folder / ERRORS):
            if not path.is_symlink():
                local.trim(path, path.with_name(f"{path.name}.1"), self._log_bytes)

    async def _shake(self) -> None:
        """Somebody who does not answer: its workers are ended, then, if that did not help, its master. Where its processes are not seen from here, it is left to its supervisor's probe."""
        master = self._recorded()
        if master is None:
            return
        for pid in _workers(master):
            kill(pid, master)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RESPAWN):
                while True:
                    with contextlib.suppress(Away):
                        await control.state(self.socket)
                        return
                    await asyncio.sleep(0.05)
        for pid in (master, *_workers(master)):
            kill(pid, master)

    def _recorded(self) -> int | None:
        """The master, as it wrote it down, where it is seen from here."""
        try:
            pid = int((self.folder / PID).read_text())
        except (OSError, ValueError):
            return None
        return pid if self._running(pid).started else None

    def _running(self, master: int) -> Running:
        """When it began is known only where it is seen from here: under its name, with our folder in its title."""
        seen = (local.name_of(master) or ("",))[0] == "nginx" and self._named(master)
        return Running(pid=master, started=(local.started(master) or 0) if seen else 0)

    def _named(self, pid: int) -> bool:
        return str(self.folder).encode() in b" ".join(local.command_of(pid))


def _workers(master: int) -> list[int]:
    """Its children, those that are stopped as well."""
    places = Path("/proc").glob("[0-9]*")
    return [pid for pid in map(int, (one.name for one in places)) if local.name_of(pid) == ("nginx", master)]


def refusal(said: str) -> str:
    """What of a log is the reason not to take a file; nothing where there is none, or none yet: it tries a port for two seconds and more. Pure."""
    found = [
        (level, words) for level, words in _SAID.findall(said) if level == "emerg" or words.startswith("init_by_lua")
    ]
    reasons = [words for _, words in found if "initgroups(" not in words]
    if all(_TAKEN.search(words) for words in reasons):
        return ""
    return next((words for words in reasons if words != _LAST_WORD), _LAST_WORD)
