"""The reflector: keeps one kind (of one namespace, under selectors) in step with an API server for as long as it runs.

Comes in: a client and a resource. Goes out: news, in order, to one listener. What to ask when, and what an answer means, is decided in `mirror.py`; here are the requests,
the clock and the waiting. It keeps no objects: whoever is told keeps them.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Generic, NoReturn, Protocol, TypeVar

from weirkeeper.kube.backoff import Chance
from weirkeeper.kube.decode import Decoder, Page
from weirkeeper.kube.errors import ApiFailure, BadAnswer, ServerFailure, Unauthorized, Unreachable
from weirkeeper.kube.mirror import Absent as Absent
from weirkeeper.kube.mirror import Applied as Applied
from weirkeeper.kube.mirror import Back as Back
from weirkeeper.kube.mirror import Deleted as Deleted
from weirkeeper.kube.mirror import Follow, Mirror, Pages, Pause, Peek, Stream
from weirkeeper.kube.mirror import Listed as Listed
from weirkeeper.kube.mirror import Lost as Lost
from weirkeeper.kube.mirror import News as News
from weirkeeper.kube.mirror import Pace as Pace
from weirkeeper.kube.mirror import Unreadable as Unreadable
from weirkeeper.kube.resources import Resource
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.ids import LOCAL, Ref

T = TypeVar("T", bound=KubeObject)
T_co = TypeVar("T_co", bound=KubeObject, covariant=True)
PACE = Pace()
AWAY = 3
PROBE = 5.0
"""Seconds."""
BATCH = 64
"""So many news of a list are told together; after so many lines others have a turn, however much has come in."""


class Asks(Protocol):
    """The part of the client that a reflector needs."""

    def pages(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        type: type[T],  # noqa: A002 - the field's word
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        timeout: float | None = None,
    ) -> AsyncGenerator[Page[T], None]:
        """The pages of a list."""
        ...

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        initial: bool = False,
        timeout_seconds: int | None = None,
        metadata_only: bool = False,
        timeout: float | None = None,
        opened: Callable[[], None] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch."""
        ...


class Gate:
    """One for all reflectors of a client: only so many of them list at once; and while the server is away, one asks for all of them, every `PROBE` seconds.

    Away is a server of which so many questions in a row were not answered, or with 401 or 5xx, whoever asked. The first answer that anybody gets lets all of them go
    on at once: so a short absence is over soon, and a long one costs no more with a hundred watches than with one.
    """

    def __init__(self, lists: int = 6) -> None:
        """A gate that lets so many lists pass."""
        self.listing = asyncio.Semaphore(lists)
        self.returns = 0
        """How often the server has come back."""
        self._failures = 0
        self._turn = asyncio.Lock()
        self._here = asyncio.Event()
        self._here.set()
        self._probed = float("-inf")

    @property
    def away(self) -> bool:
        """Whether nobody gets an answer."""
        return not self._here.is_set()

    def failed(self, error: ApiFailure) -> None:
        """A question failed."""
        if not isinstance(error, Unreachable | Unauthorized | ServerFailure):
            self.answered()
            return
        self._failures += 1
        if self._failures >= AWAY:
            self._here.clear()

    def answered(self) -> None:
        """A question was answered."""
        self._failures = 0
        if self.away:
            self.returns += 1
            self._here.set()

    async def turn(self, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]) -> None:
        """Waits until it is the caller's turn to ask for all, or the server is back."""
        async with self._turn:
            left = self._probed + PROBE - clock()
            if self.away and left > 0:
                waits = [asyncio.ensure_future(one) for one in (sleep(left), self._here.wait())]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for one in waits:
                        one.cancel()
                    await asyncio.gather(*waits, return_exceptions=True)
            self._probed = clock()

    async def back(self) -> None:
        """Waits until the server is back."""
        await self._here.wait()


