"""One load balancer's HAProxy: kept running, and brought to what is wished, step by step or by a reload.

Comes in: changes of items. Goes out: observations: an item is programmed once HAProxy has taken all that it asked for, and rejected with HAProxy's words where it has not; what is
rejected is taken out, or its last good version put in its place, and everything else goes on. A HAProxy that is gone, or does not answer, is started anew with everything.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.text import Id, Label, Name, Sentence
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.providers.haproxy import adoption
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.blame import blamed, said
from weirkeeper.providers.haproxy.files import binds, files, lines, mark
from weirkeeper.providers.haproxy.generations import ALIVE, PROOF, Generations, Unable, answers
from weirkeeper.providers.haproxy.held import Held, held_of
from weirkeeper.providers.haproxy.plan import CAUSES, Cause, Step, farewells, left, plan, settled
from weirkeeper.providers.haproxy.processes import Running, write
from weirkeeper.providers.haproxy.runtime_api import TooLong, listing, numbered, refusal
from weirkeeper.providers.haproxy.runtime_socket import Away
from weirkeeper.providers.haproxy.translate.items import HOST, PORT
from weirkeeper.providers.haproxy.translate.skeleton import Frame

log = logging.getLogger(__name__)

PROVIDER = Name("haproxy")
LOOK, AGAIN, MOMENT = 1.0, 5.0, 0.1
NOT_HANDED_OVER = "Failed to get the sockets from the old process"
HANDOVERS, HANDOVER_PAUSE = 10, 0.2
"""A generation that is just going may be asked in place of the serving one: nobody's configuration is at fault then."""
BIND_TRIES, BIND_PAUSE = 10, 0.05
ObserveItem = Callable[[ItemObservation], None]


class NotTaken(Exception):
    """HAProxy did not take a step."""


