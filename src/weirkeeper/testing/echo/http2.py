"""HTTP/2 of the echo backend, gRPC included: a gRPC call gets every message back as it comes, then its trailers."""

import asyncio
import contextlib
from collections.abc import Coroutine

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import msgspec

from weirkeeper.testing.echo.answer import Answer, Request, Tls
from weirkeeper.testing.echo.http1 import BODILESS, Seen


class Http2Connection:
    """One connection: events of h2 in, answers out; each stream is answered by a task of its own."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: Tls | None, seen: Seen, name: str
    ) -> None:
        self._reader, self._writer, self._tls, self._seen, self._name = reader, writer, tls, seen, name
        config = h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_inbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)
        self._requests: dict[int, Request] = {}
        self._bodies: dict[int, bytearray] = {}
        self._turns: dict[
            int, asyncio.Lock
        ] = {}  # asyncio locks are fair: messages keep their order, trailers come last
        self._window = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, start: bytes) -> None:
        """Answers until the connection ends; `start` are the bytes read while guessing the protocol."""
        self._h2.initiate_connection()
        self._flush()
        chunk = start
        try:
            while chunk:
                for event in self._h2.receive_data(chunk):
                    self._on(event)
                self._flush()
                await self._writer.drain()
                chunk = await self._reader.read(65536)
        except h2.exceptions.ProtocolError:
            self._flush()
        finally:
            for task in self._tasks:
                task.cancel()

    def _on(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._begin(event.stream_id, [(str(name), str(value)) for name, value in event.headers])
            case h2.events.DataReceived():
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self._data(event.stream_id, event.data)
            case h2.events.StreamEnded():
                self._end(event.stream_id)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                self._window.set()
            case h2.events.StreamReset():
                self._forget(event.stream_id)
                self._window.set()
            case _:
                pass

    def _begin(self, stream: int, headers: list[tuple[str, str]]) -> None:
        pseudo = {name: value for name, value in headers if name.startswith(":")}
        plain = tuple((name, value) for name, value in headers if not name.startswith(":"))
        request = Request(
            method=pseudo.get(":method", ""),
            path=pseudo.get(":path", ""),
            host=pseudo.get(":authority") or next((value for name, value in plain if name == "host"), ""),
            headers=plain,
            protocol="HTTP/2",
            tls=self._tls,
        )
        self._requests[stream], self._bodies[stream] = request, bytearray()
        if _is_grpc(request) and not _wants_status(request):
            metadata = [(":status", "200"), ("content-type", "application/grpc"), ("x-echo-name", self._name)]
            with contextlib.suppress(h2.exceptions.ProtocolError):  # reset by the bytes that came with it
                self._h2.send_headers(stream, metadata)

    def _data(self, stream: int, chunk: bytes) -> None:
        request = self._requests.get(stream)
        if request is None:  # the stream was reset while this was on its way
            return
        self._bodies[stream] += chunk
        if _is_grpc(request) and not _wants_status(request):
            buffer = self._bodies[stream]
            while len(buffer) >= 5 and len(buffer) >= 5 + (size := int.from_bytes(buffer[1:5], "big")):
                self._spawn(self._message(stream, bytes(buffer[: 5 + size])))
                del buffer[: 5 + size]

    def _end(self, stream: int) -> None:
        request = self._requests.get(stream)
        if request is None:
            return
        grpc = _is_grpc(request) and not _wants_status(request)
        self._spawn(self._finish(stream, self._end_grpc(stream, request) if grpc else self._answer(stream, request)))

    async def _finish(self, stream: int, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        finally:
            self._forget(stream)

    def _forget(self, stream: int) -> None:
        for state in (self._requests, self._bodies, self._turns):
            state.pop(stream, None)

    async def _answer(self, stream: int, request: Request) -> None:
        answer = await self._seen(_with_body(request, bytes(self._bodies.get(stream, b""))))
        await asyncio.sleep(answer.delay)
        if answer.abort == "before":
            self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self._flush()
            return
        headers = [(":status", str(answer.status)), *((name.lower(), value) for name, value in answer.headers)]
        body = _body_of(request, answer)
        self._h2.send_headers(stream, headers, end_stream=not body)
        if body:
            half = body[: len(body) // 2] if answer.abort == "middle" else body
            await self._send(stream, half, last=answer.abort is None)
            if answer.abort is not None:
                self._h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        self._flush()

    async def _end_grpc(self, stream: int, request: Request) -> None:
        answer = await self._seen(request)
        await asyncio.sleep(answer.delay)
        status = request.header("x-echo-grpc-status") or "0"
        async with self._turn(stream):
            self._h2.send_headers(stream, [("grpc-status", status)], end_stream=True)
            self._flush()

    async def _send(self, stream: int, body: bytes, *, last: bool) -> None:
        rest = memoryview(body)
        while rest:
            room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size, len(rest))
            if room <= 0:
                self._window.clear()
                await self._window.wait()
                continue
            self._h2.send_data(stream, bytes(rest[:room]), end_stream=last and room == len(rest))
            rest = rest[room:]
            self._flush()
            await self._writer.drain()

    async def _message(self, stream: int, message: bytes) -> None:
        async with self._turn(stream):
            await self._send(stream, message, last=False)

    def _turn(self, stream: int) -> asyncio.Lock:
        return self._turns.setdefault(stream, asyncio.Lock())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (h2.exceptions.ProtocolError, ConnectionError):
            self._flush()  # the client reset the stream or left: nobody is there to be answered

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())


def _is_grpc(request: Request) -> bool:
    return (request.header("content-type") or "").startswith("application/grpc")


def _wants_status(request: Request) -> bool:
    """Whether the call asks for a plain HTTP answer, as a broken gRPC backend would give."""
    return request.header("x-echo-status") is not None


def _with_body(request: Request, body: bytes) -> Request:
    return msgspec.structs.replace(request, body=body)


def _body_of(request: Request, answer: Answer) -> bytes:
    return b"" if request.method == "HEAD" or answer.status in BODILESS else answer.body
