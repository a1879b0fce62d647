"""Statuses, written: the leader brings `status.loadBalancer` of every Ingress to what is wished, as fast as the API server takes it and not once more.

Comes in: what feeds see (`seen`), what settles wish (`wished`), on every replica; writes go out while `run` runs, on the leader. The watched object tells what is there, so
nothing is read before a write, and nothing is sent where the list is right. What is decided lives in `status/desk.py`.

One object has one write in flight at most; whatever is wished meanwhile is looked at when it is done, so the newest wish wins. A Conflict reads the object again. Everything
else that fails holds up *all* writes for a while that grows (and at least as long as the server asks for): what one write meets, the others would meet too.
A refusal that is about one object (403 in one namespace, 404, 422) is tried again a minute later.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable, Mapping

import msgspec

from weirkeeper.feeds.base import GONE, Seen
from weirkeeper.kube.backoff import Backoff
from weirkeeper.kube.client import Json
from weirkeeper.kube.errors import ApiFailure, Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from weirkeeper.kube.resources import KNOWN, Resource
from weirkeeper.kube.statuses import Entries, Stated, last_writer, status_patch
from weirkeeper.kube.types import Ingress
from weirkeeper.model.ids import LOCAL, Ref
from weirkeeper.model.observation import StatusWish
from weirkeeper.runtime.leader import NotLeader, lease_clock
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.published import PublishedRecord
from weirkeeper.runtime.writes import LedClient
from weirkeeper.status.desk import Desk, Standing

INGRESS = KNOWN["networking.k8s.io", "Ingress"]
PARALLEL = 16
CAUTION = 20.0
"""For so long (seconds) a new leader takes no address away that it has not heard of itself: within that time instances of a replica that stands still turn to another
one, and followers are heard, over a connection or by way of the API server."""
BARRED = 60.0
ECHO = 5.0
"""For so long after a write, an older version that a watch still brings is old news; after that, the server is believed whatever it says."""
TICK = 0.5
AT_A_TIME = 200
"""So many objects are looked at in one turn of the loop."""

Live = Callable[[Ref, str, Entries], None]
"""Told when an object's status says addresses of ours for the first time: the object, its uid, the list."""


