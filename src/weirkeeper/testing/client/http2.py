"""HTTP/2 as a test wants it: many requests at once on one connection, each with an :authority of its own.

In: a target and requests. Out: `Response`, or a stream to talk on. A task of the connection reads; each stream has a queue
of what came for it. A stream that is reset or a connection that ends raises `AnswerLost` where somebody waits.
"""

import asyncio
from types import TracebackType
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from weirkeeper.testing.client.goaway import Farewell, GoAways
from weirkeeper.testing.client.http1 import LIMIT, Headers
from weirkeeper.testing.client.response import AnswerLost, Response
from weirkeeper.testing.client.target import Target, closed, peer_of

Pairs = tuple[tuple[str, str], ...]


class Http2Connection:
    """One connection with any number of streams; without TLS it begins with prior knowledge (h2c)."""

    def __init__(self, target: Target, *, limit: float = LIMIT) -> None:
        self.target, self.limit = target, limit
        self.peer: bytes | None = None
        self.ended: str | None = None  # why no more streams can be opened
        config = h2.config.H2Configuration(
            header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self._h2 = h2.connection.H2Connection(config)
        self._streams: dict[int, Http2Stream] = {}
        self._window = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._pump: asyncio.Task[None] | None = None

    async def open(self) -> Self:
        """Connects and says hello; a server that chose another protocol by ALPN is a `ConnectionError`."""
        async with asyncio.timeout(self.limit):
            reader, self._writer = await self.target.connect()
        self.peer = peer_of(self._writer)
        connection = self._writer.get_extra_info("ssl_object")
        if connection is not None and connection.selected_alpn_protocol() != "h2":
            chosen = connection.selected_alpn_protocol()
            await self.close()
            raise ConnectionError(f"the server chose {chosen!r}, not HTTP/2")
        self._h2.initiate_connection()
        self.flush()
        self._pump = asyncio.create_task(self._read(reader), name="http2 client")
        return self

    async def close(self) -> None:
        """Closes; streams that still wait are told."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait([self._pump])
        if self._writer is not None:
            await closed(self._writer)
        self._end("closed by the client")

    @property
    def opened(self) -> bool:
        """Whether it has been opened."""
        return self._pump is not None

    @property
    def usable(self) -> bool:
        """Whether a new stream can be opened as far as is known."""
        return self._pump is not None and self.ended is None

    async def request(
        self,
        path: str = "/",
        *,
        method: str = "GET",
        host: str | None = None,
        headers: Headers = (),
        body: bytes = b"",
    ) -> Response:
        """The answer to one request; `host` becomes :authority."""
        async with asyncio.timeout(self.limit):
            stream = self.begin(path, method=method, host=host, headers=headers, end=not body)
            if body:
                await stream.send(body, end=True)
            return await stream.response()

    def begin(
        self,
        path: str,
        *,
        method: str = "GET",
        host: str | None = None,
        headers: Headers = (),
        end: bool = False,
    ) -> "Http2Stream":
        """A stream whose request headers have been sent."""
        if self.ended is not None:
            raise AnswerLost(self.ended)
        scheme = "https" if self.target.tls is not None else "http"
        pseudo = [(":method", method), (":scheme", scheme), (":path", path)]
        if host is not None:
            pseudo.insert(2, (":authority", host))
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = Http2Stream(self, number)
        try:
            self._h2.send_headers(number, [*pseudo, *headers], end_stream=end)
        except h2.exceptions.ProtocolError as error:
            del self._streams[number]
            raise AnswerLost(f"no stream could be opened: {error}") from error
        self.flush()
        return stream

    async def send(self, number: int, content: bytes, *, end: bool) -> None:
        """Sends on a stream as its window allows."""
        rest = memoryview(content)
        while True:
            if number not in self._streams:
                raise AnswerLost(self.ended or "the stream has ended")
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size, len(rest))
            if room > 0 or not rest:
                last = room == len(rest)
                self._h2.send_data(number, bytes(rest[:room]), end_stream=end and last)
                self.flush()
                if last:
                    return
                rest = rest[room:]
            else:
                self._window.clear()
                await self._window.wait()

    def forget(self, number: int) -> None:
        """Drops a stream; one that is still open is reset."""
        if self._streams.pop(number, None) is None:
            return
        try:
            self._h2.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
        except h2.exceptions.ProtocolError:
            return  # it has ended already
        self.flush()

    def flush(self) -> None:
        """Hands what h2 wants sent to the socket."""
        if self._writer is not None:
            self._writer.write(self._h2.data_to_send())

    async def _read(self, reader: asyncio.StreamReader) -> None:
        sift = GoAways()
        try:
            while chunk := await reader.read(65536):
                frames, farewells = sift.sift(chunk)
                for event in self._h2.receive_data(frames):
                    self._on(event)
                for farewell in farewells:
                    self._leave(farewell)
                self.flush()
            self._end("the server closed the connection")
        except (OSError, h2.exceptions.ProtocolError) as error:
            self._end(f"the connection broke: {error!r}")

    def _on(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self._window.set()
        stream = self._streams.get(getattr(event, "stream_id", None) or 0)
        if stream is not None:
            stream.events.put_nowait(event)
        if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
            self._streams.pop(event.stream_id or 0, None)
            self._window.set()

    def _leave(self, farewell: Farewell) -> None:
        """No new streams from now on; those that the server still answers go on."""
        self.ended = f"the server sent GOAWAY with code {farewell.code}"
        for number in [number for number in self._streams if number > farewell.last]:
            self._streams.pop(number).events.put_nowait(None)
        self._window.set()

    def _end(self, why: str) -> None:
        self.ended = self.ended or why
        while self._streams:
            self._streams.popitem()[1].events.put_nowait(None)
        self._window.set()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Http2Stream:
    """One request and its answer, piece by piece."""

    def __init__(self, connection: Http2Connection, number: int) -> None:
        self.connection, self.number = connection, number
        self.events: asyncio.Queue[h2.events.Event | None] = asyncio.Queue()

    async def send(self, content: bytes, *, end: bool = False) -> None:
        """Sends a part of the body."""
        await self.connection.send(self.number, content, end=end)

    async def next(self) -> h2.events.Event:
        """The next event of this stream; a reset or a lost connection raises."""
        event = await self.events.get()
        if event is None:
            raise AnswerLost(self.connection.ended or "the stream has ended")
        if isinstance(event, h2.events.StreamReset):
            raise AnswerLost(f"the server reset the stream: {event.error_code!r}")
        return event

    async def response(self) -> Response:
        """The whole answer."""
        head: Pairs = ()
        trailers: Pairs = ()
        body = bytearray()
        try:
            while not isinstance(event := await self.next(), h2.events.StreamEnded):
                if isinstance(event, h2.events.ResponseReceived):
                    head = pairs(event)
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                elif isinstance(event, h2.events.TrailersReceived):
                    trailers = pairs(event)
        finally:
            self.connection.forget(self.number)
        return response_of(head, bytes(body), trailers, self.connection.peer)


def pairs(event: h2.events.ResponseReceived | h2.events.TrailersReceived) -> Pairs:
    """The headers of an event as text."""
    return tuple((str(name), str(value)) for name, value in event.headers or ())


def response_of(head: Pairs, body: bytes, trailers: Pairs, peer: bytes | None) -> Response:
    """The answer without its pseudo-headers."""
    status = next((int(value) for name, value in head if name == ":status"), 0)
    headers = tuple((name, value) for name, value in head if not name.startswith(":"))
    return Response(status=status, headers=headers, body=body, trailers=trailers, protocol="HTTP/2", peer=peer)
