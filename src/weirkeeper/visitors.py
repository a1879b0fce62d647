"""HTTP addresses that strangers reach: how many connections there may be at once, and how long one may keep silent. One that floods loses its own.

Comes in: an application, an address, limits. Goes out: answers. Why it exists: aiohttp waits for the head of a request for an hour and counts nobody, so some
thousand sockets that say nothing would take every file descriptor, and with them the probes by which this process lives.

Rules: whoever does not finish its handshake and the head of its request in time is cut off, trickling or not, and so is a connection that is kept without a
new request, and one whose answer is not read. When a peer has too many connections, the one of its own that has been idle for longest goes; when there are too
many in all, it is one of the peer that has most. Nobody who is being answered goes for another.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler

from weirkeeper.listening import accept_no_more
from weirkeeper.model.value import Value

BACKLOG = 128
GOODBYE = 2.0
G = TypeVar("G", bound=Hashable)


class Limits(Value, frozen=True, kw_only=True):
    """Connections of one peer and of all; seconds until the head of a request must be there (since the connection began or the last answer ended), and for an answer."""

    each: int = 64
    most: int = 1024
    silence: float = 10.0
    answer: float = 30.0


class Crowd(Generic[G]):
    """Who is here, by peer, and who has to go for a newcomer. Pure."""

    def __init__(self, each: int, most: int) -> None:
        self._each, self._most = each, most
        self._peers: dict[G, str] = {}
        self._count: Counter[str] = Counter()
        self._idle: dict[str, dict[G, None]] = {}

    def __len__(self) -> int:
        return len(self._peers)

    @property
    def all(self) -> tuple[G, ...]:
        """Everybody."""
        return tuple(self._peers)

    def came(self, guest: G, peer: str) -> G | None:
        """Somebody is here, and idle. Who has to go for it; itself, where nobody else may."""
        self._peers[guest] = peer
        self._count[peer] += 1
        self.rests(guest)
        if self._count[peer] > self._each:
            return next(iter(self._idle[peer]))
        if len(self._peers) > self._most:
            largest = max(self._idle, key=self._count.__getitem__)
            return next(iter(self._idle[largest]))
        return None

    def works(self, guest: G) -> None:
        """It is being answered."""
        if (peer := self._peers.get(guest)) is not None:
            self._rouse(guest, peer)

    def rests(self, guest: G) -> None:
        """It has been answered, or was never."""
        if (peer := self._peers.get(guest)) is not None:
            self._idle.setdefault(peer, {})[guest] = None

    def left(self, guest: G) -> None:
        """It is gone."""
        if (peer := self._peers.pop(guest, None)) is None:
            return
        self._rouse(guest, peer)
        self._count[peer] -= 1
        if not self._count[peer]:
            del self._count[peer]

    def _rouse(self, guest: G, peer: str) -> None:
        idle = self._idle.get(peer, {})
        idle.pop(guest, None)
        if not idle:
            self._idle.pop(peer, None)


class Visitors:
    """The connections of one address."""

    def __init__(
        self, limits: Limits, tls: ssl.SSLContext | None, lasting: Collection[str], counted: Callable[[str], None]
    ) -> None:
        self.limits, self.tls, self.counted = limits, tls, counted
        self.crowd: Crowd[Guest] = Crowd(limits.each, limits.most)
        self.server: web.Server | None = None
        self.lasting = frozenset(lasting)

    def guest(self) -> "Guest":
        """Whoever connects next."""
        return Guest(self)

    def came(self, guest: "Guest", peer: str) -> None:
        """Make room for a newcomer, if need be."""
        gone = self.crowd.came(guest, peer)
        if gone is not None:
            self.counted("crowd")
            gone.drop()

    @web.middleware
    async def watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Every request comes by here: while it is answered its connection is not idle."""
        guest = request.transport.get_protocol() if request.transport is not None else None
        if not isinstance(guest, Guest):
            return await handler(request)
        guest.works(None if request.path in self.lasting else self.limits.answer)
        try:
            return await handler(request)
        finally:
            guest.rests()


