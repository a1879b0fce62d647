"""The front door: everything that happens comes in here, becomes a batch, and is settled.

Comes in: what feeds have seen and what engines have observed. Goes out: outcomes, in order, to whoever delivers them.

*Leading edge.* A change that arrives while nothing runs is settled at once; what arrives while a settle runs forms the next batch, which opens when the
settle is done. No window, no timer. Of several events about one thing the newest wins.

*Nothing before everything was seen once.* Until each awaited feed has said `Synced`, events only go into the tables, which
are the most compact form of them. What is read by name (a Secret) becomes known
only by settling: so what the first settles change is kept together and delivered as one when `ready` says that nothing is missing any more.

*The loop never waits for a long settle.* A batch is settled on the loop itself when it is small (a hop to a thread and back costs 0.1 ms and up to 5 ms under
load, as Python hands its lock over) and of kinds that few others read; else in a thread. Kinds without a namespace (classes) are read by all, and
a kind whose settle once took more than `LONG` of the processor on the loop goes to the thread from then on. (Time on the clock would not do: on a busy machine every
kind would be slow before long, and stay so.)

*Endpoints first.* When much is waiting, changed EndpointSlices go ahead in a batch of their own. Slices that were deleted go with the rest:
their Service may be going with them, and its routes should go first.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple, Protocol

from weirkeeper.controllers.base import Kind
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.model.observation import (
    FleetService,
    InstanceLeaving,
    InstanceObservation,
    InstancesMissing,
    ItemObservation,
    LoadBalancerObservation,
    Today,
)
from weirkeeper.providers.base import ItemKey
from weirkeeper.reconcile import Event, Outcome

SMALL = 32
LONG = 0.010
INSTANCE = InstanceObservation.__name__
"""An instance more or less changes every status of its load balancer."""
ENDPOINTS = "EndpointSlice"


class Settler(Protocol):
    """The heart as the intake sees it."""

    kinds: Mapping[tuple[str, str], Kind]

    def receive(self, batch: Iterable[Event]) -> None:
        """Take events."""
        ...

    def settle(self) -> Outcome:
        """What changed."""
        ...


class Batch(NamedTuple):
    """Events that are settled together, and when the first of them came in (and the settle began and ended)."""

    events: tuple[Event, ...]
    arrived: float
    began: float = 0.0
    ended: float = 0.0


Deliver = Callable[[Outcome, Batch], None]
Clock = Callable[[], float]


class Intake:
    """Collects, batches and settles. `offer` may be called at any time on the loop; `run` is the only one that settles."""

    def __init__(
        self,
        settler: Settler,
        deliver: Deliver,
        *,
        awaited: Iterable[str] = (),
        ready: Callable[[], bool] = lambda: True,
        clock: Clock = time.perf_counter,
        work: Clock = time.thread_time,
    ) -> None:
        """`work`: the processor time that the calling thread has used."""
        self._settler = settler
        self._deliver = deliver
        self._awaited = set(awaited)
        self.ready = ready
        """Called on the loop after every settle; may tell feeds what is read now, and answers whether the first output may go out."""
        self._kept: tuple[Outcome, Batch] | None = None
        self._answered = False  # whether nothing was missing any more when a settle ended
        self._clock, self._used = clock, work
        self._waiting: dict[Hashable, Event] = {}
        self._arrived: dict[Hashable, float] = {}
        self._news = asyncio.Event()
        self._slow = {kind.kind for kind in settler.kinds.values() if not kind.namespaced} | {INSTANCE}
        self._unsettled: Batch | None = None
        self._began: float | None = None
        self.still = asyncio.Lock()
        """Held while a settle runs: whoever holds it may read the tables."""
        self.synced = asyncio.Event()
        """Set when the first settle has been delivered."""

    @property
    def waiting(self) -> int:
        """How many events wait for the next batch."""
        return len(self._waiting)

    @property
    def settling_for(self) -> float:
        """For how long the present settle has been running, in seconds; 0 where none does."""
        return 0.0 if self._began is None else self._clock() - self._began

    def offer(self, events: Iterable[Event]) -> None:
        """Take events. What is offered in one call is never split, save by the endpoint lane."""
        if self._awaited:
            events = tuple(events)
            self._awaited -= {event.feed for event in events if isinstance(event, Synced)}
            if self._awaited:
                self._settler.receive(events)  # nothing is settled before the last feed has synced
                return
        now = self._clock()
        for event in events:
            key = _key(event)
            if isinstance(event, Seen) and not event.unreadable:
                # what was said before about this object being unreadable is over, wherever it stands
                self._waiting.pop((*key, "unreadable"), None)
            self._waiting[key] = event
            self._arrived.setdefault(key, now)
        if self._waiting:
            self._news.set()

    def observe(self, seen: ItemObservation | InstanceObservation | LoadBalancerObservation) -> None:
        """Take an observation: the same door."""
        self.offer((seen,))

    async def run(self) -> None:
        """Settle batch after batch until cancelled."""
        if self._unsettled is not None:  # a settle failed and this worker began anew: what it took is in the tables
            await self._settle(self._unsettled)
        while True:
            await self._news.wait()
            await self._settle(self._next())

    def _next(self) -> Batch:
        first = self._endpoints() if len(self._waiting) > SMALL and self.synced.is_set() else {}
        events = first or self._waiting
        arrived = min(self._arrived[key] for key in events)
        self._waiting = {key: event for key, event in self._waiting.items() if key not in first} if first else {}
        self._arrived = {key: self._arrived[key] for key in self._waiting}
        if not self._waiting:
            self._news.clear()
        return Batch(tuple(events.values()), arrived)

    def _endpoints(self) -> dict[Hashable, Event]:
        return {
            key: event
            for key, event in self._waiting.items()
            if isinstance(event, Seen) and event.ref.kind == ENDPOINTS and event.object is not None
        }

    async def _settle(self, batch: Batch) -> None:
        self._unsettled = batch
        async with self.still:
            self._began = began = self._clock()
            inline, used = self._is_small(batch), self._used()
            try:
                outcome = self._work(batch) if inline else await _in_thread(self._work, batch)
            finally:
                self._began = None
            used = self._used() - used
            done = batch._replace(began=began, ended=self._clock())
        self._unsettled = None
        if inline and used > LONG:
            self._slow |= {_kind(event) for event in batch.events}
        self._hand_over(outcome, done)

    def _hand_over(self, outcome: Outcome, batch: Batch) -> None:
        ready = self.ready()
        if self._kept is not None:
            before, first = self._kept
            outcome = outcome.after(before)
            batch = batch._replace(events=first.events + batch.events, arrived=first.arrived, began=first.began)
        if not (ready and self._all_settled()) and not self.synced.is_set():
            self._kept = outcome, batch
            return
        self._kept = None
        self._deliver(outcome, batch)
        self.synced.set()

    def _all_settled(self) -> bool:
        """Whether what is known by now is in the tables too: an answer that came while the settle ran still waits, and the next batch has it."""
        settled, self._answered = self._answered or not self._waiting, True
        return settled

    def _work(self, batch: Batch) -> Outcome:
        self._settler.receive(batch.events)
        return self._settler.settle()

    def _is_small(self, batch: Batch) -> bool:
        if len(batch.events) > SMALL or not self.synced.is_set():
            return False
        return not any(_kind(event) in self._slow for event in batch.events)


def _kind(event: Event) -> str:
    return event.ref.kind if isinstance(event, Seen) else type(event).__name__


async def _in_thread(work: Callable[[Batch], Outcome], batch: Batch) -> Outcome:
    """The result of the work; when cancelled, the work is waited for first: nobody may touch the tables while it runs."""
    running = asyncio.ensure_future(asyncio.to_thread(work, batch))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise


def _key(event: Event) -> tuple[Hashable, ...]:
    """What the event is about. An object that can't be read any more does not replace its last good form, which may still wait."""
    match event:
        case Seen():
            return (event.ref, "unreadable") if event.unreadable else (event.ref,)
        case ItemObservation():
            return (event.provider, ItemKey(event.load_balancer, event.kind, event.name))
        case LoadBalancerObservation():
            return (event.provider, event.load_balancer)
        case InstanceObservation():
            return (event.provider, event.load_balancer, event.instance, event.replica)
        case InstanceLeaving():
            return ("leaving", event.load_balancer, event.instance)
        case InstancesMissing():
            return ("missing", event.load_balancer)
        case FleetService():
            return ("fleet service", event.load_balancer)
        case Synced():
            return ("synced", event.feed)
        case Today():
            return ("today",)
