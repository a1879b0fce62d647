"""What the followers see of engines, brought to the leader, who alone writes statuses.

Theory of operation. Every replica keeps what it sees now (``Present``): instances that serve, items that engines refuse. A follower holds one WebSocket to
the leader (``Follower``) and says over it first all of that and then what changes. The leader (``Relay``) keeps one table for each replica, merges them
(``Ledger``) and hands the result to its front door. A replica that has not been heard for the grace time has its rows taken back; one that is back
within it says all again, and only the difference counts. Both sides prove with their certificates that they are replicas. A follower that cannot get
through may be heard by another road (``told``); who says the same again and again stays.

Instances stay apart by replica to the end: the graph joins them. A refusal holds as long as any replica holds it.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import aiohttp
import msgspec
from aiohttp import web

from weirkeeper.distribute.authority import SERVER_NAME
from weirkeeper.distribute.credentials import TlsSource, client_context, is_replica, spread
from weirkeeper.model.observation import InstanceObservation, ItemObservation, ItemState
from weirkeeper.model.value import Told

log = logging.getLogger(__name__)

PATH = "/v1/observations"
HEARTBEAT = 2.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
GOODBYE = 1.0
LASTING = 5.0
"""A conversation that lasted so many seconds went well; one that ended sooner is not begun again at once."""
LIFE = "weirkeeper-life"
"""The header that tells a replica that is back from another one of the same name."""
LARGEST = 64 << 20
MOVED = 20.0
"""So many seconds after a replica fell silent its instances are known to have turned to another one: an engine notices after up to 15 (its HTTP/2 pings)."""

Row: TypeAlias = ItemObservation | InstanceObservation
Key: TypeAlias = tuple[str, ...]


class Message(Told, frozen=True, kw_only=True):
    """Rows of one replica: all that it has (``whole``), or those that changed."""

    replica: str
    whole: bool = False
    items: tuple[ItemObservation, ...] = ()
    instances: tuple[InstanceObservation, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """Both kinds."""
        return (*self.items, *self.instances)


def key_of(row: Row) -> Key:
    """What a row is about."""
    if isinstance(row, InstanceObservation):
        return (row.provider, row.load_balancer, row.instance)
    return (row.provider, row.load_balancer, row.kind, row.name)


def stands(row: Row) -> bool:
    """Whether the row says that something is there now: an instance that serves or ails, an item that is refused."""
    return row.stands if isinstance(row, InstanceObservation) else row.state is ItemState.REJECTED


def withdrawn(row: Row) -> Row:
    """The row that takes this one back."""
    if isinstance(row, InstanceObservation):
        return msgspec.structs.replace(row, serving=False, addresses=(), trouble="")
    return msgspec.structs.replace(row, state=ItemState.PENDING, message="", engine_version="")


class Present:
    """What this replica sees now, and what of it one reader has not been told."""

    def __init__(self, replica: str) -> None:
        self._replica = replica
        self._rows: dict[Key, Row] = {}
        self._news: dict[Key, Row] = {}
        self._bell = asyncio.Event()

    def take(self, row: Row) -> None:
        """Something was seen."""
        key = key_of(row)
        known = self._rows.get(key)
        if stands(row):
            self._rows[key] = row
        elif known is None:
            return
        else:
            del self._rows[key]
        if known != row:
            self._news[key] = row
            self._bell.set()

    def whole(self) -> Message:
        """All of it; ``changed`` goes on from here."""
        self._news.clear()
        self._bell.clear()
        return self._message(self._rows.values(), whole=True)

    def all(self) -> Message:
        """All of it, for somebody else than the reader."""
        return self._message(self._rows.values(), whole=True)

    async def changed(self) -> Message:
        """What changed since; waits until something has."""
        await self._bell.wait()
        self._bell.clear()
        news, self._news = self._news, {}
        return self._message(news.values(), whole=False)

    def _message(self, rows: Iterable[Row], *, whole: bool) -> Message:
        found = tuple(rows)
        return Message(
            replica=self._replica,
            whole=whole,
            items=tuple(row for row in found if isinstance(row, ItemObservation)),
            instances=tuple(row for row in found if isinstance(row, InstanceObservation)),
        )


class Ledger:
    """The rows of all replicas, merged."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[Key, Row]] = {}

    def put(self, replica: str, rows: Iterable[Row]) -> list[Row]:
        """What a replica saw changes this, for the front door."""
        table = self._rows.setdefault(replica, {})
        return [self._one(table, row) for row in rows]

    def replace(self, replica: str, rows: Sequence[Row]) -> list[Row]:
        """A replica says all that it sees."""
        known, now = self._rows.get(replica, {}), {key_of(row) for row in rows}
        gone = [withdrawn(row) for key, row in known.items() if key not in now]
        news = [row for row in rows if known.get(key_of(row)) != row]
        return self.put(replica, [*gone, *news])

    def drop(self, replica: str) -> list[Row]:
        """A replica is gone for good."""
        found = self.put(replica, [withdrawn(row) for row in self._rows.get(replica, {}).values()])
        self._rows.pop(replica, None)
        return found

    def _one(self, table: dict[Key, Row], row: Row) -> Row:
        key = key_of(row)
        if stands(row):
            table[key] = row
            return row
        table.pop(key, None)
        if isinstance(row, InstanceObservation):
            return row
        return next((other[key] for other in self._rows.values() if key in other), row)