class Keeper:
    """Keeps one HAProxy; ``run`` is its task."""

    def __init__(
        self, name: Id, folder: Path, generations: Generations, chosen: Frame, observe: ObserveItem, *, between_reloads: float,
        serving: Callable[[], None] = lambda: None, settled: Callable[[], None] = lambda: None, ails: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """``settled`` is called whenever everything that was put until then is with HAProxy, or refused by it; ``ails`` when it ceases to do what is wished (why), and when it does again (nothing)."""
        self.name, self.folder, self.generations = name, folder, generations
        self.wished = Assembly()
        self.reloads: Counter[Cause] = Counter()
        self.refused: dict[ItemKey, Sentence] = {}
        self.puts = self.reached = 0
        self.trouble = ""
        """Why HAProxy is not programmed, as far as it is known; empty while it is."""
        self._taken = 0
        self._chosen, self._observe = chosen, observe
        self._serving, self._settled, self._ails = serving, settled, ails
        self._between = between_reloads
        self._held: Held | None = None
        self._process: Running | None = None
        self._socket = generations.socket
        self._waiting: dict[ItemKey, EngineItem | None] = {}
        self._open: dict[ItemKey, EngineItem] = {}
        self._good: dict[ItemKey, EngineItem] = {}
        self._refused: dict[ItemKey, EngineItem] = {}
        self._hung = False
        self._news = asyncio.Event()
        self._suspects: list[ItemKey] = []
        self._binds: tuple[str, ...] = ()
        self._next_reload = self._not_before = self._again = 0.0

    @property
    def serves(self) -> bool:
        """Whether there is a HAProxy that we program."""
        return self._held is not None

    def put(self, changes: Mapping[ItemKey, EngineItem | None]) -> int:
        """Wish these changes; they are settled when ``reached`` is this number."""
        self._waiting.update(changes)
        self.puts += 1
        self._news.set()
        return self.puts

    async def run(self) -> None:
        """Until cancelled, which leaves the process as it is."""
        while True:
            self._take()
            try:
                if self.wished.items:
                    await self._bring()
                else:
                    await self._empty()
            except (Away, OSError) as error:
                self._complain(str(error))
                self._lost()
            await self._wait()

    async def end(self) -> None:
        """End the process and what is left of older ones."""
        self._held = self._process = None
        await self.generations.end()

    async def _empty(self) -> None:
        """Nothing is wished."""
        if await self.generations.running() is not None:
            await self.end()
            self.generations.forget()
        self._serves_again()
        self._reach()

    def _take(self) -> None:
        """Move what is waiting into the assembly."""
        self._news.clear()
        changes, self._waiting = self._waiting, {}
        self._taken = self.puts
        self.wished.take(changes)
        for key, item in changes.items():
            self._refused.pop(key, None)
            self.refused.pop(key, None)
            self._open.pop(key, None)
            if item is None:
                self._good.pop(key, None)
            elif not item.withheld:
                self._open[key] = item

    async def _bring(self) -> None:
        """From what is held to what is wished."""
        if self._held is None and asyncio.get_running_loop().time() < self._not_before:
            return
        if self._held is None and (self._hung or not await self._adopt()):
            await self._reload((Cause.START,))
        if self._held is None:
            return
        wanted = plan(self._held, self.wished, self._chosen)
        try:
            if not wanted.causes:
                await self._steps(wanted.steps)
                self.wished.settle()
                self._programmed()
            elif self._pause() > 0:
                await self._steps(wanted.at_once)
            else:
                await self._reload_for(wanted.causes)
        except (NotTaken, TooLong) as error:
            log.warning("haproxy of %s did not take a step: %s", self.name, error)
            await asyncio.sleep(max(self._pause(), 0.0))
            await self._reload((Cause.REFUSED,))
        await self._farewells()

    async def _steps(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            await self._step(step)

    async def _step(self, step: Step) -> None:
        held = self._held
        if held is None:
            raise Away("it is gone")
        asked: Step | None = step
        if step.line_of:
            asked = numbered(step, await self._socket.ask(listing(step)))
        words = refusal(step, await self._socket.ask(asked)) if asked is not None else ""
        if words and step.refusable == "must":
            raise NotTaken(f"{step.command.partition(' <<')[0][:200]}: {words[:500]}")
        if not words:
            settled(held, step)

    async def _farewells(self) -> None:
        held = self._held
        for step in farewells(held) if held is not None else ():
            if held is not None and not refusal(step, await self._socket.ask(step)):
                left(held, step)

    async def _adopt(self) -> bool:
        """Take over the HAProxy that runs, as it is, where it is one of ours and answers."""
        try:
            return await self._taken_over()
        except Away as error:
            log.warning("haproxy of %s cannot be taken over: %s", self.name, error)
            self._lost()
            return False

    async def _taken_over(self) -> bool:
        found = await self.generations.running()
        told = adoption.mark_of(await self._socket.ask(ALIVE, PROOF)) if found is not None else None
        if found is None or told is None:
            return False
        asked = adoption.rows_asked()
        maps = {name: await self._socket.ask(step) for name, step in asked.items()}
        sections, servers = await self._socket.ask(adoption.SECTIONS), await self._socket.ask(adoption.SERVERS)
        held = adoption.taken_over(told, sections, servers, maps)
        for name, step in adoption.names_asked(self.wished).items():
            held.tables[f"list/{name}"] = adoption.names_told(await self._socket.ask(step))
        wished = adoption.wished_files(self.wished)
        for file in adoption.files_told(await self._socket.ask(adoption.FILES)):
            adoption.settle_certificate(held, file, await self._socket.ask(adoption.content_asked(file)), wished)
        adoption.touch(self.wished, held)
        self._held, self._process, self._binds = held, found, told.binds
        log.info("haproxy of %s, pid %d, is taken over as it is", self.name, found.pid)
        await self._steps(adoption.surplus(self.wished, held))
        self._serving()
        return True

    async def _reload_for(self, causes: tuple[Cause, ...]) -> None:
        """Reload, unless the cause is a port that somebody else has."""
        if Cause.FRAME in causes and self._held is not None and await self._refuse_taken():
            causes = plan(self._held, self.wished, self._chosen).causes
        if causes:
            await self._reload(causes)
        else:
            await self._bring()

    async def _reload(self, causes: tuple[Cause, ...]) -> None:
        """A new generation from files; what it complains about is taken out, until it takes the rest."""
        self.reloads.update(causes)
        log.info("haproxy of %s: a new generation, because %s", self.name, "; ".join(CAUSES[cause] for cause in causes))
        await self._refuse_taken()
        handovers = 0
        while self.wished.items:
            await asyncio.to_thread(self._write)
            begun = await self._begin()
            if isinstance(begun, Running):
                self._process = begun
                break
            if NOT_HANDED_OVER in begun and handovers < HANDOVERS:
                handovers += 1
                log.warning("haproxy of %s: the one before did not hand over its sockets; once more", self.name)
                await asyncio.sleep(HANDOVER_PAUSE)
                continue
            if not self._reject(begun):
                log.error("haproxy of %s does not start: %s", self.name, begun[-2000:])
                self._not_before = asyncio.get_running_loop().time() + AGAIN
                raise Away("it does not start")
        else:
            return
        self._hung = False
        self._held = held_of(self.wished, self._chosen)
        self._binds = binds(self.wished)
        self.wished.settle()
        self._next_reload = asyncio.get_running_loop().time() + self._between
        self._programmed()
        self._serving()

    async def _begin(self) -> Running | str:
        try:
            return await self.generations.begin()
        except Unable as error:
            self._not_before = asyncio.get_running_loop().time() + AGAIN
            raise Away(str(error)) from None

    async def _refuse_taken(self) -> bool:
        """Take out new ports at which somebody else listens; whether there was one."""
        running = await self.generations.running() is not None
        if running and not self._binds:
            return False  # one that does not say where it listens hands that over, or HAProxy itself complains
        mine = set(self._binds) if running else set()
        before = len(self._refused)
        for name, port in list(self.wished.ports.items()):
            new = [place for place in port.binds if place.partition(" ")[0] not in mine]
            why = next(filter(None, map(_bound, new)), "")
            for _ in range(BIND_TRIES):  # a passing connection of somebody's may have the port as its own
                if not why:
                    break
                await asyncio.sleep(BIND_PAUSE)
                why = next(filter(None, map(_bound, new)), "")
            for key in [one for one in self.wished.items if why and one.kind == PORT and one.name == name]:
                self._refuse(key, Sentence(why))
        return len(self._refused) > before

    def _write(self) -> None:
        for name, text in files(self.wished, self._chosen, mark(self.wished, self._chosen)).items():
            write(self.folder / name, text.encode())

    def _reject(self, complaints: str) -> bool:
        """Take out what is complained about; whether there was anything new to take out."""
        found = blamed(complaints, lines(self.wished, self._chosen, mark(self.wished, self._chosen)))
        owners = {owner: words for name, words in found.items() for owner in self.wished.owners_of(name)}
        keys = {key: owners[key.name] for key in self.wished.items if key.kind == HOST and key.name in owners}
        keys |= {
            key: found[f"port-{key.name}"]
            for key in self.wished.items
            if key.kind == PORT and f"port-{key.name}" in found
        }
        if not keys:  # nothing is named: whatever is new is under suspicion, and is tried again one by one
            keys = {key: said(complaints.strip().rpartition("\n")[2]) for key in self._open}
            self._suspects += keys
        for key, words in keys.items():
            self._refuse(key, words)
        return bool(keys)

    def _refuse(self, key: ItemKey, words: Sentence) -> None:
        item = self.wished.items[key]
        good = self._good.get(key)
        self._refused[key], self.refused[key] = item, words
        self._open.pop(key, None)
        self.wished.take({key: good if good is not None and good.version != item.version else None})
        self._observe(_seen(key, item, ItemState.REJECTED, words))
        self._again = asyncio.get_running_loop().time() + AGAIN

    def _programmed(self) -> None:
        self._serves_again()
        opened, self._open = self._open, {}
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
            log.warning("haproxy of %s: %s", self.name, why)
        self._ail(why)
        self._not_before = max(self._not_before, asyncio.get_running_loop().time() + MOMENT)

    def _ail(self, why: str) -> None:
        """HAProxy does not do what is wished. Others are told the first reason; those that come while it is tried again are its consequences."""
        if not self.trouble:
            self._ails(why)
        self.trouble = why

    def _serves_again(self) -> None:
        if self.trouble:
            log.info("haproxy of %s does what is wished again", self.name)
            self.trouble = ""
            self._ails("")

    def _lost(self) -> None:
        """HAProxy is gone, or hangs: the next look starts a new one."""
        self._socket.close()
        self._held = self._process = None

    def _pause(self) -> float:
        return self._next_reload - asyncio.get_running_loop().time()

    async def _wait(self) -> None:
        """Until there is news, the process has ended, or it is time to look again."""
        process, pause = self._process, LOOK
        if self._open or process is None:
            pause = min(LOOK, max(self._pause(), 0.01))
        waited: list[Coroutine[Any, Any, object]] = [self._news.wait()]
        if process is not None:
            waited.append(self.generations.ended(process))
        tasks = [asyncio.create_task(one) for one in waited]
        try:
            done, _ = await asyncio.wait(tasks, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if process is not None and not self.generations.lives(process):
            log.warning("haproxy of %s, pid %d, ended", self.name, process.pid)
            self._ail("it has ended")
            self._lost()
        elif not done:
            await self._look(process)

    async def _look(self, process: Running | None) -> None:
        """What is done while nothing happens."""
        if process is not None and not await answers(self._socket):
            log.warning("haproxy of %s, pid %d, does not answer", self.name, process.pid)
            self._hung = True
            self._ail("it does not answer")
            self._lost()
        await asyncio.to_thread(self.generations.tidy)
        self._retry()

    def _retry(self) -> None:
        """Ports that could not be bound may be free now; of those that were only under suspicion, one is tried."""
        now = asyncio.get_running_loop().time()
        if not self._refused or now < self._again:
            return
        suspects = [key for key in self._suspects if key in self._refused]
        again = {key: item for key, item in self._refused.items() if key.kind == PORT or key in suspects[:1]}
        self._suspects = suspects[1:]
        self._waiting = {**again, **self._waiting}
        self._again = now + AGAIN


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


def _bound(place: str) -> str:
    """Why nobody can listen there; empty where it is free. HAProxy would try for two seconds, and its predecessor answers nobody meanwhile."""
    address, _, port = place.split(" ", maxsplit=1)[0].rpartition(":")
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
