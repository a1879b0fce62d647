"""Where engines knock: delta ADS over gRPC on a Unix socket or on TCP with mutual TLS. Each is known before anything is said to it.

Comes in: connections. Goes out: conversations with the distributor that ``place`` names, or a refusal with its reason. The identity comes from the
client certificate (``identity``); on a Unix socket, which only its owner may open, the node id is believed.

A connection on TCP is asked to end when it is old (``GOAWAY``), and its stream a little later, by the distributor. So an engine comes back over a new
connection: to another replica, which spreads the load after a restart, and with the certificate that it has by then.
"""

import errno
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol
from urllib.parse import unquote

import grpc
import grpc.aio
import msgspec

from weirkeeper.distribute import wire
from weirkeeper.distribute.credentials import TlsSource, server_credentials
from weirkeeper.distribute.identity import Stranger, load_balancer_of
from weirkeeper.model.text import Id

log = logging.getLogger(__name__)

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"
LARGEST_REQUEST = 64 << 20
GRACE = 0.2
_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", LARGEST_REQUEST),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # an engine that has been silent for this long is asked whether it is there
    ("grpc.keepalive_time_ms", 2_000),
    # one that does not answer is no instance after this: a busy one may apply for seconds
    ("grpc.http2.ping_timeout_ms", 10_000),
    # but where not even its machine acknowledges bytes (TCP_USER_TIMEOUT is what gRPC makes of this), the machine is gone
    ("grpc.keepalive_timeout_ms", 4_000),
    # who connects and says nothing: gRPC would wait for two minutes
    ("grpc.server_handshake_timeout_ms", 20_000),
]
_FOREVER = 2**31 - 1
_SAID_AGAIN = 60.0
_MOST_SAID = 1_000


class Away(msgspec.Struct, frozen=True):
    """Why nothing can be said now; the engine may ask another replica, or again."""

    why: str


class Conversation(Protocol):
    """Who talks with engines that got in."""

    async def converse(
        self, name: Id, first: wire.Request, incoming: AsyncIterator[bytes], context: Any, peer: str = ""
    ) -> None:
        """Serve one stream until it ends."""
        ...


Place = Callable[[Id, wire.Node], Conversation | Away]
"""Who talks with an engine of this load balancer."""


class Door:
    """One listening address."""

    def __init__(self, place: Place, age: float | None = None) -> None:
        self._place = place
        self._age = age
        self._server: Any = None
        self._said: dict[tuple[str, str], float] = {}

    async def open(self, address: str, tls: TlsSource | None) -> int:
        """Listen; returns the port (1 for a Unix socket). ``ValueError`` for TCP without mutual TLS, ``OSError`` where the address is taken."""
        if tls is None and not address.startswith("unix:"):
            raise ValueError(f"{address} needs mutual TLS; only a Unix socket goes without")
        self._server = grpc.aio.server(options=self._options())
        serve = self._serve_verified if tls is not None else self._serve_trusted
        rpc = grpc.stream_stream_rpc_method_handler(serve)
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: rpc}),))
        try:
            port = (
                self._server.add_secure_port(address, server_credentials(tls))
                if tls is not None
                else self._server.add_insecure_port(address)
            )
        except RuntimeError as error:  # gRPC says no more than that it failed to bind
            raise OSError(errno.EADDRINUSE, f"{address} cannot be listened on: {error}") from None
        await self._server.start()
        return int(port)

    async def close(self) -> None:
        """End all streams; engines keep what they have."""
        if self._server is not None:
            await self._server.stop(GRACE)

    def _options(self) -> list[tuple[str, int]]:
        if self._age is None:
            return _OPTIONS
        aging = [
            ("grpc.max_connection_age_ms", int(self._age * 1000)),
            ("grpc.max_connection_age_grace_ms", _FOREVER),
        ]
        return [*_OPTIONS, *aging]

    async def _serve_trusted(self, incoming: AsyncIterator[bytes], context: Any) -> None:
        await self._serve(incoming, context, None)

    async def _serve_verified(self, incoming: AsyncIterator[bytes], context: Any) -> None:
        names = context.auth_context().get("x509_subject_alternative_name", [])
        await self._serve(incoming, context, [name.decode(errors="replace") for name in names])

    async def _serve(self, incoming: AsyncIterator[bytes], context: Any, names: list[str] | None) -> None:
        async for raw in incoming:
            request = decoded(raw)
            if request is None or request.node is None:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first request must carry the node")
                return
            load_balancer = load_balancer_of(request.node.id, names)
            if isinstance(load_balancer, Stranger):
                self._tell(host_of(context.peer()), load_balancer.why)
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, load_balancer.why)
                return
            place = self._place(load_balancer, request.node)
            if isinstance(place, Away):
                await context.abort(grpc.StatusCode.UNAVAILABLE, place.why)
                return
            await place.converse(load_balancer, request, incoming, context, host_of(context.peer()))
            return

    def _tell(self, host: str, why: str) -> None:
        """Say whom we refused, once a minute: an engine that is refused comes back twice a second."""
        now = time.monotonic()
        if now - self._said.get((host, why), -_SAID_AGAIN) >= _SAID_AGAIN:
            if len(self._said) >= _MOST_SAID:
                self._said.clear()
            self._said[host, why] = now
            log.warning("an engine at %s is refused: %s", host or "our own machine", why)


def decoded(raw: bytes) -> wire.Request | None:
    """The request in these bytes, or None where it is none."""
    try:
        return wire.request(raw)
    except wire.Malformed:
        return None


def host_of(peer: str) -> str:
    """The address in gRPC's name of a peer, ``ipv4:192.0.2.1:4711`` or ``ipv6:%5B2001:db8::1%5D:4711``; empty for any other."""
    family, _, place = peer.partition(":")
    host = unquote(place).rpartition(":")[0]
    return host.strip("[]") if family in {"ipv4", "ipv6"} else ""
