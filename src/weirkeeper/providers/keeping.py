"""What every keeper of one load balancer's engine does the same: takes wishes in, brings the engine to them, tries again what is refused, notices an engine that is gone.

Comes in: changes of items. Goes out: observations: an item is programmed once the engine has taken all that it asked for, and rejected with the engine's words where it has not; what is rejected is taken out, or its last
good version put in its place, and everything else goes on. How an engine is programmed is its own keeper's.
"""

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.text import Id, Label, Name, Sentence
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.local import Running

log = logging.getLogger(__name__)

LOOK, AGAIN, MOMENT = 1.0, 5.0, 0.1
"""How often an engine is looked at while nothing happens, how long before what failed is tried again, and how long between two attempts to reach it (seconds)."""
BUSY = 5
"""The least time between two reloads is so many times what the last one took, where that is less than was chosen."""
BIND_TRIES, BIND_PAUSE = 10, 0.05
NOTHING = Sentence("")
ObserveItem = Callable[[ItemObservation], None]
Held = TypeVar("Held")


class Port(Protocol):
    """The listeners of one port."""

    @property
    def binds(self) -> tuple[str, ...]:
        """Where it listens: addresses with the port, each perhaps with words behind it."""
        ...


class Wished(Protocol):
    """What is wished of one engine, put together from its items."""

    items: dict[ItemKey, EngineItem]

    @property
    def ports(self) -> Mapping[str, Port]:
        """The ports by name."""
        ...

    def take(self, changes: Mapping[ItemKey, EngineItem | None]) -> None:
        """Change items."""
        ...


class Processes(Protocol):
    """The processes of one engine."""

    async def running(self) -> Running | None:
        """The one that serves, if there is one."""
        ...

    def lives(self, one: Running) -> bool:
        """Whether it has not ended, as far as that is seen."""
        ...

    async def ended(self, one: Running) -> None:
        """Returns when it has ended."""
        ...

    async def end(self) -> None:
        """Serve no more."""
        ...

    def forget(self) -> None:
        """What was written is of no use any more."""
        ...

    def tidy(self) -> None:
        """Keep logs small. Called on a thread."""
        ...


