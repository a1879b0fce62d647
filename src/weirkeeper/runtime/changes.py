"""How long each change took to be live: from the moment its event came in until the engine had taken everything that came of it.

Comes in: outcomes with their batches, and observations. Goes out: one line for each change, and the last `KEPT` of them for the read API. An item
that a newer change replaces before it was taken counts for the newer change only.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from weirkeeper.feeds.base import FILE, Seen
from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.value import Value
from weirkeeper.providers.base import ItemKey
from weirkeeper.reconcile import Outcome
from weirkeeper.runtime.intake import Batch
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics

KEPT = 200
NAMED = 3
"""How many objects and hosts a line names; of the rest it says how many."""

Awaited = tuple[str, ItemKey]


class Change(Value, frozen=True, kw_only=True):
    """One change, done or on its way (`live_ms` not there yet)."""

    number: int
    objects: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    items: int = 0
    settle_ms: float = 0.0
    live_ms: float | None = None
    rejected: tuple[str, ...] = ()


class _Open:
    def __init__(self, change: Change, arrived: float, awaited: dict[Awaited, str]) -> None:
        self.change, self.arrived, self.awaited = change, arrived, awaited
        self.rejected: list[str] = []


class Changes:
    """The changes that are on their way, and the last that arrived."""

    def __init__(self, log: Log, metrics: Metrics, clock: Callable[[], float] = time.perf_counter) -> None:
        self._log, self._metrics, self._clock = log, metrics, clock
        self._number = 0
        self._open: dict[int, _Open] = {}
        self._awaited: dict[Awaited, int] = {}
        self.done: deque[Change] = deque(maxlen=KEPT)
        self.first_live = asyncio.Event()
        """Set when the first change is live: the engine answers."""

    @property
    def under_way(self) -> tuple[Change, ...]:
        """Changes that some engine has not taken yet."""
        return tuple(one.change for one in self._open.values())

    def delivered(self, outcome: Outcome, batch: Batch) -> None:
        """Begin to wait for what a settle changed."""
        refs = tuple(e.ref for e in batch.events if isinstance(e, Seen) and e.ref.kind != FILE)
        changed = {(p, key): item for p, items in outcome.items.items() for key, item in items.items()}
        if not changed:
            return
        self._number += 1
        awaited = {key: item.version for key, item in changed.items() if item is not None}
        change = Change(
            number=self._number,
            objects=_few([str(ref) for ref in refs]),
            hosts=_few(sorted({key.hostname for key in outcome.hosts})),
            items=len(changed),
            settle_ms=round((batch.ended - batch.began) * 1000, 2),
        )
        opened = _Open(change, batch.arrived, dict(awaited))
        for key in changed:
            self._forget(key)
        self._open[change.number] = opened
        self._awaited.update(dict.fromkeys(awaited, change.number))
        self._end_if_done(opened)

    def observed(self, seen: object) -> None:
        """Note that an engine has taken or refused an item."""
        if not isinstance(seen, ItemObservation) or seen.state is ItemState.PENDING:
            return
        key = (seen.provider, ItemKey(seen.load_balancer, seen.kind, seen.name))
        opened = self._open.get(self._awaited.get(key, 0))
        if opened is None or opened.awaited.get(key) != seen.version:
            return
        if seen.state is ItemState.REJECTED:
            opened.rejected.append(f"{seen.name}: {seen.message}")
        self._forget(key)

    def _forget(self, key: Awaited) -> None:
        opened = self._open.get(self._awaited.pop(key, 0))
        if opened is not None:
            opened.awaited.pop(key, None)
            self._end_if_done(opened)

    def _end_if_done(self, opened: _Open) -> None:
        if opened.awaited:
            return
        self._open.pop(opened.change.number, None)
        live_ms = round((self._clock() - opened.arrived) * 1000, 2)
        change = Change(
            number=opened.change.number, objects=opened.change.objects, hosts=opened.change.hosts,
            items=opened.change.items, settle_ms=opened.change.settle_ms, live_ms=live_ms, rejected=tuple(opened.rejected),
        )  # fmt: skip
        self.done.append(change)
        self.first_live.set()
        self._metrics.count("changes", state="rejected" if change.rejected else "live")
        say = self._log.warning if change.rejected else self._log.info
        say(
            "change rejected" if change.rejected else "change live",
            live_ms=live_ms, settle_ms=change.settle_ms, items=change.items, objects=", ".join(change.objects),
            hosts=", ".join(change.hosts), **({"why": change.rejected[0]} if change.rejected else {}),
        )  # fmt: skip


def _few(texts: list[str]) -> tuple[str, ...]:
    more = len(texts) - NAMED
    return (*texts[:NAMED], f"and {more} more") if more > 0 else tuple(texts)
