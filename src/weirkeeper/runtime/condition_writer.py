"""Conditions, written: the leader brings the statuses of Gateway API's objects to what is wished.

Comes in: what feeds see (`seen`), what settles wish (`wished`), on every replica; writes go out while `run` runs, on the leader. The watched object tells what is there, so nothing is
read before a write, and nothing is sent where the status is right. What is ours in it is decided in `status/conditions.py`.

Every write names the version that it was made from; a Conflict reads the object again and merges anew, so an entry that somebody else wrote in between is never lost. One object has
one write in flight, and is written again at a `Pace`: a thousand routes that attach to a Gateway come to a handful of writes of it, the last one as soon as no more come. What routes
hang on goes before the routes that wait for their own.
"""

import asyncio
import datetime as dt
import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from weirkeeper.feeds.base import GONE, Seen
from weirkeeper.kube.backoff import Backoff
from weirkeeper.kube.conditions import ConditionsWish
from weirkeeper.kube.errors import ApiFailure, Conflict, Forbidden, Invalid, NotFound, TooManyRequests
from weirkeeper.kube.gateway_types import RESOURCES, GatewayObject
from weirkeeper.model.ids import LOCAL, Ref
from weirkeeper.model.text import Timestamp
from weirkeeper.runtime.leader import NotLeader, lease_clock
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.writes import LedClient
from weirkeeper.status.conditions import cleared_status, merged_status, premature

Json = dict[str, Any]
FIRST = ("GatewayClass", "Gateway", "ListenerSet")
PARALLEL = 8
CAUTION = 20.0
"""For so long (seconds) a new leader takes nothing back for the one reason that it has not heard of an instance yet."""
BARRED = 60.0
ECHO = 5.0
"""For so long after a write, an older version that a watch still brings is old news; after that, the server is believed whatever it says."""


class Pace(NamedTuple):
    """When an object is written again (seconds): not sooner than `soonest` after the last write; then once its wish has stayed the same for `quiet`, and `latest` after the last write if it never does."""

    soonest: float = 0.2
    quiet: float = 0.1
    latest: float = 1.0


STEADY = Pace()


class Standing(NamedTuple):
    """A status as the API server has it, and the version to write over."""

    version: str
    status: Json | None


class Turn(NamedTuple):
    """An object whose status is to be written, in the order in which they are."""

    later: bool
    number: int
    ref: Ref


class _Stated(msgspec.Struct):
    metadata: dict[str, Any]
    status: dict[str, Any] | None = None


