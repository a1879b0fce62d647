"""An agent: beside one engine, it brings to it what the control plane wishes, and says back what the engine said.

Comes in: rounds of neutral items (``distribute.client``). Goes out: one change of the engine for each, by the provider's own translation and plan; an answer to each response once the
engine has taken it, or its words where it has not. Whoever programs the engine is a ``Keeper`` of its provider. The engine is nobody's child of ours.

The first thing an agent says on a stream is held back until its engine has everything: an instance is counted from then on.
"""

import asyncio
import gc
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from weirkeeper.distribute.client import Client, Stream
from weirkeeper.distribute.credentials import MutualTls
from weirkeeper.distribute.subscription import Round, Subscription
from weirkeeper.model.text import Id, Sentence
from weirkeeper.providers.base import EngineItem, ItemKey, Provider
from weirkeeper.providers.journal import Journal
from weirkeeper.providers.translation import Key, Translation

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""How long to wait for the control plane, at the start, before what was kept is programmed (seconds)."""


class Keeper(Protocol):
    """Programs one engine."""

    refused: dict[ItemKey, Sentence]
    reached: int

    def put(self, changes: Mapping[ItemKey, EngineItem | None]) -> int:
        """Wish these changes; they are settled when ``reached`` is this number."""
        ...

    async def run(self) -> None:
        """Until cancelled, which leaves the engine as it is."""
        ...


class _Pending(NamedTuple):
    number: int
    responses: tuple[tuple[str, str, frozenset[str]], ...]
    stream: Stream


class Agent:
    """Beside one engine. ``settled`` and ``ails`` are for its keeper to call."""

    def __init__(self, load_balancer: Id, provider: Provider, journal: Journal) -> None:
        self._translation, self._journal = Translation(load_balancer, provider), journal
        self._pending: deque[_Pending] = deque()
        self._told: dict[Key, str] = {}
        self._known = asyncio.Event()
        self.refused: dict[Key, str] = {}
        self.rounds = 0

    async def run(
        self,
        keeper: Keeper,
        subscription: Subscription,
        servers: Sequence[str],
        tls: Callable[[], Awaitable[MutualTls]],
        server_name: str,
    ) -> None:
        """Until cancelled, which leaves the engine as it is."""
        self._keeper, self._subscription = keeper, subscription
        kept = self._journal.read()
        if kept:
            keeper.put(self._translation.take({key: one.body for key, one in kept.items()}))
            subscription.knows({key: one.version for key, one in kept.items()})
        self.client = Client(servers, subscription, tls, self._take, server_name)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.client.run(), name="stream")
            await self._wait(PATIENCE if kept else None)
            group.create_task(keeper.run(), name="engine")

    async def _wait(self, patience: float | None) -> None:
        """Until it is known what is wished: before, nothing that is missing means anything."""
        try:
            async with asyncio.timeout(patience):
                await self._known.wait()
        except TimeoutError:
            log.warning("the control plane cannot be reached; the engine is given what it said last")
        gc.collect()
        gc.freeze()

    def _take(self, found: Round, stream: Stream) -> None:
        self.rounds += 1
        number = self._keeper.put(self._translation.take(found.changes))
        if found.changes:
            self._journal.write(found.changes, dict(self._subscription.versions(found.changes)))
            for key in found.changes:
                self.refused.pop(key, None)
                self._told.pop(key, None)
        self._pending.append(_Pending(number, found.responses, stream))
        self._known.set()

    def ails(self, why: str) -> None:
        """The engine does not do what is wished, and why; or (empty) it does again."""
        self.client.say(self._subscription.ails(why))

    def settled(self) -> None:
        """The engine has what was put until now, or refused it."""
        done = []
        while self._pending and self._pending[0].number <= self._keeper.reached:
            done.append(self._pending.popleft())
        changed = {(kind, name) for one in done for kind, _, names in one.responses for name in names}
        blamed = self._translation.blamed(self._keeper.refused, changed)
        self.refused |= blamed
        self._told |= blamed
        self._subscription.distrust(blamed)
        for one in done:
            one.stream.answer(one.responses, blamed)
        self._own_up()

    def _own_up(self) -> None:
        """What the engine refuses that it once had, or that was kept: it is asked for again, for only an answer can refuse it."""
        untold = {
            key: str(why)
            for item, why in self._keeper.refused.items()
            for key in self._translation.made_of(item)
            if key not in self._told
        }
        if untold and not self._pending:
            self._subscription.distrust(untold)
            self._told |= untold
            self.client.begin_anew()
