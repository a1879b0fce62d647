"""gRPC calls with bytes as messages: one message there and back, or a call that both sides talk on. On `Http2Connection`."""

import asyncio

import h2.events
import msgspec

from weirkeeper.testing.client.http1 import Headers
from weirkeeper.testing.client.http2 import Http2Connection, Pairs, pairs


class GrpcReply(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended; `status` is None when the answer was no gRPC."""

    http_status: int
    status: int | None
    message: str
    messages: tuple[bytes, ...]
    headers: Pairs
    trailers: Pairs


class GrpcCall:
    """A call in progress: send and receive in any order, then `finish`."""

    def __init__(
        self, connection: Http2Connection, path: str, *, host: str | None = None, metadata: Headers = ()
    ) -> None:
        headers = [("content-type", "application/grpc"), ("te", "trailers"), *metadata]
        self._stream = connection.begin(path, method="POST", host=host, headers=headers)
        self._limit = connection.limit
        self._buffer = bytearray()
        self._head: Pairs = ()
        self._trailers: Pairs = ()
        self._ended = False
        self._messages: list[bytes] = []

    async def send(self, message: bytes, *, last: bool = False) -> None:
        """Sends one message."""
        await self._stream.send(b"\x00" + len(message).to_bytes(4, "big") + message, end=last)

    async def end(self) -> None:
        """Says that no more messages will be sent."""
        await self._stream.send(b"", end=True)

    async def receive(self) -> bytes | None:
        """The next message; None once the server has ended the call."""
        async with asyncio.timeout(self._limit):
            while (message := self._whole()) is None and not self._ended:
                self._take(await self._stream.next())
        if message is not None:
            self._messages.append(message)
        return message

    async def finish(self) -> GrpcReply:
        """How it ended, with every message that came."""
        while await self.receive() is not None:
            pass
        told = dict(self._head) | dict(self._trailers)
        return GrpcReply(
            http_status=int(told.get(":status", "0")),
            status=int(told["grpc-status"]) if "grpc-status" in told else None,
            message=told.get("grpc-message", ""),
            messages=tuple(self._messages),
            headers=self._head,
            trailers=self._trailers,
        )

    def cancel(self) -> None:
        """Resets the stream, as a client does that leaves."""
        self._stream.connection.forget(self._stream.number)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                self._head = pairs(event)
            case h2.events.TrailersReceived():
                self._trailers = pairs(event)
            case h2.events.DataReceived():
                self._buffer += event.data or b""
            case h2.events.StreamEnded():
                self._ended = True
            case _:
                pass

    def _whole(self) -> bytes | None:
        end = 5 + int.from_bytes(self._buffer[1:5], "big")
        if len(self._buffer) < 5 or len(self._buffer) < end:
            return None
        message = bytes(self._buffer[5:end])
        del self._buffer[:end]
        return message


async def grpc_unary(
    connection: Http2Connection, path: str, message: bytes, *, host: str | None = None, metadata: Headers = ()
) -> GrpcReply:
    """How a call of one message ended."""
    call = GrpcCall(connection, path, host=host, metadata=metadata)
    await call.send(message, last=True)
    return await call.finish()
