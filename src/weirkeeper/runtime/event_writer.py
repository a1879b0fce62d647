"""Findings, told on the objects they are about: events that `kubectl describe` shows. Only the leader writes them.

Comes in: findings as settles change them, and objects that became live, on every replica. Goes out: events, one for each thing to say. A finding is told when it is new or
has changed; one that comes back within the event's life, or still stands when its event is about to fade, is counted on the same event (a series). A new leader
tells what stands; what its predecessor told is there already, under the same name, and is left alone.

Rules: an object's owner is not flooded (a bucket for each object), nor is the API server (one for all). What is new goes before what a new leader repeats, warnings before the rest. What
no longer stands when its turn comes is not told. An event that cannot be written costs a line in the log and nothing else.
"""

import asyncio
import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from weirkeeper.feeds.base import GONE, Seen
from weirkeeper.kube.backoff import Backoff
from weirkeeper.kube.errors import AlreadyExists, ApiFailure, Conflict, Forbidden, Invalid, NotFound
from weirkeeper.kube.events import EVENT, Happening, Spoken, again, first_event, spoken
from weirkeeper.kube.statuses import Entries
from weirkeeper.model.finding import Finding, Severity
from weirkeeper.model.ids import LOCAL, Ref
from weirkeeper.model.text import Sentence
from weirkeeper.runtime.bucket import Bucket
from weirkeeper.runtime.leader import NotLeader, lease_clock
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.writes import LedClient
from weirkeeper.status.happenings import happening, live, recovered

RATE, BURST = 20.0, 100.0
"""For all events: so many a second, and so many at once."""
OBJECT_RATE, OBJECT_BURST = 0.1, 10.0
"""For one object."""
REPEAT = 2700.0
"""A warning that stands is counted again after so many seconds: API servers keep an event for an hour."""
LOOK = 30.0
MOST_SPOKEN = 20_000

AT_A_TIME = 200
"""So many objects are looked at in one turn of the loop."""

MOST_WAITING = 100
"""While so many wait, nobody is told that an object is served: the start of an install with thousands would be followed by minutes of that, and statuses say the same."""

RANKS = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}
OLD = 10
"""Added to the rank of what a new leader repeats."""


class _Turn(NamedTuple):
    rank: int
    number: int
    subject: Finding | Happening