class ConditionWriter:
    """Writes the conditions of one cluster. `seen` and `wished` may be called at any time on the loop."""

    def __init__(
        self,
        client: LedClient,
        controller: str,
        *,
        log: Log,
        metrics: Metrics,
        cluster: str = LOCAL,
        pace: Pace = STEADY,
        caution: float = CAUTION,
        clock: Callable[[], float] = lease_clock,
    ) -> None:
        """`controller` marks the entries of shared lists that are ours."""
        self._client, self._controller, self._cluster = client, controller, cluster
        self._log, self._metrics, self._clock = log, metrics, clock
        self._pace, self._caution = pace, caution
        self._standing: dict[Ref, Standing] = {}
        self._wishes: dict[Ref, ConditionsWish] = {}
        self._settled = asyncio.Event()
        self._queue: asyncio.PriorityQueue[Turn] | None = None
        self._turns = itertools.count()
        self._queued: set[Ref] = set()
        self._flying: set[Ref] = set()
        self._wrote: dict[Ref, tuple[int, float]] = {}
        self._changed: dict[Ref, float] = {}
        self._later: dict[Ref, asyncio.TimerHandle] = {}
        self._backoff = Backoff(first=0.1, most=10.0, forget=1.0, chance=random.random)
        self._closed_until = 0.0
        self._cautious_until = 0.0

    def seen(self, events: Iterable[object]) -> None:
        """Note what the API server has; anything but objects with conditions of this cluster is passed over."""
        for event in events:
            if (
                isinstance(event, Seen)
                and (event.ref.group, event.ref.kind) in RESOURCES
                and event.ref.cluster == self._cluster
            ):
                self._see(event)

    def _see(self, event: Seen) -> None:
        if isinstance(event.object, GatewayObject):
            version = event.object.metadata.resource_version
            if not self._is_echo(event.ref, version):
                self._standing[event.ref] = Standing(version, event.object.status)
                self._mark(event.ref)
        elif event.object is None and event.cause in GONE:
            for held in (self._standing, self._wrote, self._changed):
                held.pop(event.ref, None)

    def _is_echo(self, ref: Ref, version: str) -> bool:
        """Whether a watch brings a version from before our own last write (versions of one kind compare as numbers, KEP-5504)."""
        number, at = self._wrote.get(ref, (0, -ECHO))
        return version.isdecimal() and int(version) < number and self._clock() - at < ECHO

    def wished(self, changes: Mapping[Ref, ConditionsWish | None]) -> None:
        """Take what a settle changed. Nothing is written before the first call: until then nothing is known to be wished."""
        for ref, wish in changes.items():
            if wish is None:
                self._wishes.pop(ref, None)
            else:
                self._wishes[ref] = wish
            if ref in self._wrote:
                self._changed[ref] = self._clock()
            self._mark(ref)
        self._settled.set()

    async def run(self) -> None:
        """Write until cancelled. Only the leader runs this."""
        await self._settled.wait()
        self._queue = asyncio.PriorityQueue()
        self._queued.clear()
        self._flying.clear()
        self._cautious_until = self._clock() + self._caution
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(PARALLEL):
                    group.create_task(self._work(self._queue), name=f"conditions {number}")
                group.create_task(self._after_caution(), name="conditions, in time")
                self._mark_all()
        finally:
            self._queue = None
            for timer in self._later.values():
                timer.cancel()
            self._later.clear()

    async def _after_caution(self) -> None:
        await asyncio.sleep(self._caution)
        self._mark_all()

    def _mark_all(self) -> None:
        for ref in tuple(self._standing):
            self._mark(ref)

    def _due(self, ref: Ref) -> Json | None:
        """The fields of the status to write now, or nothing."""
        standing, wish = self._standing.get(ref), self._wishes.get(ref)
        if standing is None or not standing.version:
            return None
        if wish is None:
            return cleared_status(standing.status, self._controller)
        if self._clock() < self._cautious_until and premature(standing.status, wish):
            return None
        return merged_status(standing.status, wish, _now())

    def _mark(self, ref: Ref) -> None:
        """Have a worker look at the object, if there is something to write, at once or when its time has come."""
        if (
            self._queue is None
            or ref in self._queued
            or ref in self._flying
            or ref in self._later
            or self._due(ref) is None
        ):
            return
        left = self._next(ref) - self._clock()
        self._put_off(ref, left) if left > 0 else self._enqueue(ref)

    def _next(self, ref: Ref) -> float:
        """When the object may be written."""
        if ref not in self._wrote:
            return 0.0
        _, written = self._wrote[ref]
        calm = self._changed.get(ref, 0.0) + self._pace.quiet
        return max(written + self._pace.soonest, min(calm, written + self._pace.latest))

    def _put_off(self, ref: Ref, seconds: float) -> None:
        self._later[ref] = asyncio.get_running_loop().call_later(seconds, self._in_time, ref)

    def _in_time(self, ref: Ref) -> None:
        self._later.pop(ref, None)
        self._mark(ref)

    def _enqueue(self, ref: Ref) -> None:
        if self._queue is not None:
            self._queued.add(ref)
            self._queue.put_nowait(Turn(ref.kind not in FIRST, next(self._turns), ref))

    async def _work(self, queue: asyncio.PriorityQueue[Turn]) -> None:
        while True:
            ref = (await queue.get()).ref
            while (left := self._closed_until - self._clock()) > 0:  # noqa: ASYNC110 - it may be put off while we wait
                await asyncio.sleep(left)
            self._queued.discard(ref)
            self._flying.add(ref)
            try:
                await self._bring(ref)
            finally:
                self._flying.discard(ref)
            self._mark(ref)

    async def _bring(self, ref: Ref) -> None:
        """One write, if it is still needed. What fails is noted; the caller looks at the object again."""
        fields, standing = self._due(ref), self._standing.get(ref)
        if fields is None or standing is None:
            return
        body = {"metadata": {"resourceVersion": standing.version}, "status": fields}
        resource = RESOURCES[ref.group, ref.kind]
        try:
            self._stands(ref, await self._client.patch(resource, ref.name, body, ref.namespace, "status"))
        except NotLeader:
            self._closed_until = self._clock() + 0.2
        except Conflict:
            self._metrics.count("status_writes", result="conflict")
            await self._read_again(ref, standing)
        except NotFound:
            self._forget(ref, standing)
        except (Forbidden, Invalid) as failure:
            self._bar(ref, failure)
        except ApiFailure as failure:
            self._hold_up(failure)
        else:
            self._backoff.worked(self._clock())
            self._metrics.count("status_writes", result="written")

    def _stands(self, ref: Ref, answer: Json, *, written: bool = True) -> None:
        found = msgspec.convert(answer, _Stated)
        version = str(found.metadata.get("resourceVersion") or "")
        if ref not in self._standing:
            return  # deleted meanwhile
        self._standing[ref] = Standing(version, found.status)
        if written and version.isdecimal():
            self._wrote[ref] = (int(version), self._clock())

    def _forget(self, ref: Ref, gone: Standing) -> None:
        """It is not there. Another of its name that a watch has brought meanwhile stays."""
        if self._standing.get(ref) is gone:
            del self._standing[ref]

    async def _read_again(self, ref: Ref, standing: Standing) -> None:
        """Somebody wrote in between. Their version comes by the watch too, but not as soon."""
        try:
            found = await self._client.get(RESOURCES[ref.group, ref.kind], ref.name, ref.namespace)
        except NotFound:
            self._forget(ref, standing)
        except ApiFailure as failure:
            self._hold_up(failure)
        else:
            self._stands(ref, found, written=False)

    def _bar(self, ref: Ref, failure: ApiFailure) -> None:
        self._metrics.count("status_writes", result="failed")
        self._log.warning("conditions cannot be written", object=ref, why=failure, again_in=f"{BARRED:g}s")
        self._put_off(ref, BARRED)

    def _hold_up(self, failure: ApiFailure) -> None:
        now = self._clock()
        self._metrics.count("status_writes", result="failed")
        if now < self._closed_until:
            return  # one of those that were in flight together
        asked = (failure.retry_after or 0.0) if isinstance(failure, TooManyRequests) else 0.0
        pause = max(self._backoff.failed(now), asked)
        self._closed_until = now + pause
        self._log.warning("conditions wait", why=failure, again_in=f"{pause:.1f}s")


def _now() -> Timestamp:
    return Timestamp(dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
