"""One load balancer's HAProxy: kept running, and brought to what is wished, step by step or by a reload.

Comes in: changes of items. Goes out: observations: an item is programmed once HAProxy has taken all that it asked for, and rejected with HAProxy's words where it has not; what is
rejected is taken out, or its last good version put in its place, and everything else goes on. A HAProxy that is gone, or does not answer, is started anew with everything.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from weirkeeper.model.text import Id, Name
from weirkeeper.providers.haproxy import adoption
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.blame import blamed, said
from weirkeeper.providers.haproxy.files import binds, files, lines, mark
from weirkeeper.providers.haproxy.generations import ALIVE, PROOF, Generations, Unable, answers
from weirkeeper.providers.haproxy.held import Held, held_of
from weirkeeper.providers.haproxy.plan import CAUSES, Cause, Step, farewells, left, plan, settled
from weirkeeper.providers.haproxy.runtime_api import TooLong, listing, numbered, refusal
from weirkeeper.providers.haproxy.runtime_socket import Away
from weirkeeper.providers.haproxy.translate.items import HOST, PORT
from weirkeeper.providers.haproxy.translate.skeleton import Frame
from weirkeeper.providers.keeping import Keeping, ObserveItem
from weirkeeper.providers.local import Running, write

log = logging.getLogger(__name__)

PROVIDER = Name("haproxy")
NOT_HANDED_OVER = "Failed to get the sockets from the old process"
HANDOVERS, HANDOVER_PAUSE = 10, 0.2
"""A generation that is just going may be asked in place of the serving one: nobody's configuration is at fault then."""


class NotTaken(Exception):
    """HAProxy did not take a step."""


class Keeper(Keeping[Held]):
    """Keeps one HAProxy; ``run`` is its task."""

    provider = PROVIDER
    port_kind = PORT
    wished: Assembly

    def __init__(
        self, name: Id, folder: Path, generations: Generations, chosen: Frame, observe: ObserveItem, *, between_reloads: float,
        serving: Callable[[], None] = lambda: None, settled: Callable[[], None] = lambda: None, ails: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """What the callbacks are for is said in ``Keeping``."""
        super().__init__(name, observe, between_reloads=between_reloads, serving=serving, settled=settled, ails=ails)
        self.folder, self.generations, self.processes = folder, generations, generations
        self.wished = Assembly()
        self._chosen = chosen
        self._socket = generations.socket
        self._hung = False
        self._binds: tuple[str, ...] = ()

    async def _bring(self) -> None:
        """From what is held to what is wished."""
        if self._held is None and self._early():
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
        if Cause.FRAME in causes and self._held is not None and await self._refuse_foreign():
            causes = plan(self._held, self.wished, self._chosen).causes
        if causes:
            await self._reload(causes)
        else:
            await self._bring()

    async def _reload(self, causes: tuple[Cause, ...]) -> None:
        """A new generation from files; what it complains about is taken out, until it takes the rest."""
        began = asyncio.get_running_loop().time()
        self.reloads.update(causes)
        log.info("haproxy of %s: a new generation, because %s", self.name, "; ".join(CAUSES[cause] for cause in causes))
        await self._refuse_foreign()
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
                self._later()
                raise Away("it does not start")
        else:
            return
        self._hung = False
        self._held = held_of(self.wished, self._chosen)
        self._binds = binds(self.wished)
        self.wished.settle()
        self._reloaded(began)
        self._programmed()
        self._serving()

    async def _begin(self) -> Running | str:
        try:
            return await self.generations.begin()
        except Unable as error:
            self._later()
            raise Away(str(error)) from None

    async def _refuse_foreign(self) -> bool:
        """Take out new ports at which somebody else listens; whether there was one. HAProxy would try for two seconds, and its predecessor answers nobody meanwhile."""
        running = await self.generations.running() is not None
        if running and not self._binds:
            return False  # one that does not say where it listens hands that over, or HAProxy itself complains
        return await self._refuse_taken(self._binds if running else ())

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
            self._suspect(keys)
            return bool(keys)
        for key, words in keys.items():
            self._refuse(key, words)
        return True

    async def _amiss(self) -> str:
        self._hung = not await answers(self._socket)
        return "it does not answer" if self._hung else ""

    def _lost(self) -> None:
        self._socket.close()
        super()._lost()
