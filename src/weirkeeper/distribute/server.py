"""One provider's engines, each told what it lacks: one task a stream, and wake-ups when the wished items change.

Comes in: changes of the store (``put``, ``replace``), streams of engines whose identity is proven (``converse``). Goes out: responses, and
observations through ``observe``. What to say is decided in ``stream``, who may listen in ``door``; here are only tasks and the clock.

Nothing is queued: each stream's writer asks ``next`` when it is woken and when its last write was taken, so a slow engine costs one response of
memory and delays nobody.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

from weirkeeper.distribute import wire
from weirkeeper.distribute.credentials import FixedTls, MutualTls, TlsSource
from weirkeeper.distribute.door import METHOD as METHOD
from weirkeeper.distribute.door import SERVICE as SERVICE
from weirkeeper.distribute.door import Door, decoded
from weirkeeper.distribute.events import Acked, Event
from weirkeeper.distribute.progress import Progress
from weirkeeper.distribute.store import DesiredStore
from weirkeeper.distribute.stream import DeltaStream, Doubts
from weirkeeper.model.observation import ItemObservation
from weirkeeper.model.text import Id, Name
from weirkeeper.providers.base import EngineItem, ItemChanges, ItemKey

MOST_REMEMBERED = 100
STEP = 500
"""So many items are worked off before others have their turn on the loop."""

OVERDUE = 2.0
"""A stream over its age ends when nothing is on its way, and at so many times its age in any case."""


class Connection:
    """One engine's stream and the bell that wakes its writer. ``peer`` is the address that it came from, empty on a Unix socket."""

    def __init__(self, stream: DeltaStream, node: wire.Node, peer: str, age: float | None) -> None:
        self.stream = stream
        self.node = node
        self.peer = peer
        self.age = age
        self.began = time.monotonic()
        self.bell = asyncio.Event()
        self.ended = False
        self.serving = False

    def old_at(self) -> float | None:
        """When this stream is to end for its age; later where something is on its way, but not for ever."""
        if self.age is None:
            return None
        return self.began + self.age * (1.0 if self.stream.converged() else OVERDUE)


class Told(Protocol):
    """Who is told of instances: that a stream began, that its engine has all that it should have, what ails it, that the stream ended."""

    def came(self, load_balancer: Id, connection: Connection) -> None:
        """A stream began."""
        ...

    def serves(self, load_balancer: Id, connection: Connection) -> None:
        """Its engine has all that it should have."""
        ...

    def ails(self, load_balancer: Id, connection: Connection) -> None:
        """It says something else of its engine than before."""
        ...

    def went(self, load_balancer: Id, connection: Connection) -> None:
        """The stream ended."""
        ...


class Unheard:
    """For a distributor whose instances nobody counts one by one."""

    def came(self, load_balancer: Id, connection: Connection) -> None:
        """Nobody asks."""

    def serves(self, load_balancer: Id, connection: Connection) -> None:
        """Nobody asks."""

    def ails(self, load_balancer: Id, connection: Connection) -> None:
        """Nobody asks."""

    def went(self, load_balancer: Id, connection: Connection) -> None:
        """Nobody asks."""