class Reflector(Generic[T]):
    """Tells what is there, and every change. `run` never returns; what the server refuses or fails at is told and tried again."""

    def __init__(
        self,
        client: Asks,
        resource: Resource,
        *,
        type: type[T],  # noqa: A002 - the field's word
        tell: Callable[[Sequence[News]], None],
        cluster: str = LOCAL,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        pace: Pace = PACE,
        gate: Gate | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Chance = random.random,
    ) -> None:
        self.resource, self.namespace = resource, namespace
        self._client, self._type, self._tell, self._pace = client, type, tell, pace
        self._labels, self._fields = label_selector, field_selector
        self._gate, self._clock, self._sleep = gate or Gate(), clock, sleep
        self._decoder = Decoder(resource, type, cluster)

        def ref_of(namespace: str, name: str) -> Ref:
            return Ref(cluster=cluster, group=resource.group, kind=resource.kind, namespace=namespace, name=name)

        self.mirror: Mirror[T] = Mirror(ref_of, pace, chance)
        self._limit: asyncio.Timeout | None = None
        self._heard = self._abandoned = False
        self._limited = 0.0

    async def run(self) -> NoReturn:
        """Keep in step until cancelled."""
        returns = self._gate.returns
        while True:
            if self._gate.away and self.mirror.failing:
                await self._gate.turn(self._clock, self._sleep)
                self.mirror.hurry(self._clock())
            elif self._gate.returns != returns and self.mirror.failing:
                self.mirror.hurry(self._clock())
            returns = self._gate.returns
            action = self.mirror.next(self._clock())
            match action:
                case Pause():
                    await self._sleep(action.seconds)
                case Pages():
                    async with self._gate.listing:
                        await self._asked(self._pages())
                case Peek():
                    await self._asked(self._peek())
                case Stream():
                    await self._streamed(action)
                case Follow():
                    await self._asked(self._watch(action))

    def relist(self) -> None:
        """List again as soon as that is allowed; what comes of it is told like any other news."""
        if self.mirror.relist() and self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time())

    async def _streamed(self, action: Stream) -> None:
        """A streamed list holds a place at the gate until it is complete, or over."""
        await self._gate.listing.acquire()
        place = [self._gate.listing]

        def leave() -> None:
            while place:
                place.pop().release()

        try:
            await self._asked(self._watch(action, complete=leave))
        finally:
            leave()

    async def _asked(self, asking: Awaitable[None]) -> None:
        self._heard = self._abandoned = False
        try:
            async with asyncio.timeout(None) as self._limit:
                await self._unless_overtaken(asking)
        except ApiFailure as error:
            self._gate.failed(error)
            self._say(self.mirror.failed(error, self._clock()))
            return
        except TimeoutError:
            overtaken = Unreachable("somebody else was answered first", reason="Overtaken")
            self._say(
                self.mirror.failed(overtaken, self._clock()) if self._abandoned else self.mirror.due(self._clock())
            )
            return
        finally:
            self._limit = None
        if not self.mirror.over:
            self._say(self.mirror.ended(self._clock()))

    async def _unless_overtaken(self, asking: Awaitable[None]) -> None:
        """A question put to a server that was away is given up when somebody else gets an answer first: its own may never come."""
        if not self._gate.away:
            await asking
            return
        returning = asyncio.ensure_future(self._gate.back())
        returning.add_done_callback(self._abandon)
        try:
            await asking
        finally:
            returning.remove_done_callback(self._abandon)
            returning.cancel()

    def _abandon(self, _: asyncio.Future[None]) -> None:
        if not self._heard and self._limit is not None:
            self._abandoned = True
            self._limit.reschedule(asyncio.get_running_loop().time())

    def _answered(self) -> None:
        self._heard = True
        self._gate.answered()

    async def _watch(self, action: Stream | Follow, complete: Callable[[], None] | None = None) -> None:
        lines = self._client.watch(
            self.resource,
            self.namespace,
            resource_version=action.resource_version if isinstance(action, Follow) else "",
            label_selector=self._labels,
            field_selector=self._fields,
            initial=isinstance(action, Stream),
            timeout_seconds=action.seconds,
            metadata_only=self._type.metadata_only,
            timeout=self._pace.head,
            opened=self._opened,
        )
        batch: list[News] = []
        count = 0
        self._limited = 0.0
        self._keep_deadline()
        try:
            async with aclosing(lines):
                async for line in lines:
                    count += 1
                    if count % BATCH == 0:
                        await asyncio.sleep(0)
                    batch += self.mirror.event(self._decoder.event(line), self._clock())
                    if self.mirror.over:
                        return
                    if not self.mirror.listing or len(batch) >= BATCH:
                        self._say(batch)
                        batch = []
                        if complete is not None and not self.mirror.listing:
                            complete()
                    self._keep_deadline()
        finally:
            self._say(batch)

    async def _pages(self) -> None:
        async with aclosing(self._all(limit=500)) as pages:
            async for page in pages:
                self._answered()
                self._say(self.mirror.page(page, self._clock()))

    async def _peek(self) -> None:
        async with aclosing(self._all(limit=1)) as pages:
            async for page in pages:
                self._answered()
                self._say(self.mirror.peeked(page.resource_version, self._clock()))
                return
        raise BadAnswer("a list without pages", status=200, reason="NotAList")

    def _all(self, limit: int) -> AsyncGenerator[Page[T], None]:
        return self._client.pages(
            self.resource,
            self.namespace,
            type=self._type,
            label_selector=self._labels,
            field_selector=self._fields,
            limit=limit,
            timeout=self._pace.page,
        )

    def _opened(self) -> None:
        self._answered()
        self._say(self.mirror.opened(self._clock()))

    def _keep_deadline(self) -> None:
        """The clock of the loop follows the mirror's; moved only when it matters, as a move costs more than a line."""
        deadline = self.mirror.deadline
        if self._limit is not None and abs(deadline - self._limited) > min(1.0, self._pace.silence / 8):
            self._limited = deadline
            self._limit.reschedule(asyncio.get_running_loop().time() + deadline - self._clock())

    def _say(self, news: Iterable[News]) -> None:
        told = tuple(news)
        if told:
            self._tell(told)
