"""HTTP/1.1 as a test wants it: bytes go out as given, answers are read strictly.

In: a target and requests, one after another. Out: `Response`. Errors: `AnswerLost` when the connection ends in between,
`ValueError` when what comes is no HTTP, `TimeoutError` when it does not come in time.
"""

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from weirkeeper.testing.client.response import AnswerLost, Response
from weirkeeper.testing.client.target import Target, closed, peer_of
from weirkeeper.testing.echo.http1 import read_body

Headers = Iterable[tuple[str, str]]
LIMIT = 10.0
FRAMING = frozenset({"content-length", "transfer-encoding"})


def encode_request(
    path: str | bytes, *, method: str = "GET", host: str | None = None, headers: Headers = (), body: bytes = b""
) -> bytes:
    """The request's bytes: Host first, headers as given, Content-Length only where a body asks for it."""
    target = path.encode("latin-1") if isinstance(path, str) else path
    lines = list(headers) if host is None else [("Host", host), *headers]
    if body and not any(name.lower() in FRAMING for name, _ in lines):
        lines.append(("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines).encode("latin-1")
    return method.encode("latin-1") + b" " + target + b" HTTP/1.1\r\n" + head + b"\r\n" + body


class Http1Connection:
    """One connection, used for request after request."""

    def __init__(self, target: Target, *, limit: float = LIMIT) -> None:
        self.target, self.limit = target, limit
        self.peer: bytes | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> Self:
        """Connects."""
        async with asyncio.timeout(self.limit):
            self._reader, self._writer = await self.target.connect()
        self.peer = peer_of(self._writer)
        return self

    async def close(self) -> None:
        """Closes, if open."""
        if self._writer is not None:
            await closed(self._writer)
        self._reader = self._writer = None

    @property
    def opened(self) -> bool:
        """Whether it has been opened and not closed by us."""
        return self._reader is not None

    @property
    def usable(self) -> bool:
        """Whether the connection is open as far as is known: False once the server's end of it has been seen."""
        return self._reader is not None and not self._reader.at_eof() and self._reader.exception() is None

    @property
    def streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The raw streams, for protocols that begin with an upgrade and for broken requests."""
        if self._reader is None or self._writer is None:
            raise RuntimeError("the connection is not open")
        return self._reader, self._writer

    async def request(
        self,
        path: str | bytes = "/",
        *,
        method: str = "GET",
        host: str | None = None,
        headers: Headers = (),
        body: bytes = b"",
    ) -> Response:
        """The answer to one request; without `host` no Host header is sent, so `headers` may hold any or none."""
        encoded = encode_request(path, method=method, host=host, headers=headers, body=body)
        return await self.exchange(encoded, head_only=method == "HEAD")

    async def exchange(self, encoded: bytes, *, head_only: bool = False) -> Response:
        """The answer to these very bytes."""
        reader, writer = self.streams
        async with asyncio.timeout(self.limit):
            try:
                writer.write(encoded)
                return await read_response(reader, head_only=head_only, peer=self.peer)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise AnswerLost(str(error)) from error

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def read_response(
    reader: asyncio.StreamReader, *, head_only: bool = False, peer: bytes | None = None
) -> Response:
    """The next final answer (or 101); 100 and its like are passed over."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        status, headers = parse_response_head(head)
        if status >= 200 or status == 101:
            break
    bodiless = head_only or status in (101, 204, 304)
    body = b"" if bodiless else await _body(reader, headers)
    return Response(status=status, headers=headers, body=body, peer=peer)


def parse_response_head(head: bytes) -> tuple[int, tuple[tuple[str, str], ...]]:
    """Status and headers; what is no HTTP/1.x status line is a `ValueError`."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise ValueError(f"no status line: {first[:100]!r}")
    return int(rest[:3]), tuple(
        (name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)
    )


async def _body(reader: asyncio.StreamReader, headers: tuple[tuple[str, str], ...]) -> bytes:
    named = {name.lower(): value for name, value in headers}
    if not FRAMING & named.keys():
        return await reader.read()  # such a body ends with the connection
    return await read_body(reader, named.get)