class Fleet:
    """The connections of one load balancer."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.connections: list[Connection] = []
        self.doubts: dict[str, Doubts] = {}

    def remember(self, connection: Connection) -> None:
        """What the engine of a lost stream may hold and will not claim when it is back; of the newest instances only."""
        if doubts := connection.stream.doubts():
            self.doubts[connection.node.id] = doubts
            while len(self.doubts) > MOST_REMEMBERED:
                del self.doubts[next(iter(self.doubts))]

    @property
    def streams(self) -> list[DeltaStream]:
        """The streams of all connected engines."""
        return [connection.stream for connection in self.connections]


class Distributor:
    """Serves the store to every engine that connects."""

    def __init__(
        self,
        store: DesiredStore,
        observe: Callable[[ItemObservation], None],
        *,
        provider: Name,
        drain_seconds: float = 5.0,
        serving: Callable[[Id, int], None] = lambda _load_balancer, _instances: None,
        told: Told | None = None,
        age: Callable[[], float | None] = lambda: None,
    ) -> None:
        self.store = store
        self._observe = observe
        self._provider = provider
        self._drain = drain_seconds
        self._serving = serving
        self._told = told if told is not None else Unheard()
        self._age = age
        self._fleets: dict[Id, Fleet] = {}
        self._door = Door(lambda _load_balancer, _node: self)

    async def start(self, address: str, tls: MutualTls | TlsSource | None = None) -> int:
        """Listen for this provider alone; returns the port (1 for a Unix socket). TCP without mutual TLS is refused."""
        return await self._door.open(address, FixedTls(tls) if isinstance(tls, MutualTls) else tls)

    async def stop(self) -> None:
        """End all streams; engines keep what they have."""
        await self._door.close()

    def put(self, changes: ItemChanges) -> None:
        """Wish these items; engines are told at once."""
        self._ring(self.store.put(changes), [(key.load_balancer, (key.kind, key.name)) for key in changes])

    def replace(self, items: dict[ItemKey, EngineItem]) -> None:
        """Wish these items and no others."""
        self._ring(self.store.replace(items), [(key.load_balancer, (key.kind, key.name)) for key in items])

    async def fill(self, items: Mapping[ItemKey, EngineItem]) -> None:
        """Wish these items, before anybody is told anything: in steps, as there may be very many."""
        rows = iter(items.items())
        while step := dict(islice(rows, STEP)):
            self.put(step)
            await asyncio.sleep(0)

    def learn(self, refused: Iterable[ItemObservation], forgiven: Iterable[ItemObservation]) -> None:
        """Versions that engines refused elsewhere, which are not sent here; and those that may be tried again."""
        keys: list[tuple[Id, tuple[str, str]]] = []
        for one in refused:
            shelf, key = self.store.shelf(one.load_balancer), (str(one.kind), str(one.name))
            if shelf.refusal(key, one.engine_version) is None:
                shelf.refuse(key, one.version, one.engine_version, one.message)
                keys.append((one.load_balancer, key))
        for one in forgiven:
            key = (str(one.kind), str(one.name))
            self.store.shelf(one.load_balancer).forgive(key, one.engine_version, one.version)
            keys.append((one.load_balancer, key))
        self._ring({load_balancer for load_balancer, _ in keys}, keys)

    def instances(self, load_balancer: Id) -> int:
        """How many connected engines have been through their first full sync."""
        fleet = self._fleets.get(load_balancer)
        return sum(connection.serving for connection in fleet.connections) if fleet is not None else 0

    def _ring(self, load_balancers: set[Id], keys: list[tuple[Id, tuple[str, str]]]) -> None:
        for load_balancer, key in keys:
            if load_balancer in load_balancers and load_balancer in self._fleets:
                self._fleets[load_balancer].progress.changed(key)
        for load_balancer in load_balancers & self._fleets.keys():
            self._wake(self._fleets[load_balancer])

    @staticmethod
    def _wake(fleet: Fleet) -> None:
        for connection in fleet.connections:
            connection.bell.set()

    async def converse(
        self, name: Id, first: wire.Request, incoming: AsyncIterator[bytes], context: Any, peer: str = ""
    ) -> None:
        """Serve one stream of an engine of this load balancer until it ends, or is old."""
        shelf, node = self.store.shelf(name), first.node or wire.Node()
        fleet = self._fleets.setdefault(name, Fleet(Progress(self._provider, name, shelf)))
        doubts = fleet.doubts.pop(node.id, None)
        stream = DeltaStream(shelf, self._drain, node.engine, doubts, mark=secrets.token_hex(4))
        connection = Connection(stream, node, peer, self._age())
        fleet.connections.append(connection)
        self._told.came(name, connection)
        reader = asyncio.create_task(self._read(name, fleet, connection, first, incoming), name=f"read {node.id}")
        try:
            await self._write(name, fleet, connection, context)
        finally:
            reader.cancel()
            fleet.connections.remove(connection)
            fleet.remember(connection)
            self._report(fleet.progress.parted(fleet.streams))
            if connection.serving:
                self._serving(name, self.instances(name))
            self._told.went(name, connection)

    async def _read(
        self, name: Id, fleet: Fleet, connection: Connection, first: wire.Request, incoming: AsyncIterator[bytes]
    ) -> None:
        """Hear every request. A stream that ends or speaks nonsense ends its writer too."""
        try:
            await self._hear(name, fleet, connection, first)
            async for raw in incoming:
                request = decoded(raw)
                if request is None:
                    break
                await self._hear(name, fleet, connection, request)
        finally:
            connection.ended = True
            connection.bell.set()

    async def _hear(self, name: Id, fleet: Fleet, connection: Connection, request: wire.Request) -> None:
        if request.node is not None and request.node.trouble != connection.node.trouble:
            connection.node = request.node
            self._told.ails(name, connection)
        before = connection.stream.shelf.number
        events = connection.stream.receive(request, time.monotonic())
        connection.bell.set()
        if connection.stream.shelf.number != before:
            self._wake(fleet)
        for number, event in enumerate(in_steps(events)):
            if number:
                await asyncio.sleep(0)
            self._report(fleet.progress.of((event,), connection.stream.engine, fleet.streams))

    async def _write(self, name: Id, fleet: Fleet, connection: Connection, context: Any) -> None:
        """Say what there is to say, then sleep until woken or until a drain time ends."""
        stream, bell = connection.stream, connection.bell
        while not connection.ended:
            bell.clear()
            while not connection.ended and (message := stream.next(time.monotonic())) is not None:
                await context.write(message)
            await self._look(fleet)
            self._count(name, connection)
            now, old = time.monotonic(), connection.old_at()
            if old is not None and old <= now:
                return
            await _rung(bell, min((due for due in (stream.wake_at(), old) if due is not None), default=None))

    async def _look(self, fleet: Fleet) -> None:
        """Report what needs no answer; at the first sync every item is looked at."""
        while (found := fleet.progress.look(fleet.streams, STEP)) is not None:
            self._report(found)
            await asyncio.sleep(0)

    def _count(self, name: Id, connection: Connection) -> None:
        if not connection.serving and connection.stream.converged():
            connection.serving = True
            self._serving(name, self.instances(name))
            self._told.serves(name, connection)

    def _report(self, observations: list[ItemObservation]) -> None:
        for observation in observations:
            self._observe(observation)


def in_steps(events: Iterable[Event], most: int = STEP) -> Iterator[Event]:
    """The same events, none of more than so many items: one answer may speak of thousands, and the loop is not to wait for them."""
    for event in events:
        if isinstance(event, Acked) and len(event.versions) > most:
            for start in range(0, len(event.versions), most):
                yield Acked(event.kind, event.versions[start : start + most])
        else:
            yield event


async def _rung(bell: asyncio.Event, due: float | None) -> None:
    if due is None:
        await bell.wait()
        return
    try:
        async with asyncio.timeout(max(due - time.monotonic(), 0.0)):
            await bell.wait()
    except TimeoutError:
        return