class Guest(asyncio.Protocol):
    """One connection: counted from its first packet on, before TLS, and handed to aiohttp after it."""

    def __init__(self, visitors: Visitors) -> None:
        self._visitors = visitors
        self._raw: asyncio.Transport | None = None
        self._handler: asyncio.Protocol | None = None
        self._early = bytearray()
        self._here = True
        self._clock: asyncio.TimerHandle | None = None
        self.handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is here."""
        assert isinstance(transport, asyncio.Transport)
        self._raw = transport
        self._watch(self._visitors.limits.silence)
        peer = transport.get_extra_info("peername")
        self._visitors.came(self, str(peer[0]) if peer else "")
        if self._here and self._visitors.tls is None:
            self._hand_over(transport)
        elif self._here and self._visitors.tls is not None:
            self.handshake = asyncio.create_task(self._secure(transport, self._visitors.tls), name="handshake")

    async def _secure(self, transport: asyncio.Transport, tls: ssl.SSLContext) -> None:
        limit = self._visitors.limits.silence
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport, self, tls, server_side=True, ssl_handshake_timeout=limit, ssl_shutdown_timeout=GOODBYE
            )
        except OSError:  # what it speaks is no TLS, or it took too long
            self.drop()
        else:
            self._hand_over(secured)

    def _hand_over(self, transport: asyncio.Transport | None) -> None:
        server = self._visitors.server
        if server is None or transport is None or not self._here:
            self.drop()
            return
        self._handler = server()
        self._handler.connection_made(transport)
        if self._early:
            self._handler.data_received(bytes(self._early))
            self._early.clear()

    def data_received(self, data: bytes) -> None:
        """For aiohttp; what comes with the last packet of the handshake is kept until that is known to be over."""
        if self._handler is None:
            self._early += data
        else:
            self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        """The other side says no more."""
        return self._handler.eof_received() if self._handler is not None else None

    def pause_writing(self) -> None:
        """It does not read what it is told."""
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._handler is not None:
            self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._gone()
        if self._handler is not None:
            self._handler.connection_lost(exc)

    def works(self, limit: float | None) -> None:
        """A request is here, and its answer may take that long; None: as long as it likes."""
        if self._here:
            self._visitors.crowd.works(self)
            self._watch(limit)

    def rests(self) -> None:
        """The answer is given."""
        if self._here:
            self._visitors.crowd.rests(self)
            self._watch(self._visitors.limits.silence)

    def drop(self) -> None:
        """Cut it off."""
        self._gone()
        if self._raw is not None:
            self._raw.abort()

    def _watch(self, limit: float | None) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = None if limit is None else asyncio.get_running_loop().call_later(limit, self._late)

    def _late(self) -> None:
        self._visitors.counted("silence")
        self.drop()

    def _gone(self) -> None:
        self._here = False
        self._watch(None)
        self._visitors.crowd.left(self)


@asynccontextmanager
async def receiving(
    application: web.Application,
    host: str | None,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    lasting: Collection[str] = (),
    counted: Callable[[str], None] = lambda _why: None,
    shutdown: float = 0.5,
    handler_cancellation: bool = False,
) -> AsyncIterator[int]:
    """Answer at this address for as long as the block runs; gives the port. `OSError` where the address is taken.

    `lasting`: paths whose answers have no end (WebSockets). `counted` is told why a connection was cut off: crowd or silence.
    `handler_cancellation`: who goes away ends its own answer.
    """
    visitors = Visitors(limits or Limits(), tls, lasting, counted)
    application.middlewares.append(visitors.watch)
    runner = web.AppRunner(
        application, access_log=None, handle_signals=False, shutdown_timeout=shutdown, handler_cancellation=handler_cancellation
    )  # fmt: skip
    await runner.setup()
    visitors.server = runner.server
    listener: asyncio.Server | None = None
    try:
        listener = await asyncio.get_running_loop().create_server(visitors.guest, host, port, backlog=BACKLOG)
        yield listener.sockets[0].getsockname()[1]
    finally:
        if listener is not None:
            await accept_no_more(listener.sockets)
            listener.close()
        visitors.server = None
        await runner.cleanup()
        left = visitors.crowd.all
        for guest in left:
            guest.drop()
        await asyncio.gather(*(guest.handshake for guest in left if guest.handshake is not None))