class Keeping(ABC, Generic[Held]):
    """Keeps one engine; ``run`` is its task."""

    provider: ClassVar[Name]
    port_kind: ClassVar[str]
    """The kind of the items that are ports."""
    wished: Wished
    processes: Processes

    def __init__(
        self, name: Id, observe: ObserveItem, *, between_reloads: float, serving: Callable[[], None] = lambda: None,
        settled: Callable[[], None] = lambda: None, ails: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """``settled`` is called whenever everything that was put until then is with the engine, or refused by it; ``ails`` when it ceases to do what is wished (why), and when it does again (nothing)."""
        self.name = name
        self.reloads: Counter[str] = Counter()
        """By cause."""
        self.refused: dict[ItemKey, Sentence] = {}
        self.puts = self.reached = 0
        self.trouble = ""
        """Why the engine is not programmed, as far as it is known; empty while it is."""
        self._taken = 0
        self._observe, self._serving, self._settled, self._ails = observe, serving, settled, ails
        self._between = between_reloads
        self._held: Held | None = None
        self._process: Running | None = None
        self._waiting: dict[ItemKey, EngineItem | None] = {}
        self._open: dict[ItemKey, EngineItem] = {}
        self._good: dict[ItemKey, EngineItem] = {}
        self._refused: dict[ItemKey, EngineItem] = {}
        self._suspects: list[ItemKey] = []
        self._news = asyncio.Event()
        self._next_reload = self._not_before = self._again = 0.0

    @abstractmethod
    async def _bring(self) -> None:
        """From what is held to what is wished. ``OSError`` where the engine is not there."""

    @abstractmethod
    async def _amiss(self) -> str:
        """Why an engine whose process lives does not do what it was told, seen from outside; empty where it does."""

    @property
    def serves(self) -> bool:
        """Whether there is an engine that does what it was told."""
        return self._held is not None

    @property
    def idle(self) -> bool:
        """Whether it is known that nothing is wished; what was wished and refused is."""
        return self.reached == self.puts > 0 and not (self.wished.items or self.refused)

    def put(self, changes: Mapping[ItemKey, EngineItem | None]) -> int:
        """Wish these changes; they are settled when ``reached`` is this number."""
        self._waiting.update(changes)
        self.puts += 1
        self._news.set()
        return self.puts

    async def run(self) -> None:
        """Until cancelled, which leaves the engine as it is."""
        while True:
            self._take()
            try:
                if self.wished.items:
                    await self._bring()
                else:
                    await self._empty()
            except OSError as error:
                self._complain(str(error))
                self._lost()
            await self._wait()

    async def end(self) -> None:
        """End the processes."""
        self._lost()
        await self.processes.end()

    async def _empty(self) -> None:
        """Nothing is wished."""
        if await self.processes.running() is not None:
            await self.end()
            self.processes.forget()
        self._serves_again()
        self._reach()

    def _take(self) -> None:
        """Move what is waiting into what is wished."""
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

    def _refuse(self, key: ItemKey, words: Sentence) -> None:
        item, good = self.wished.items[key], self._good.get(key)
        self._refused[key], self.refused[key] = item, words
        self._open.pop(key, None)
        self.wished.take({key: good if good is not None and good.version != item.version else None})
        self._observe(self._seen(key, item, ItemState.REJECTED, words))
        self._again = asyncio.get_running_loop().time() + AGAIN

    def _suspect(self, keys: Mapping[ItemKey, Sentence]) -> None:
        """One of these is at fault, it is not known which: all are refused, and tried again one by one."""
        self._suspects += keys
        for key, words in keys.items():
            self._refuse(key, words)

    async def _refuse_taken(self, mine: Collection[str]) -> bool:
        """Take out ports at which somebody else listens; whether there was one. ``mine`` are the places where this engine listens itself."""
        before = len(self._refused)
        for name, port in list(self.wished.ports.items()):
            why = await taken([place for place in port.binds if place.partition(" ")[0] not in mine])
            if why:
                self._refuse(ItemKey(self.name, self.port_kind, name), Sentence(why))
        return len(self._refused) > before

    def _programmed(self) -> None:
        self._serves_again()
        opened, self._open = self._open, {}
        self._good |= opened
        for key, item in opened.items():
            self._observe(self._seen(key, item, ItemState.PROGRAMMED))
        self._reach()

    def _reach(self) -> None:
        if self.reached != self._taken:
            self.reached = self._taken
            self._settled()

    def _complain(self, why: str) -> None:
        """Say it once, and try again after a moment."""
        if why != self.trouble:
            log.warning("%s of %s: %s", self.provider, self.name, why)
        self._ail(why)
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + MOMENT)

    def _ail(self, why: str) -> None:
        """The engine does not do what is wished. Others are told the first reason; those that come while it is tried again are its consequences."""
        if not self.trouble:
            self._ails(why)
        self.trouble = why

    def _serves_again(self) -> None:
        if self.trouble:
            log.info("%s of %s does what is wished again", self.provider, self.name)
            self.trouble = ""
            self._ails("")

    def _lost(self) -> None:
        """The engine is gone, or hangs: the next look takes over or starts another one."""
        self._held = self._process = None

    def _later(self) -> None:
        """No more attempts for a while."""
        self._not_before = asyncio.get_running_loop().time() + AGAIN

    def _early(self) -> bool:
        """Whether it is too early for another attempt."""
        return asyncio.get_running_loop().time() < self._not_before

    def _reloaded(self, began: float) -> None:
        """Where a reload is quick the next one is soon allowed: what waits for it may be what keeps somebody out."""
        now = asyncio.get_running_loop().time()
        self._next_reload = now + min(self._between, BUSY * (now - began))

    def _pause(self) -> float:
        """Seconds until the next reload is allowed."""
        return self._next_reload - asyncio.get_running_loop().time()

    async def _wait(self) -> None:
        """Until there is news, the process has ended, or it is time to look again."""
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
            self._gone(process, "it has ended")
        elif not done:
            await self._look(process)

    async def _look(self, process: Running | None) -> None:
        """What is done while nothing happens."""
        if process is not None and (why := await self._amiss()):
            self._gone(process, why)
        await asyncio.to_thread(self.processes.tidy)
        self._retry()

    def _gone(self, process: Running, why: str) -> None:
        log.warning("%s of %s, pid %d: %s", self.provider, self.name, process.pid, why)
        self._ail(why)
        self._lost()

    def _retry(self) -> None:
        """Ports that could not be bound may be free now; of those that were only under suspicion, one is tried."""
        now = asyncio.get_running_loop().time()
        if not self._refused or now < self._again:
            return
        suspects = [key for key in self._suspects if key in self._refused]
        tried = {key for key in self._refused if key.kind == self.port_kind} | set(suspects[:1])
        self._suspects = suspects[1:]
        self._waiting = {**{key: item for key, item in self._refused.items() if key in tried}, **self._waiting}
        self._again = now + AGAIN

    def _seen(self, key: ItemKey, item: EngineItem, state: ItemState, message: Sentence = NOTHING) -> ItemObservation:
        return ItemObservation(
            provider=self.provider,
            load_balancer=key.load_balancer,
            kind=Label(key.kind),
            name=Label(key.name),
            version=item.version,
            state=state,
            message=message,
        )


async def taken(places: Sequence[str]) -> str:
    """Why one of these cannot be listened at; empty where all are free. A passing connection of somebody's may have the port as its own."""
    why = ""
    for _ in range(BIND_TRIES):
        why = next(filter(None, map(bound, places)), "")
        if not why:
            break
        await asyncio.sleep(BIND_PAUSE)
    return why


def bound(place: str) -> str:
    """Why nobody can listen there; empty where it is free. One that is only not ours to take is left to the engine, which may have rights that we lack."""
    where, _, words = place.partition(" ")
    address, _, port = where.rpartition(":")
    kind = socket.SOCK_DGRAM if words == "udp" else socket.SOCK_STREAM
    family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
    with socket.socket(family, kind) as tried:
        if kind == socket.SOCK_STREAM:  # of two that take datagrams at one place so, the last would get them all
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            tried.bind((address.strip("[]"), int(port)))
            if kind == socket.SOCK_STREAM:
                tried.listen(1)
        except PermissionError:
            return ""
        except OSError as error:
            return f"cannot listen at {address}:{port}: {error.strerror}"
    return ""