class StatusWriter:
    """Writes the statuses of one cluster. `seen` and `wished` may be called at any time on the loop."""

    def __init__(
        self,
        client: LedClient,
        record: PublishedRecord,
        *,
        manager: str,
        log: Log,
        metrics: Metrics,
        live: Live | None = None,
        parallel: int = PARALLEL,
        caution: float = CAUTION,
        cluster: str = LOCAL,
        clock: Callable[[], float] = lease_clock,
        resource: Resource = INGRESS,
    ) -> None:
        """`manager` is the name under which the server books our writes: the client's user agent up to the first `/`."""
        self._client, self._record, self._manager = client, record, manager
        self._log, self._metrics, self._live = log, metrics, live
        self._parallel, self._caution, self._cluster, self._clock = parallel, caution, cluster, clock
        self._resource = resource
        self.desk = Desk(record.entries)
        self._settled = asyncio.Event()
        self._told: dict[Ref, StatusWish | None] = {}
        self._queue: asyncio.Queue[Ref] | None = None
        self._queued: set[Ref] = set()
        self._flying: set[Ref] = set()
        self._again: set[Ref] = set()
        self._barred: dict[Ref, float] = {}
        self._wrote: dict[Ref, tuple[int, float]] = {}
        self._backoff = Backoff(first=0.1, most=10.0, forget=1.0, chance=random.random)
        self._closed_until = 0.0
        self._idle = asyncio.Event()

    def seen(self, events: Iterable[object]) -> None:
        """Note what the API server has; anything but Ingresses of this cluster is passed over."""
        for event in events:
            if isinstance(event, Seen) and self._mine(event.ref):
                self._see(event)

    def _mine(self, ref: Ref) -> bool:
        return (ref.group, ref.kind, ref.cluster) == (self._resource.group, self._resource.kind, self._cluster)

    def _see(self, event: Seen) -> None:
        if isinstance(event.object, Ingress):
            if not self._is_echo(event.ref, getattr(event.object.metadata, "resource_version", "")):
                self.desk.found(event.ref, event.object.metadata, event.object.status)
                self._mark(event.ref)
        elif event.object is None and event.cause in GONE:
            self.desk.gone(event.ref)
            self._wrote.pop(event.ref, None)
            self._barred.pop(event.ref, None)

    def _is_echo(self, ref: Ref, version: str) -> bool:
        """Whether a watch brings a version from before our own last write (versions of one kind compare as numbers, KEP-5504)."""
        written = self._wrote.get(ref)
        if written is None:
            return False
        old = version.isdecimal() and int(version) < written[0] and self._clock() - written[1] < ECHO
        if not old:
            del self._wrote[ref]
        return old

    def wished(self, statuses: Mapping[Ref, StatusWish | None]) -> None:
        """Take the statuses that a settle changed. Nothing is written before the first call: until then nothing is known to be wished.

        An instance that comes or goes changes all of them; the loop is not held up for that.
        """
        if not statuses and self._settled.is_set():
            return
        waiting = bool(self._told)
        self._told.update(statuses)  # whole: of a dict, no key is hashed again
        if not waiting:
            self._hear()

    def _hear(self) -> None:
        for ref in list(itertools.islice(self._told, AT_A_TIME)):
            wish = self._told.pop(ref)
            if self._mine(ref):
                self.desk.wished(ref, wish)
                self._mark(ref)
        if self._told:
            asyncio.get_running_loop().call_soon(self._hear)
        else:
            self._settled.set()

    async def run(self) -> None:
        """Write until cancelled. Only the leader runs this."""
        await self._settled.wait()
        await self._load()
        self.desk.begin()
        self._queue, self._idle = asyncio.Queue(), asyncio.Event()
        for state in (self._queued, self._flying, self._again, self._barred, self._wrote):
            state.clear()
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._parallel):
                    group.create_task(self._work(self._queue), name=f"statuses {number}")
                group.create_task(self._watch_time(self._clock() + self._caution), name="statuses, in time")
                group.create_task(self._record.keep(), name="published addresses")
                await self._mark_all()
        finally:
            self._queue = None

    async def clear(self) -> None:
        """Take our entries from all statuses, as nobody will serve these objects any more; answers when none is left. `run` must be running."""
        self.desk.clearing = True
        await self._mark_all()
        while any(ref not in self._barred and self.desk.next(ref) is not None for ref in self.desk.refs()):
            self._idle.clear()
            await self._idle.wait()

    async def _load(self) -> None:
        while True:
            try:
                await self._record.load()
            except ApiFailure as failure:
                self._hold_up(failure)
                await self._open()
            else:
                return

    async def _mark_all(self) -> None:
        for position, ref in enumerate(self.desk.refs()):
            self._mark(ref)
            if position % AT_A_TIME == AT_A_TIME - 1:
                await asyncio.sleep(0)

    def _mark(self, ref: Ref) -> None:
        """Have a worker look at the object, if there is something to write."""
        if self._queue is None or ref in self._queued or ref in self._barred:
            return
        if ref in self._flying:
            self._again.add(ref)
        elif self.desk.next(ref) is not None:
            self._queued.add(ref)
            self._queue.put_nowait(ref)

    async def _work(self, queue: asyncio.Queue[Ref]) -> None:
        while True:
            ref = await queue.get()
            await self._open()
            self._queued.discard(ref)
            self._flying.add(ref)
            try:
                await self._bring(ref)
            finally:
                self._flying.discard(ref)
                self._again.discard(ref)
            self._mark(ref)
            if not self._queued and not self._flying:
                self._idle.set()

    async def _bring(self, ref: Ref) -> None:
        """One write, if it is still needed. What fails is noted; the caller looks at the object again."""
        listed = self.desk.next(ref)
        standing = self.desk.standing(ref)
        if listed is None or standing is None:
            return
        try:
            await self._record.note(listed_ours(listed, standing))
            await self._write(ref, standing, listed)
        except NotLeader:
            self._closed_until = self._clock() + 0.2
        except Conflict:
            await self._read_again(ref, standing)
        except NotFound as failure:
            self._missed(ref, standing, failure)
        except (Forbidden, Invalid) as failure:
            self._bar(ref, failure)
        except ApiFailure as failure:
            self._hold_up(failure)

    async def _write(self, ref: Ref, standing: Standing, listed: Entries) -> None:
        body = status_patch(standing.version, listed)
        first = self.desk.first(ref, listed)  # asked before: the watch may be faster than the answer
        answer = await self._client.patch(self._resource, ref.name, body, ref.namespace, "status")
        self._stands(ref, answer)
        self._backoff.worked(self._clock())
        self._metrics.count("status_writes", result="written")
        if first and self._live is not None:
            self._live(ref, standing.uid, listed)

    def _stands(self, ref: Ref, answer: Json) -> None:
        found = msgspec.convert(answer, Stated)
        if self.desk.standing(ref) is None:
            return  # deleted meanwhile
        self.desk.found(ref, found.metadata, found.status)
        if found.metadata.resource_version.isdecimal():
            self._wrote[ref] = (int(found.metadata.resource_version), self._clock())

    async def _read_again(self, ref: Ref, standing: Standing) -> None:
        """Somebody wrote in between. Their version comes by the watch too, but not as soon."""
        self._metrics.count("status_writes", result="conflict")
        try:
            self._stands(ref, await self._client.get(self._resource, ref.name, ref.namespace))
        except NotFound as failure:
            self._missed(ref, standing, failure)
        except ApiFailure as failure:
            self._hold_up(failure)

    def _missed(self, ref: Ref, standing: Standing, failure: NotFound) -> None:
        """It is not there. Another of its name that a watch has brought meanwhile is looked at again at once."""
        if self.desk.standing(ref) in (None, standing):
            self._bar(ref, failure)

    def _bar(self, ref: Ref, failure: ApiFailure) -> None:
        self._barred[ref] = self._clock() + BARRED
        if not (
            isinstance(failure, NotFound) and failure.of_object
        ):  # an object that was deleted meanwhile is no trouble
            self._metrics.count("status_writes", result="failed")
            self._log.warning("a status cannot be written", object=ref, why=failure, again_in=f"{BARRED:g}s")

    def _hold_up(self, failure: ApiFailure) -> None:
        now = self._clock()
        self._metrics.count("status_writes", result="failed")
        if now < self._closed_until:
            return  # one of those that were in flight together
        asked = (failure.retry_after or 0.0) if isinstance(failure, TooManyRequests) else 0.0
        pause = max(self._backoff.failed(now), asked)
        self._closed_until = now + pause
        self._log.warning("statuses wait", why=failure, again_in=f"{pause:.1f}s")

    async def _open(self) -> None:
        while (left := self._closed_until - self._clock()) > 0:  # noqa: ASYNC110 - it may be put off while we wait
            await asyncio.sleep(left)

    async def _watch_time(self, caution_ends: float) -> None:
        """What happens by time alone: caution ends, and what was refused is tried again."""
        while True:
            await asyncio.sleep(min(TICK, max(caution_ends - self._clock(), 0.01)) if self.desk.cautious else TICK)
            now = self._clock()
            for ref in [ref for ref, until in self._barred.items() if until <= now]:
                del self._barred[ref]
                self._mark(ref)
            if self.desk.cautious and now >= caution_ends:
                self.desk.cautious = False
                await self._mark_all()
                await self._sweep()

    async def _sweep(self) -> None:
        """Objects that are not ours and have entries like ours: those that we wrote last, in an earlier life, are cleared."""
        for ref in self.desk.left_behind():
            await self._open()
            try:
                found = await self._client.get(self._resource, ref.name, ref.namespace)
            except ApiFailure:
                continue  # the next leader looks again; nothing of theirs or ours is served worse for it
            if last_writer(found) == self._manager and self.desk.standing(ref) is not None:
                self._stands(ref, found)
                self.desk.leave(ref)
                self._mark(ref)


def listed_ours(listed: Entries, standing: Standing) -> Entries:
    """What a write adds: the entries to note before it."""
    return tuple(entry for entry in listed if entry not in standing.entries)