class Relay:
    """The leader's side. What this replica sees itself goes through ``own``, so that all is merged in one place."""

    def __init__(self, replica: str, receive: Callable[[Row], None], grace: float) -> None:
        self.present = Present(replica)
        self._replica, self._receive, self._grace = replica, receive, grace
        self._ledger = Ledger()
        self._leads = False
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._lives: dict[str, str] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}

    @property
    def followers(self) -> frozenset[str]:
        """The replicas that are connected now."""
        return frozenset(self._sockets)

    def own(self, row: Row) -> None:
        """Something was seen here, be this the leader or not."""
        self.present.take(row)
        self._hand_over(self._ledger.put(self._replica, (row,)))

    def lead(self) -> None:
        """Followers are welcome from now on."""
        self._leads = True

    async def resign(self) -> None:
        """They are sent away, and all that they said is taken back."""
        self._leads = False
        await self.hang_up()
        for replica in list(self._sockets):
            self._drop(replica)
        self._sockets.clear()
        for replica, timer in list(self._leaving.items()):
            timer.cancel()
            self._drop(replica)

    async def hang_up(self) -> None:
        """End all sockets. Followers come back, within the grace time nothing is taken back."""
        await asyncio.gather(*(one.close(code=aiohttp.WSCloseCode.TRY_AGAIN_LATER) for one in self._sockets.values()))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One follower's socket, until it ends."""
        certificate = request.get_extra_info("peercert") or {}
        if not is_replica(certificate.get("subjectAltName", ())):
            return web.Response(status=403, text="only replicas of the control plane are heard here\n")
        if not self._leads:
            return web.Response(status=503, text="this replica does not lead\n")
        socket = web.WebSocketResponse(timeout=GOODBYE, heartbeat=HEARTBEAT, max_msg_size=LARGEST)
        await socket.prepare(request)
        replica, life = "", request.headers.get(LIFE, "")
        try:
            async for message in socket:
                said = _message(message)
                if said is None or not self._leads:
                    break
                if self._is_twin(said.replica, life):
                    log.error("two replicas are called %s: give each an identity of its own", said.replica)
                    break
                replica, self._lives[said.replica] = said.replica, life
                await self._hear(said, socket)
        finally:
            if self._sockets.get(replica) is socket:
                del self._sockets[replica]
                self._await_return(replica)
        return socket

    def told(self, said: Message) -> None:
        """A follower that we do not hear says by another road all that it sees; it counts for the grace time."""
        if self._leads and said.replica != self._replica and said.replica not in self._sockets:
            if said.replica not in self._leaving:
                log.info("the replica %s is heard by way of the API server", said.replica)
            self._stay(said.replica)
            self._hand_over(self._ledger.replace(said.replica, said.rows))
            self._await_return(said.replica)

    def _is_twin(self, replica: str, life: str) -> bool:
        """Whether another one of this name is here already; what both say would change all the time."""
        return replica == self._replica or (replica in self._sockets and self._lives[replica] != life)

    async def _hear(self, said: Message, socket: web.WebSocketResponse) -> None:
        """The newest socket of a replica counts."""
        before = self._sockets.get(said.replica)
        self._sockets[said.replica] = socket
        self._stay(said.replica)
        put = self._ledger.replace if said.whole else self._ledger.put
        self._hand_over(put(said.replica, said.rows))
        if before is not None and before is not socket:
            await before.close()

    def _stay(self, replica: str) -> None:
        timer = self._leaving.pop(replica, None)
        if timer is not None:
            timer.cancel()

    def _await_return(self, replica: str) -> None:
        grace = self._grace if self._leads else 0.0
        self._leaving[replica] = asyncio.get_running_loop().call_later(grace, self._drop, replica)

    def _drop(self, replica: str) -> None:
        self._leaving.pop(replica, None)
        log.info("what the replica %s saw no longer counts", replica)
        self._hand_over(self._ledger.drop(replica))

    def _hand_over(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self._receive(row)


class Follower:
    """A follower's side: tells the leader what this replica sees."""

    def __init__(self, present: Present, tls: TlsSource) -> None:
        self._present, self._tls = present, tls
        self._life = uuid.uuid4().hex
        self._unheard_since: float | None = None

    def unheard(self) -> float:
        """For how many seconds the leader elsewhere has not heard us; 0 where it does, and where we follow nobody."""
        return 0.0 if self._unheard_since is None else time.monotonic() - self._unheard_since

    async def follow(self, address: str) -> None:
        """Until cancelled: connected to the leader at this address (``host:port``), and again after every failure. Without an address nobody hears us."""
        self._unheard_since = time.monotonic()
        try:
            await (self._follow(address) if address else asyncio.Event().wait())
        finally:
            self._unheard_since = None

    async def _follow(self, address: str) -> None:
        clock, pause = asyncio.get_running_loop().time, FIRST_PAUSE
        while True:
            began = clock()
            with contextlib.suppress(TimeoutError):
                try:
                    await self._tell(f"https://{address}{PATH}")
                except (aiohttp.ClientError, OSError) as error:
                    log.info("the leader at %s does not hear us: %s", address, error)
            pause = FIRST_PAUSE if clock() - began > LASTING else pause
            await asyncio.sleep(spread(pause))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _tell(self, url: str) -> None:
        timeout = aiohttp.ClientTimeout(total=None, connect=HEARTBEAT, sock_connect=HEARTBEAT)
        context = client_context(self._tls.current())
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(
                url, ssl=context, server_hostname=SERVER_NAME, heartbeat=HEARTBEAT, headers={LIFE: self._life}
            ) as socket,
        ):
            await socket.send_bytes(msgspec.json.encode(self._present.whole()))
            self._unheard_since = None
            listening = asyncio.create_task(_until_closed(socket), name="the leader hears")
            telling = asyncio.create_task(self._go_on(socket), name="the leader is told")
            try:
                done, _ = await asyncio.wait((listening, telling), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self._unheard_since = time.monotonic()
                for task in (listening, telling):
                    task.cancel()
                await asyncio.gather(listening, telling, return_exceptions=True)

    async def _go_on(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await socket.send_bytes(msgspec.json.encode(await self._present.changed()))


async def _until_closed(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


def _message(message: aiohttp.WSMessage) -> Message | None:
    if message.type is not aiohttp.WSMsgType.BINARY:
        return None
    try:
        return msgspec.json.decode(message.data, type=Message)
    except msgspec.DecodeError as error:
        log.warning("a replica said what nobody understands: %s", error)
        return None
