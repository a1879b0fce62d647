"""The echo backend's server: listens, tells HTTP/2 from HTTP/1.1 by the first bytes, counts what it answered."""

import asyncio
import hashlib
import ssl
from types import TracebackType
from typing import Self

import msgspec

from weirkeeper.listening import accept_no_more
from weirkeeper.testing.echo import http1
from weirkeeper.testing.echo.answer import Answer, Request, Tls, answer_to
from weirkeeper.testing.echo.http2 import Http2Connection

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LIMIT = 1024 * 1024
KEPT = 10_000


class EchoServer:
    """Serves from `start` (or `async with`) until `stop`; `requests` holds the last ones, `count` the number of all."""

    def __init__(
        self,
        *,
        name: str = "echo",
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        keep: int = KEPT,
    ) -> None:
        self.name, self.host, self.port, self.count = name, host, port, 0
        self.requests: list[Request] = []
        self._keep, self._tls = keep, tls
        self._sni: dict[int, str] = {}
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self) -> Self:
        """Listens; with port 0 the kernel chooses and `port` then tells."""
        if self._tls is not None:
            self._tls.set_alpn_protocols(["h2", "http/1.1"])
            self._tls.sni_callback = self._note_sni
        self._server = await asyncio.start_server(
            self._connected, self.host, self.port, ssl=self._tls, limit=LIMIT, backlog=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Stops listening and cuts every connection."""
        if self._server is None:
            return
        await accept_no_more(self._server.sockets)
        self._server.close()
        self.cut()
        await self._server.wait_closed()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._server = None

    def cut(self) -> None:
        """Cuts every open connection at once, as a backend that dies does."""
        for writer in self._connections.values():
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # the client left, or sent what is no HTTP: an echo has nobody to tell
        except asyncio.CancelledError:
            pass  # `stop` ends us; asyncio's own callback would report a cancelled task as a fault
        finally:
            del self._connections[task]
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = self._handshake(writer)
        start = await _first_bytes(reader)
        if start == PREFACE:
            await Http2Connection(reader, writer, tls, self._seen, self.name).serve(start)
        elif start:
            await http1.serve(reader, writer, start, tls, self._seen)

    async def _seen(self, request: Request) -> Answer:
        if request.path == "/__count" and request.header("x-echo-control") is not None:
            return Answer(body=msgspec.json.encode({"name": self.name, "count": self.count}))
        self.count += 1
        if self._keep:
            self.requests.append(request)
            del self.requests[: -self._keep]
        return answer_to(request, self.name)

    def _note_sni(self, connection: ssl.SSLObject, sni: str, _context: ssl.SSLContext) -> None:
        self._sni[id(connection)] = sni

    def _handshake(self, writer: asyncio.StreamWriter) -> Tls | None:
        connection = writer.get_extra_info("ssl_object")
        if connection is None:
            return None
        der = connection.getpeercert(binary_form=True)
        return Tls(
            sni=self._sni.pop(id(connection), None),
            version=connection.version(),
            alpn=connection.selected_alpn_protocol(),
            peer=hashlib.sha256(der).hexdigest() if der else None,
        )


async def _first_bytes(reader: asyncio.StreamReader) -> bytes:
    """As many bytes as it takes to tell the protocols apart: the whole preface, or the first bytes that differ from it."""
    start = b""
    while len(start) < len(PREFACE) and PREFACE.startswith(start):
        byte = await reader.read(1)
        if not byte:
            return b""
        start += byte
    return start
