"""One load balancer's NGINX: kept running, and brought to what is wished, entry by entry or by another file.

Comes in: changes of items. Goes out: observations: an item is programmed once NGINX has taken all that it asked for, and rejected with NGINX's words where it has not; what is rejected leaves what was there before
it, and everything else goes on. An NGINX that is gone, or does not answer, is started anew with everything: it listens nowhere until it holds all entries.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.text import Id, Label, Name, Sentence
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.nginx import control
from weirkeeper.providers.nginx.assembly import Assembly, item_of
from weirkeeper.providers.nginx.control import Away
from weirkeeper.providers.nginx.files import scripts, scripts_digest, stand_in
from weirkeeper.providers.nginx.plan import CAUSES, Cause, File, Held, Wanted, file_of, mark, plan, written
from weirkeeper.providers.nginx.processes import Processes, Running, Unable, write
from weirkeeper.providers.nginx.translate.frame import CONFIGURATION, Frame, configuration
from weirkeeper.providers.nginx.translate.items import BUNDLE, HOST, PORT, Way, digest
from weirkeeper.providers.nginx.translate.quoting import Unspeakable

log = logging.getLogger(__name__)

PROVIDER = Name("nginx")
GATE = "weirkeeper/gate"
"""What an NGINX says of itself that listens nowhere yet."""
LOOK, AGAIN, MOMENT = 1.0, 5.0, 0.1
BIND_TRIES, BIND_PAUSE = 10, 0.05
ObserveItem = Callable[[ItemObservation], None]


class Keeper:
    """Keeps one NGINX; ``run`` is its task."""

    def __init__(
        self, name: Id, processes: Processes, chosen: Frame, observe: ObserveItem, *, between_reloads: float,
        serving: Callable[[], None] = lambda: None, settled: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """``settled`` is called whenever everything that was put until then is with NGINX, or refused by it."""
        self.name, self.processes, self.folder = name, processes, processes.folder
        self.wished = Assembly()
        self.reloads: Counter[Cause] = Counter()
        self.refused: dict[ItemKey, Sentence] = {}
        self.puts = self.reached = 0
        self.trouble = ""
        """Why NGINX is not programmed, as far as it is known; empty while it is."""
        self._taken = 0
        self._chosen, self._observe, self._serving, self._settled = chosen, observe, serving, settled
        self._settings = digest(scripts_digest(), str(chosen))
        self._between = between_reloads
        self._held: Held | None = None
        self._process: Running | None = None
        self._waiting: dict[ItemKey, EngineItem | None] = {}
        self._open: dict[ItemKey, EngineItem] = {}
        self._good: dict[ItemKey, EngineItem] = {}
        self._refused: dict[ItemKey, EngineItem] = {}
        self._news = asyncio.Event()
        self._ways: frozenset[Way] = frozenset()
        """The ways that the entries of NGINX may still name: those of the last time that all was settled."""
        self._next_reload = self._not_before = self._again = 0.0

    @property
    def serves(self) -> bool:
        """Whether there is an NGINX that we program."""
        return self._held is not None

    def put(self, changes: Mapping[ItemKey, EngineItem | None]) -> int:
        """Wish these changes; they are settled when ``reached`` is this number."""
        self._waiting.update(changes)
        self.puts += 1
        self._news.set()
        return self.puts

    async def run(self) -> None:
        """Until cancelled, which leaves the processes as they are."""
        while True:
            self._take()
            try:
                if self.wished.items:
                    await self._bring()
                else:
                    await self._empty()
            except (Away, Unable, OSError) as error:
                self._complain(str(error))
                self._held = self._process = None
            await self._wait()

    async def end(self) -> None:
        """End the processes."""
        self._held = self._process = None
        await self.processes.end()

    async def _empty(self) -> None:
        if self.processes.running() is not None:
            await self.end()
            self.processes.forget()
        self._reach()

    def _take(self) -> None:
        """Move what is waiting into the assembly."""
        self._news.clear()
        changes, self._waiting = self._waiting, {}
        self._taken = self.puts
        self.wished.take(changes)
        for key, item in changes.items():
            for table in (self._refused, self.refused, self._open):
                table.pop(key, None)
            if item is None:
                self._good.pop(key, None)
            elif not item.withheld:
                self._open[key] = item

    async def _bring(self) -> None:
        """From what is held to what is wished."""
        if self._held is None:
            if asyncio.get_running_loop().time() < self._not_before:
                return
            if not await self._adopt():
                await self._start()
        held = self._held
        assert held is not None
        wanted = plan(self.name, held, self.wished, self._settings)
        await self._entries(held, {key: self.wished.entries.get(key) for key in wanted.now})
        if wanted.causes:
            if self._pause() > 0:
                return
            await self._reload(held, wanted)
            held = self._held
        if held is not None:
            later = (*wanted.later, *wanted.gone)
            await self._entries(held, {key: self.wished.entries.get(key) for key in later})
            self.wished.touched.clear()
            self._programmed()

    async def _entries(self, held: Held, entries: Mapping[str, str | None]) -> None:
        if not entries:
            return
        refused = await control.put(self.processes.socket, entries)
        for key, text in entries.items():
            if key in refused:
                continue
            if text is None:
                held.entries.pop(key, None)
            else:
                held.entries[key] = text.partition(" ")[0]
        for key, why in refused.items():
            self._refuse(item_of(self.name, key), Sentence(_plain(why)))

    async def _adopt(self) -> bool:
        """Take over the NGINX that runs, as it is, where it is one of ours and answers."""
        found = self.processes.running()
        if found is None:
            return False
        try:
            told = await control.state(self.processes.socket)
            entries = await control.held(self.processes.socket)
        except Away as error:
            log.warning("nginx of %s cannot be taken over: %s", self.name, error)
            return False
        file = file_of(self.wished, self._settings)
        same = told.mark == mark(file)
        self._held = Held(entries, file if same else File(settings=told.mark))
        self._process = found
        self.wished.touched |= {*self.wished.entries, *entries}
        log.info("nginx of %s, pid %d, is taken over as it is", self.name, found.pid)
        if same:
            self._serving()
        return True

    async def _start(self) -> None:
        """One that listens nowhere yet."""
        await self.processes.end()
        self.reloads[Cause.START] += 1
        log.info("nginx of %s is started, because %s", self.name, CAUSES[Cause.START])
        await asyncio.to_thread(self._write, configuration((), (), self._chosen, GATE), {})
        begun = await self.processes.start(GATE)
        if not isinstance(begun, Running):
            self._not_before = asyncio.get_running_loop().time() + AGAIN
            raise Away("it does not start: " + begun[-500:])
        self._process, self._held = begun, Held({}, File(settings=GATE))
        self._next_reload = 0.0
        self.wished.touched |= set(self.wished.entries)

    async def _reload(self, held: Held, wanted: Wanted) -> None:
        """Another file; where NGINX complains, what is new in it is taken out, until it takes the rest."""
        if held.file.settings != GATE:  # to open it is a part of the start
            self.reloads.update(wanted.causes)
        log.info(
            "nginx of %s reads its file again, because %s", self.name, "; ".join(CAUSES[one] for one in wanted.causes)
        )
        await self._refuse_taken(held.file)
        while self.wished.items and self._process is not None:
            file = file_of(self.wished, self._settings, self._ways)
            said = await self._offered(file)
            if not said:
                self._held = Held(held.entries, file, held.file.ports)
                self._next_reload = asyncio.get_running_loop().time() + self._between
                self._serving()
                return
            if not self._reject(said):
                log.error("nginx of %s does not take its file: %s", self.name, said[-2000:])
                self._next_reload = asyncio.get_running_loop().time() + AGAIN
                raise Away("it does not take its file")

    async def _offered(self, file: File) -> str:
        """Why NGINX does not take that file; empty where it does."""
        try:
            text = written(file, self._chosen)
        except Unspeakable as error:
            return f"it cannot be told {error}"
        await asyncio.to_thread(self._write, text, self.wished.authorities())
        return "" if self._process is None else await self.processes.read_again(self._process, mark(file))

    def _write(self, text: str, authorities: Mapping[str, str]) -> None:
        kept = stand_in() if not (self.folder / next(iter(stand_in()))).exists() else {}
        for name, content in {**scripts(), **kept, **authorities, CONFIGURATION: text}.items():
            write(self.folder / name, content.encode())

    async def _refuse_taken(self, file: File) -> None:
        """Take out new ports at which somebody else listens: NGINX would say no more than a log line, and keep its file."""
        mine = {place for port in (*file.ports, *self._held_before()) for place in port.binds}
        for name, port in list(self.wished.ports.items()):
            why = await _taken([place for place in port.binds if place not in mine])
            for key in [one for one in self.wished.items if why and one.kind == PORT and one.name == name]:
                self._refuse(key, Sentence(why))

    def _held_before(self) -> tuple[Any, ...]:
        return self._held.before if self._held is not None else ()

    def _reject(self, complaints: str) -> bool:
        """Take out what is new in the file; whether there was anything."""
        words = Sentence(_plain(complaints.strip().rpartition("\n")[2]))
        held = self._held.file.ways if self._held is not None else frozenset()
        keys = [
            key
            for key in self._open
            if key.kind in {PORT, BUNDLE} or (key.kind == HOST and self.wished.waits(key, held))
        ]
        for key in keys:
            self._refuse(key, words)
        return bool(keys)

    def _refuse(self, key: ItemKey, words: Sentence) -> None:
        item, good = self.wished.items[key], self._good.get(key)
        self._refused[key], self.refused[key] = item, words
        self._open.pop(key, None)
        self.wished.take({key: good if good is not None and good.version != item.version else None})
        self._observe(_seen(key, item, ItemState.REJECTED, words))
        self._again = asyncio.get_running_loop().time() + AGAIN

    def _programmed(self) -> None:
        opened, self._open, self.trouble = self._open, {}, ""
        self._ways = self.wished.ways
        self._good |= opened
        for key, item in opened.items():
            self._observe(_seen(key, item, ItemState.PROGRAMMED))
        self._reach()

    def _reach(self) -> None:
        if self.reached != self._taken:
            self.reached = self._taken
            self._settled()

    def _complain(self, why: str) -> None:
        """Say it once, and try again after a moment."""
        if why != self.trouble:
            log.warning("nginx of %s: %s", self.name, why)
        self.trouble = why
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + MOMENT)

    def _pause(self) -> float:
        return self._next_reload - asyncio.get_running_loop().time()

    async def _wait(self) -> None:
        """Until there is news, the master has ended, or it is time to look again."""
        process, pause = self._process, LOOK
        if self._open or process is None:
            pause = min(LOOK, max(self._pause(), 0.01))
        waited: list[Coroutine[Any, Any, object]] = [self._news.wait()]
        if process is not None:
            waited.append(self.processes.ended(process))
        tasks = [asyncio.create_task(one) for one in waited]
        try:
            done, _ = await asyncio.wait(tasks, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if process is not None and not self.processes.lives(process):
            log.warning("nginx of %s, pid %d, ended", self.name, process.pid)
            self._held = self._process = None
        elif not done:
            await self._look(process)

    async def _look(self, process: Running | None) -> None:
        """What is done while nothing happens."""
        if process is not None:
            try:
                await control.state(self.processes.socket)
            except Away:
                log.warning("nginx of %s, pid %d, does not answer", self.name, process.pid)
                self._held = self._process = None
        await asyncio.to_thread(self.processes.tidy)
        now = asyncio.get_running_loop().time()
        if self._refused and now >= self._again:  # ports that could not be bound may be free now
            again = {key: item for key, item in self._refused.items() if key.kind == PORT}
            self._waiting = {**again, **self._waiting}
            self._again = now + AGAIN


def _plain(words: str) -> str:
    return "".join(char for char in words if char.isprintable())[:1000]


def _seen(key: ItemKey, item: EngineItem, state: ItemState, message: Sentence = Sentence("")) -> ItemObservation:  # noqa: B008
    return ItemObservation(
        provider=PROVIDER,
        load_balancer=key.load_balancer,
        kind=Label(key.kind),
        name=Label(key.name),
        version=item.version,
        state=state,
        message=message,
    )


async def _taken(places: list[str]) -> str:
    """Why one of these cannot be listened at; empty where all are free. A passing connection of somebody's may have the port as its own."""
    why = ""
    for _ in range(BIND_TRIES):
        why = next(filter(None, map(_bound, places)), "")
        if not why:
            break
        await asyncio.sleep(BIND_PAUSE)
    return why


def _bound(place: str) -> str:
    address, _, port = place.rpartition(":")
    family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            tried.bind((address.strip("[]"), int(port)))
            tried.listen(1)
        except OSError as error:
            return f"cannot listen at {address}:{port}: {error.strerror}"
    return ""