class EventWriter:
    """Writes the events of one cluster. `seen`, `found` and `live` may be called at any time on the loop."""

    def __init__(
        self,
        client: LedClient,
        *,
        reporter: str,
        instance: str,
        log: Log,
        metrics: Metrics,
        versions: Mapping[tuple[str, str], str] | None = None,
        cluster: str = LOCAL,
        clock: Callable[[], float] = lease_clock,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`reporter` is the controller's name (`weirkeeper.io/ingress`), `instance` the replica's. `versions`: in which API version each kind is asked for."""
        self._client, self._reporter, self._instance = client, reporter, instance
        self._log, self._metrics, self._cluster, self._clock, self._wall = log, metrics, cluster, clock, wall
        self._versions = dict(versions or {})
        self._standing: dict[Ref, tuple[Finding, ...]] = {}
        self._told: dict[Ref, tuple[Finding, ...] | None] = {}
        self._turns: list[_Turn] = []
        self._later: list[tuple[float, _Turn]] = []
        self._numbers = itertools.count()
        self._spoken: dict[tuple[str, str], Spoken] = {}
        self._said_at: dict[Finding, float] = {}
        self._all = Bucket(RATE, BURST, clock())
        self._objects: dict[Ref, Bucket] = {}
        self._backoff = Backoff(first=0.2, most=30.0, forget=1.0, chance=random.random)
        self._news = asyncio.Event()
        self._running = False

    def seen(self, events: Iterable[object]) -> None:
        """Note in which API version each kind is read, and what is gone."""
        for event in events:
            if not isinstance(event, Seen) or event.ref.cluster != self._cluster:
                continue
            if event.object is not None:
                self._versions[event.ref.group, event.ref.kind] = event.object.api_version
            elif event.cause in GONE:
                self._forget(event.ref)

    def found(self, findings: Mapping[Ref, tuple[Finding, ...] | None]) -> None:
        """Take the findings that a settle changed; `None`: there are none any more. Many at once do not hold up the loop."""
        if not findings:
            return
        waiting = bool(self._told)
        self._told.update(findings)
        if not waiting:
            self._hear()

    def _hear(self) -> None:
        for ref in list(itertools.islice(self._told, AT_A_TIME)):
            many = self._told.pop(ref) or ()
            if ref.cluster == self._cluster:
                self._compare(ref, tuple(dict.fromkeys(_to_user(one) for one in many)))
        if self._told:
            asyncio.get_running_loop().call_soon(self._hear)

    def _compare(self, ref: Ref, now: tuple[Finding, ...]) -> None:
        before = self._standing.get(ref, ())
        reasons = {finding.reason for finding in now}
        over = {one.reason: one for one in before if one in self._said_at and one.reason not in reasons}
        if now:
            self._standing[ref] = now
        else:
            self._forget(ref)
        for finding in now:
            if finding not in before:
                self._push(RANKS[finding.severity], finding)
        for finding in over.values():
            self._tell(recovered(finding, self._versions))

    def live(self, ref: Ref, uid: str, listed: Entries) -> None:
        """Tell that an object is served for the first time."""
        self._tell(live(ref, uid, listed, self._versions))

    def _tell(self, one: Happening | None) -> None:
        """Something good, which is left out where there is much to say."""
        if one is not None and len(self._turns) < MOST_WAITING:
            self._push(RANKS[Severity.INFO], one)

    def _forget(self, ref: Ref) -> None:
        for finding in self._standing.pop(ref, ()):
            self._said_at.pop(finding, None)

    def _push(self, rank: int, subject: Finding | Happening) -> None:
        if self._running:
            heapq.heappush(self._turns, _Turn(rank, next(self._numbers), subject))
            self._news.set()

    async def run(self) -> None:
        """Write until cancelled. Only the leader runs this."""
        self._turns, self._later, self._running = [], [], True
        self._spoken.clear()
        self._said_at.clear()
        try:
            for many in self._standing.values():
                for finding in many:
                    self._push(RANKS[finding.severity] + OLD, finding)
            while True:
                await self._one()
        finally:
            self._running = False

    async def _one(self) -> None:
        """One turn, or a wait for the next."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            heapq.heappush(self._turns, heapq.heappop(self._later)[1])
        if not self._turns:
            await self._idle(now)
            return
        turn = heapq.heappop(self._turns)
        one = self._happening(turn.subject)
        if one is None:
            return
        if pause := self._bucket(one.ref, now).take(now):
            heapq.heappush(self._later, (now + pause, turn))
            return
        while pause := self._all.take(self._clock()):  # noqa: ASYNC110 - time is what is waited for
            await asyncio.sleep(pause)
        await self._say(turn, one)

    async def _idle(self, now: float) -> None:
        """Until something is new, or a turn's time comes; and look for what is about to fade."""
        self._news.clear()
        until = self._later[0][0] - now if self._later else LOOK
        try:
            async with asyncio.timeout(min(until, LOOK)):
                await self._news.wait()
        except TimeoutError:
            self._repeat()

    def _repeat(self) -> None:
        now = self._clock()
        for finding in [finding for finding, at in self._said_at.items() if now - at >= REPEAT]:
            del self._said_at[finding]  # told again, it is noted again; where it no longer stands, it is not
            self._push(RANKS[Severity.INFO], finding)
        self._objects = {ref: bucket for ref, bucket in self._objects.items() if not bucket.full(now)}

    def _happening(self, subject: Finding | Happening) -> Happening | None:
        """What is to be said; nothing where it no longer stands, or no object can show it."""
        if isinstance(subject, Happening):
            return subject
        return happening(subject, self._versions) if subject in self._standing.get(subject.origin.ref, ()) else None

    def _bucket(self, ref: Ref, now: float) -> Bucket:
        return self._objects.setdefault(ref, Bucket(OBJECT_RATE, OBJECT_BURST, now))

    async def _say(self, turn: _Turn, one: Happening) -> None:
        try:
            await self._write(one, repeats=turn.rank >= OLD)
        except (Forbidden, Invalid, NotFound, Conflict) as failure:
            self._metrics.count("event_writes", result="refused")
            self._log.warning("an event cannot be written", object=one.ref, reason=one.reason, why=failure)
        except (NotLeader, ApiFailure) as failure:
            self._metrics.count("event_writes", result="failed")
            heapq.heappush(self._turns, turn)
            asked = getattr(failure, "retry_after", None) or 0.0
            await asyncio.sleep(max(self._backoff.failed(self._clock()), asked))
        else:
            self._backoff.worked(self._clock())
            if isinstance(turn.subject, Finding) and one.warning:
                self._said_at[turn.subject] = self._clock()

    async def _write(self, one: Happening, *, repeats: bool) -> None:
        """A new event, or one more of the same. What merely `repeats` is left as a predecessor said it."""
        key = (one.namespace, one.name)
        before = self._spoken.pop(key, None)
        if before is not None:
            try:
                await self._count(key, before)
            except (NotFound, Conflict):
                pass  # it faded, or somebody else counted it
            else:
                return
        body = first_event(one, self._wall(), reporter=self._reporter, instance=self._instance)
        try:
            self._note(key, spoken(await self._client.create(EVENT, body, one.namespace)))
        except AlreadyExists:
            if not repeats:
                await self._count(key, spoken(await self._client.get(EVENT, key[1], key[0])))

    async def _count(self, key: tuple[str, str], before: Spoken) -> None:
        patch = again(before, self._wall())
        self._note(key, spoken(await self._client.patch(EVENT, key[1], patch, key[0])))

    def _note(self, key: tuple[str, str], said: Spoken) -> None:
        self._metrics.count("event_writes", result="written")
        if len(self._spoken) >= MOST_SPOKEN:
            self._spoken.pop(next(iter(self._spoken)))
        self._spoken[key] = said


def _to_user(finding: Finding) -> Finding:
    """The finding without what no event shows: one that merely affects more, or less, is no news."""
    return msgspec.structs.replace(finding, affected=(), for_operator=Sentence(""))
