"""One load balancer's NGINX: kept running, and brought to what is wished, entry by entry or by another file.

Comes in: changes of items. Goes out: observations: an item is programmed once NGINX has taken all that it asked for, and rejected with NGINX's words where it has not; what is rejected leaves what was there before
it, and everything else goes on. An NGINX that is gone, or does not answer, is started anew with everything: it listens nowhere until it holds all entries.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from weirkeeper.model.text import Id, Name, Sentence
from weirkeeper.providers.base import ItemKey
from weirkeeper.providers.items import digest
from weirkeeper.providers.keeping import AGAIN, Keeping, ObserveItem
from weirkeeper.providers.local import Running
from weirkeeper.providers.nginx import control
from weirkeeper.providers.nginx.assembly import Assembly, item_of
from weirkeeper.providers.nginx.control import Away
from weirkeeper.providers.nginx.files import scripts, scripts_digest, stand_in
from weirkeeper.providers.nginx.master import Master, Unable, show, write_all
from weirkeeper.providers.nginx.plan import CAUSES, GATE, Cause, File, Held, Wanted, binds, file_of, mark, plan, written
from weirkeeper.providers.nginx.translate.frame import CONFIGURATION, Frame
from weirkeeper.providers.nginx.translate.items import (
    BUNDLE,
    CERTIFICATE,
    HOST,
    LED,
    PORT,
    PREFIXES,
    SERVER_NAME,
    Led,
    Way,
)
from weirkeeper.providers.nginx.translate.quoting import Unspeakable

log = logging.getLogger(__name__)

PROVIDER = Name("nginx")
UNKNOWN, STREAMLESS = 'unknown directive "stream"', "NGINX has no stream module: install it (docs/nginx.md)"
SHOWN = (PREFIXES[CERTIFICATE], PREFIXES[SERVER_NAME])


class Keeper(Keeping[Held]):
    """Keeps one NGINX; ``run`` is its task."""

    provider = PROVIDER
    port_kind = PORT
    wished: Assembly

    def __init__(
        self, name: Id, master: Master, chosen: Frame, observe: ObserveItem, *, between_reloads: float,
        serving: Callable[[], None] = lambda: None, settled: Callable[[], None] = lambda: None, ails: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """What the callbacks are for is said in ``Keeping``."""
        super().__init__(name, observe, between_reloads=between_reloads, serving=serving, settled=settled, ails=ails)
        self.processes, self.master, self.folder = master, master, master.folder
        self.wished = Assembly()
        self._chosen = chosen
        self._settings = digest(scripts_digest(), str(chosen))
        self._mark = ""
        """Of the file that NGINX was last seen with."""
        self._streamless = False
        """Whether the NGINX that runs was seen to have no stream module."""
        self._shown: dict[str, str] = {}
        """The files of certificates that were written."""
        self._led: dict[ItemKey, Led] = {}
        """The routes of bytes that they were written for."""
        self._ways: frozenset[Way] = frozenset()
        """The ways that the entries of NGINX may still name: those of the last time that all was settled."""

    @property
    def serves(self) -> bool:
        """Whether there is an NGINX that does what it was told; one at its gate does not."""
        return self._held is not None and self._mark != GATE

    async def _bring(self) -> None:
        if self._held is None:
            if self._early():
                return
            if not await self._adopt():
                await self._start()
        self._refuse_impossible()
        held = self._held
        assert held is not None
        wanted = plan(self.name, held, self.wished, self._settings)
        await self._entries(held, {key: self.wished.entries.get(key) for key in wanted.now})
        await self._chains()
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

    def _refuse_impossible(self) -> None:
        """Take out what NGINX cannot do with bytes. What was there before it goes as well: it may let in whom this one keeps out."""
        found = {key: one.refused for key, one in self.wished.led.items() if one.refused}
        if self._streamless:
            found = dict.fromkeys(self.wished.led, STREAMLESS)
            found |= {
                ItemKey(self.name, PORT, name): STREAMLESS for name, port in self.wished.ports.items() if port.stream
            }
        for key, why in found.items():
            self._good.pop(key, None)
            self._refuse(key, Sentence(why))

    async def _chains(self) -> None:
        """Certificates that are shown before bytes are read anew for each connection. Those that nobody shows any more leave."""
        if self._led == self.wished.led and not any(key.startswith(SHOWN) for key in self.wished.touched):
            return
        chains = self.wished.chains()
        if chains != self._shown:
            await asyncio.to_thread(show, self.folder, chains)
        self._shown, self._led = chains, dict(self.wished.led)

    async def _entries(self, held: Held, entries: Mapping[str, str | None]) -> None:
        if not entries:
            return
        refused = await control.put(self.master.socket, self._mark, entries)
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
        found = await self.master.running()
        if found is None:
            return False
        try:
            told = await control.state(self.master.socket)
            entries = await control.held(self.master.socket, told.mark)
        except Away as error:
            log.warning("nginx of %s cannot be taken over: %s", self.name, error)
            return False
        if told.orphan or not self._fits(told):
            return False
        file = file_of(self.wished, self._settings)
        same = told.mark == mark(file)
        self._holds(found, told.mark, Held(entries, file if same else File(settings=told.mark), frozenset(told.binds)))
        log.info("nginx of %s, pid %d, is taken over as it is", self.name, found.pid)
        if same:
            self._serving()
        return True

    async def _start(self) -> None:
        """One that listens nowhere yet."""
        self._streamless = False
        try:
            begun = await self.master.start(GATE)
        except Unable as error:
            self._later()
            raise Away(str(error)) from None
        if not isinstance(begun, Running):
            self._later()
            raise Away("it does not start: " + begun[-500:])
        if not self._fits(await control.state(self.master.socket)):
            await control.finish(self.master.socket)
            raise Away("its dictionary has another size; it has to be started anew")
        self.reloads[Cause.START] += 1
        log.info("nginx of %s, pid %d, begins at its gate, because %s", self.name, begun.pid, CAUSES[Cause.START])
        self._holds(begun, GATE, Held(await control.held(self.master.socket, GATE), File(settings=GATE)))
        self._next_reload = 0.0

    def _holds(self, process: Running, told: str, held: Held) -> None:
        self._process, self._mark, self._held = process, told, held
        self.wished.touched |= {*self.wished.entries, *held.entries}

    def _fits(self, told: control.State) -> bool:
        """A reload with another size would empty the dictionary."""
        return told.capacity == self._chosen.dictionary << 20

    async def _reload(self, held: Held, wanted: Wanted) -> None:
        """Another file; where NGINX complains, what is new in it is taken out, until it takes the rest."""
        began = asyncio.get_running_loop().time()
        if held.file.settings != GATE:  # to open it is a part of the start
            self.reloads.update(wanted.causes)
        log.info(
            "nginx of %s reads its file again, because %s", self.name, "; ".join(CAUSES[one] for one in wanted.causes)
        )
        await self._refuse_taken(held.binds | binds(held.before))
        while self.wished.items and self._process is not None:
            file = file_of(self.wished, self._settings, self._ways, held.file)
            said = await self._offered(file)
            if not said:
                self._held, self._mark = Held(held.entries, file, binds(file.ports), held.file.ports), mark(file)
                self._reloaded(began)
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
        kept = {} if all((self.folder / name).exists() for name in stand_in()) else stand_in()
        files = {**scripts(), **kept, **self.wished.authorities(), CONFIGURATION: text}
        await asyncio.to_thread(write_all, self.folder, files)
        return "" if self._process is None else await self.master.read_again(self._process, mark(file))

    def _reject(self, complaints: str) -> bool:
        """Take out what is new in the file; whether there was anything."""
        if UNKNOWN in complaints and not self._streamless:
            self._streamless = True
            self._refuse_impossible()
            return True
        words = Sentence(_plain(complaints.strip().rpartition("\n")[2]))
        named = [
            ItemKey(self.name, PORT, name)
            for name, port in self.wished.ports.items()
            if any(f"bind() to {place} " in complaints for place in port.places)
        ]
        for key in named:
            self._refuse(key, words)
        if named:
            return True
        held = self._held.file.ways if self._held is not None else frozenset()
        keys = [
            key
            for key in self._open
            if key.kind in {PORT, BUNDLE, LED} or (key.kind == HOST and self.wished.waits(key, held))
        ]
        self._suspect(dict.fromkeys(keys, words))
        return bool(keys)

    def _programmed(self) -> None:
        self._ways = self.wished.ways
        super()._programmed()

    async def _amiss(self) -> str:
        try:
            told = await control.state(self.master.socket)
        except Away:
            return "it does not answer"
        if told.orphan:
            return "its master has ended"
        return "" if told.mark == self._mark else "another one has taken its place"


def _plain(words: str) -> str:
    return "".join(char for char in words if char.isprintable())[:1000]
