"""The delta ADS service over gRPC: bytes in, bytes out, one task a stream, and wake-ups when the wished items change.

Comes in: changes of the store (``put``, ``replace``), streams of engines on a Unix socket or on TCP with mutual TLS. Goes out: responses, and
observations through ``observe``. What to say is decided in ``stream``; here are only tasks, sockets and the clock.

Nothing is queued: each stream's writer asks ``next`` when it is woken and when its last write was taken, so a slow engine costs one response of
memory and delays nobody.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import msgspec

from weirkeeper.distribute import wire
from weirkeeper.distribute.identity import Stranger, load_balancer_of
from weirkeeper.distribute.progress import Progress
from weirkeeper.distribute.store import DesiredStore
from weirkeeper.distribute.stream import DeltaStream, Doubts
from weirkeeper.model.observation import ItemObservation
from weirkeeper.model.text import Id, Name
from weirkeeper.providers.base import EngineItem, ItemChanges, ItemKey

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"
LARGEST_REQUEST = 64 << 20
GRACE = 0.2
MOST_REMEMBERED = 100
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", LARGEST_REQUEST),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    (
        "grpc.keepalive_time_ms",
        10_000,
    ),  # an engine that stands still, or whose machine is gone, is no instance after this
    (
        "grpc.http2.ping_timeout_ms",
        10_000,
    ),  # and this (keepalive_timeout_ms alone drops nobody); a busy one may apply for seconds
    ("grpc.keepalive_timeout_ms", 20_000),
]


class MutualTls(msgspec.Struct, frozen=True, kw_only=True):
    """The server's own certificate and key, and the authority that signs the certificates of instances; all PEM."""

    chain: bytes
    key: bytes
    authority: bytes

    def credentials(self) -> grpc.ServerCredentials:
        """What gRPC calls it; a client without a certificate does not get in."""
        return grpc.ssl_server_credentials([(self.key, self.chain)], self.authority, require_client_auth=True)


class Connection:
    """One engine's stream and the bell that wakes its writer."""

    def __init__(self, stream: DeltaStream, node: wire.Node) -> None:
        self.stream = stream
        self.node = node
        self.bell = asyncio.Event()
        self.ended = False
        self.serving = False


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
    ) -> None:
        self.store = store
        self._observe = observe
        self._provider = provider
        self._drain = drain_seconds
        self._serving = serving
        self._fleets: dict[Id, Fleet] = {}
        self._server: Any = None

    async def start(self, address: str, tls: MutualTls | None = None) -> int:
        """Listen; returns the port (1 for a Unix socket). TCP without mutual TLS is refused."""
        if tls is None and not address.startswith("unix:"):
            raise ValueError(f"{address} needs mutual TLS; only a Unix socket goes without")
        self._server = grpc.aio.server(options=_OPTIONS)
        serve = self._serve_verified if tls is not None else self._serve_trusted
        rpc = grpc.stream_stream_rpc_method_handler(serve)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: rpc}),))
        port = (
            self._server.add_secure_port(address, tls.credentials())
            if tls is not None
            else self._server.add_insecure_port(address)
        )
        await self._server.start()
        return int(port)

    async def stop(self) -> None:
        """End all streams; engines keep what they have."""
        if self._server is not None:
            await self._server.stop(GRACE)

    def put(self, changes: ItemChanges) -> None:
        """Wish these items; engines are told at once."""
        self._ring(self.store.put(changes), [(key.load_balancer, (key.kind, key.name)) for key in changes])

    def replace(self, items: dict[ItemKey, EngineItem]) -> None:
        """Wish these items and no others."""
        self._ring(self.store.replace(items), [(key.load_balancer, (key.kind, key.name)) for key in items])

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

    async def _serve_trusted(self, incoming: AsyncIterator[bytes], context: Any) -> None:
        await self._serve(incoming, context, None)

    async def _serve_verified(self, incoming: AsyncIterator[bytes], context: Any) -> None:
        names = context.auth_context().get("x509_subject_alternative_name", [])
        await self._serve(incoming, context, [name.decode(errors="replace") for name in names])

    async def _serve(self, incoming: AsyncIterator[bytes], context: Any, names: list[str] | None) -> None:
        async for raw in incoming:
            request = _decoded(raw)
            if request is None or request.node is None:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request must carry the node")
                return
            load_balancer = load_balancer_of(request.node.id, names)
            if isinstance(load_balancer, Stranger):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, load_balancer.why)
                return
            await self._converse(load_balancer, request, incoming, context)
            return

    async def _converse(self, name: Id, first: wire.Request, incoming: AsyncIterator[bytes], context: Any) -> None:
        shelf, node = self.store.shelf(name), first.node or wire.Node()
        fleet = self._fleets.setdefault(name, Fleet(Progress(self._provider, name, shelf)))
        doubts = fleet.doubts.pop(node.id, None)
        connection = Connection(DeltaStream(shelf, self._drain, doubts=doubts), node)
        fleet.connections.append(connection)
        reader = asyncio.create_task(self._read(fleet, connection, first, incoming), name=f"read {node.id}")
        try:
            await self._write(name, fleet, connection, context)
        finally:
            reader.cancel()
            fleet.connections.remove(connection)
            fleet.remember(connection)
            self._report(fleet.progress.parted(fleet.streams))
            if connection.serving:
                self._serving(name, self.instances(name))

    async def _read(
        self, fleet: Fleet, connection: Connection, first: wire.Request, incoming: AsyncIterator[bytes]
    ) -> None:
        """Hear every request. A stream that ends or speaks nonsense ends its writer too."""
        try:
            self._hear(fleet, connection, first)
            async for raw in incoming:
                request = _decoded(raw)
                if request is None:
                    break
                self._hear(fleet, connection, request)
        finally:
            connection.ended = True
            connection.bell.set()

    def _hear(self, fleet: Fleet, connection: Connection, request: wire.Request) -> None:
        before = connection.stream.shelf.number
        events = connection.stream.receive(request, time.monotonic())
        self._report(fleet.progress.of(events, connection.stream.engine, fleet.streams))
        connection.bell.set()
        if connection.stream.shelf.number != before:
            self._wake(fleet)

    async def _write(self, name: Id, fleet: Fleet, connection: Connection, context: Any) -> None:
        """Say what there is to say, then sleep until woken or until a drain time ends."""
        stream, bell = connection.stream, connection.bell
        while not connection.ended:
            bell.clear()
            while not connection.ended and (message := stream.next(time.monotonic())) is not None:
                await context.write(message)
            self._report(fleet.progress.look(fleet.streams))
            self._count(name, connection)
            await _rung(bell, stream.wake_at())

    def _count(self, name: Id, connection: Connection) -> None:
        if not connection.serving and connection.stream.converged():
            connection.serving = True
            self._serving(name, self.instances(name))

    def _report(self, observations: list[ItemObservation]) -> None:
        for observation in observations:
            self._observe(observation)


def _decoded(raw: bytes) -> wire.Request | None:
    try:
        return wire.request(raw)
    except wire.Malformed:
        return None


async def _rung(bell: asyncio.Event, due: float | None) -> None:
    if due is None:
        await bell.wait()
        return
    try:
        async with asyncio.timeout(max(due - time.monotonic(), 0.0)):
            await bell.wait()
    except TimeoutError:
        return
