"""HTTP/1.1 of the echo backend: reads requests leniently (an echo must see what a stricter parser would refuse)."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from weirkeeper.testing import websocket
from weirkeeper.testing.echo.answer import Answer, Request, Tls

Seen = Callable[[Request], Awaitable[Answer]]
BODILESS = frozenset({204, 304})


async def serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, start: bytes, tls: Tls | None, seen: Seen
) -> None:
    """Answers the requests of one connection until it ends; `start` are the bytes read while guessing the protocol."""
    while True:
        head = await _head(reader, start)
        start = b""
        if head is None:
            return
        request = parse_head(head, tls)
        if (request.header("upgrade") or "").lower() == "websocket":
            await seen(request)
            await _websocket(reader, writer, request)
            return
        if (request.header("expect") or "").lower() == "100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = msgspec.structs.replace(request, body=await read_body(reader, request.header))
        answer = await seen(request)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.abort is not None:
            await _abort(writer, answer)
            return
        if request.path.partition("?")[0] == "/sse" and answer.status == 200:
            await _events(writer, answer)
        else:
            writer.write(encode(answer, head_only=request.method == "HEAD"))
        await writer.drain()
        if (request.header("connection") or "").lower() == "close" or request.protocol == "HTTP/1.0":
            return


def parse_head(head: bytes, tls: Tls | None) -> Request:
    """The request line and headers, raw and in order."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    path, _, protocol = rest.rpartition(" ")
    headers = tuple((name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines))
    host = next((value for name, value in headers if name.lower() == "host"), "")
    return Request(method=method, path=path, host=host, headers=headers, protocol=protocol, tls=tls)


def encode(answer: Answer, *, head_only: bool = False) -> bytes:
    """The whole answer as bytes."""
    bodiless = answer.status in BODILESS
    size = () if bodiless else (("content-length", str(len(answer.body))),)
    return _encode_head(answer, size) + (b"" if head_only or bodiless else answer.body)


async def read_body(reader: asyncio.StreamReader, header: Callable[[str], str | None]) -> bytes:
    """The body that the headers announce, chunks put together."""
    if "chunked" in (header("transfer-encoding") or "").lower():
        body = bytearray()
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":  # trailers
            pass
        return bytes(body)
    return await reader.readexactly(int(header("content-length") or "0"))


def _encode_head(answer: Answer, more: tuple[tuple[str, str], ...]) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} Echo", *(f"{name}: {value}" for name, value in (*answer.headers, *more))]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def _head(reader: asyncio.StreamReader, start: bytes) -> bytes | None:
    try:
        return start + await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def _abort(writer: asyncio.StreamWriter, answer: Answer) -> None:
    if answer.abort == "middle":
        writer.write(encode(answer)[: -max(1, len(answer.body) // 2)])
        await writer.drain()
    writer.transport.abort()


async def _events(writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Three events, each flushed by itself, then the end."""
    streamed = tuple((name, value) for name, value in answer.headers if name != "content-type")
    more = (("content-type", "text/event-stream"), ("transfer-encoding", "chunked"))
    writer.write(_encode_head(Answer(status=200, headers=streamed), more))
    for number in range(3):
        event = b"data: %d\n\n" % number
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
    writer.write(b"0\r\n\r\n")


async def _websocket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request) -> None:
    accept = websocket.accept_key(request.header("sec-websocket-key") or "")
    head = f"HTTP/1.1 101 Echo\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    writer.write(head.encode("ascii"))
    buffer = b""
    while chunk := await reader.read(65536):
        buffer += chunk
        while (found := websocket.decode(buffer)) is not None:
            frame, used = found
            buffer = buffer[used:]
            if frame.opcode == websocket.PING:
                frame = msgspec.structs.replace(frame, opcode=websocket.PONG)
            writer.write(websocket.encode(frame))
            if frame.opcode == websocket.CLOSE:
                return
        await writer.drain()
