"""The one replica that writes: campaigns for the Lease, runs what is led while it has it, and says to every writer whether there is still time.

Comes in: a client, the Lease's place and times, and what is led. Goes out: `may_write`, the leader that is known now, and two counters. Only writes are led;
every replica serves engines whether it leads or not.

When the lease is lost, `may_write` says no at once, then everything led is cancelled and waited for. At a graceful stop everything led ends first and
the Lease is given back after that, so that the next leader begins within one look (less than 2 s). A process that was stopped, or whose loop was blocked, finds out at
its next write: the clock is asked then, not a flag. Times are those of `lease_clock`, which runs on while a machine sleeps.
"""

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from weirkeeper.errors import WeirkeeperError
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import ApiFailure, Conflict, NotFound
from weirkeeper.kube.lease import Candidate, Json, LeaseRecord, LeaseTimes, Wait, held, lease_record, released
from weirkeeper.kube.resources import KNOWN
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics

LEASE = KNOWN["coordination.k8s.io", "Lease"]

Led = Callable[[], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]


class NotLeader(WeirkeeperError):
    """A write was refused here: we do not lead, or would not lead any more when its time limit ends."""


def lease_clock() -> float:
    """Seconds of a clock that never goes back and does not stop while the machine is suspended (Linux `CLOCK_BOOTTIME`)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class Leadership:
    """Our part in the election. One `run` at a time."""

    def __init__(
        self,
        client: Client,
        *,
        name: str,
        namespace: str,
        identity: str,
        log: Log,
        metrics: Metrics,
        times: LeaseTimes | None = None,
        annotations: Mapping[str, str] | None = None,
        clock: Callable[[], float] = lease_clock,
        sleep: Sleep = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`annotations` are put on the Lease while we hold it: how followers reach the leader. `identity` must be new for each process (`<pod>_<uuid>`)."""
        self.times = times or LeaseTimes()
        self._client, self._name, self._namespace = client, name, namespace
        self._log, self._metrics = log, metrics
        self._annotations = dict(annotations or {})
        self._clock, self._sleep, self._chance, self._wall = clock, sleep, chance, wall
        self._candidate = Candidate(identity, self.times)
        self._lease: Json = {}
        self.changed = asyncio.Event()
        """Set whenever another holder was seen, or we gained or lost; whoever waits clears it."""

    @property
    def identity(self) -> str:
        """Who we are in the Lease."""
        return self._candidate.identity

    @property
    def leader(self) -> LeaseRecord | None:
        """The Lease as last seen: its holder and where it is reached."""
        return self._candidate.record

    @property
    def leading(self) -> bool:
        """Whether we hold the Lease at this very moment."""
        return self.remaining > 0

    @property
    def remaining(self) -> float:
        """Seconds until our lease ends; 0 when we do not have it."""
        end = self._candidate.end
        return 0.0 if end is None else max(0.0, end - self._clock())

    @property
    def lives(self) -> bool:
        """Whether the holder has written the Lease in the last half of a lease's time, as far as we have seen."""
        return self._clock() - self._candidate.seen_at < self.times.duration / 2

    def may_write(self, timeout: float) -> bool:
        """Whether a request with this time limit (seconds), sent now, is over before our lease ends."""
        return self.remaining > timeout

    async def run(self, led: Led) -> None:
        """Campaign and lead, again and again, until cancelled. `led` is started each time we gain the Lease, and cancelled when we lose it.

        When `led` raises, the Lease is given back and the failure goes to the caller.
        """
        while True:
            await self._campaign()
            await self._lead(led)

    async def _campaign(self) -> None:
        while True:
            if await self._attempt():
                self._metrics.count("leaderships", change="gained")
                self._log.info("leading", lease=f"{self._namespace}/{self._name}", identity=self.identity)
                return
            await self._sleep(self._pause())

    def _pause(self) -> float:
        """Until our next look: earlier where the lease runs out before that. Spread, so that candidates do not come all at once."""
        look = self.times.retry * (0.7 + 0.4 * self._chance())
        now = self._clock()
        decision = self._candidate.next(now)
        return min(look, max(decision.until - now, 0.05 * self.times.retry)) if isinstance(decision, Wait) else look

    async def _attempt(self, limit: float | None = None) -> bool:
        """Look at the Lease and write it where it is ours to write. Whether we have it then."""
        limit = self.times.attempt if limit is None else min(limit, self.times.attempt)
        before = self._candidate.record
        try:
            await self._look(limit)
            return await self._write(limit)
        except Conflict:
            self._lease = {}
            return False  # a rival was first; the next look tells who
        except ApiFailure as failure:
            self._lease = {}
            self._metrics.count("lease_failures")
            self._log.warning("the lease cannot be reached", lease=self._name, why=failure)
            return False
        finally:
            if (before and before.holder) != (self.leader and self.leader.holder):
                self.changed.set()

    async def _look(self, limit: float) -> None:
        if self._candidate.end is not None and self._lease:
            return  # we hold it: the last answer is still the newest, or the write will say Conflict
        try:
            self._lease = await self._client.get(LEASE, self._name, self._namespace, timeout=limit)
        except NotFound:
            self._lease = {}
        self._candidate.saw(lease_record(self._lease) if self._lease else None, self._clock())

    async def _write(self, limit: float) -> bool:
        decision = self._candidate.next(self._clock())
        if isinstance(decision, Wait):
            return False
        body = held(self._lease, self._candidate, self._wall(), self._annotations)
        sent = self._clock()
        if self._lease:
            self._lease = await self._client.replace(LEASE, self._name, body, self._namespace, timeout=limit)
        else:
            self._lease = await self._client.create(LEASE, self._named(body), self._namespace, timeout=limit)
        self._candidate.wrote(lease_record(self._lease), sent)
        return True

    def _named(self, body: Json) -> Json:
        meta = {**body["metadata"], "name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, **body, "metadata": meta}

    async def _lead(self, led: Led) -> None:
        task = asyncio.ensure_future(led())
        renewing = asyncio.ensure_future(self._renew())
        self.changed.set()
        try:
            await asyncio.wait((task, renewing), return_when=asyncio.FIRST_COMPLETED)
            if not task.done() or task.exception() is None:
                await renewing  # what is led may end early; we lead on
        finally:
            await self._end_of(task, renewing)
        task.cancelled() or task.result()

    async def _end_of(self, task: asyncio.Future[None], renewing: asyncio.Future[None]) -> None:
        """Everything led ends before anybody else can lead: the Lease is given back last, and only where it is still ours."""
        lost = self._candidate.end is None or self._clock() >= (self._candidate.deadline or 0.0)
        if lost:
            self._candidate.gave_up()
            self._metrics.count("leaderships", change="lost")
            self._log.warning("not leading any more: the lease was not renewed in time", lease=self._name)
        self.changed.set()
        task.cancel()
        await _over(task)
        renewing.cancel()
        await _over(renewing)
        if not lost:
            await self._release()

    async def _renew(self) -> None:
        """Renew until it cannot be done in time, or somebody else has it."""
        while (deadline := self._candidate.deadline) is not None:
            left = deadline - self._clock()
            if left <= 0:
                return
            await self._sleep(min(self.times.retry, left))
            left = deadline - self._clock()
            if left > 0:
                await self._attempt(left)

    async def _release(self) -> None:
        """Best effort: where it fails, rivals wait for the lease to end. A renewal that was cut off may have been stored, so the Lease is read first."""
        limit = min(self.times.attempt, self.remaining)
        self._candidate.gave_up()
        try:
            lease = await self._client.get(LEASE, self._name, self._namespace, timeout=limit)
            if lease_record(lease).holder == self.identity:
                body = released(lease, self._wall(), self._annotations)
                lease = await self._client.replace(LEASE, self._name, body, self._namespace, timeout=limit)
                self._metrics.count("leaderships", change="given back")
                self._log.info("not leading any more: the lease was given back", lease=self._name)
            self._candidate.saw(lease_record(lease), self._clock())
        except ApiFailure as failure:
            self._log.warning("the lease could not be given back", lease=self._name, why=failure)
        self._lease = {}


async def _over(task: asyncio.Future[None]) -> None:
    """Wait until a task has ended, however; its failure is looked at elsewhere."""
    await asyncio.wait((task,))
