"""Envoy's admin interface over a Unix socket or TCP, for tests: ask, and get the parsed answer.

In: where the admin listens. Out: text, numbers, JSON as Envoy prints it. Waiting for a state belongs to the caller
(`eventually`).
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

LIMIT = 20.0


class AdminAway(ConnectionError):
    """Nobody answered, or not as Envoy's admin does; the message says what came instead."""


class Admin(msgspec.Struct, frozen=True, kw_only=True):
    """One Envoy's admin: a socket path, or a port on a host."""

    socket: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    limit: float = LIMIT

    async def ask(self, path: str, *, method: str = "GET") -> str:
        """The body of an answer 200; anything else is `AdminAway`."""
        status, body = await self.answer(path, method=method)
        if status != 200:
            raise AdminAway(f"{method} {path} was answered {status}: {body[:200]!r}")
        return body

    async def answer(self, path: str, *, method: str = "GET") -> tuple[int, str]:
        """Status and body, whatever the status is."""
        try:
            async with asyncio.timeout(self.limit):
                return await self._exchange(path, method)
        except TimeoutError:
            raise AdminAway(f"{method} {path} was not answered within {self.limit:g} s") from None
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise AdminAway(f"{method} {path}: {error}") from error

    async def config_dump(self, *, resource: str = "", mask: str = "") -> dict[str, Any]:
        """The configuration that Envoy holds, endpoints included; `resource` such as `dynamic_active_clusters`."""
        query = "&".join(f"{key}={value}" for key, value in (("resource", resource), ("mask", mask)) if value)
        return await self._json(f"/config_dump?{query}" if query else "/config_dump?include_eds")

    async def stats(self, prefix: str = "") -> dict[str, int]:
        """Counters and gauges by name, those that begin with `prefix`; histograms and texts are left out."""
        lines = (line.partition(": ") for line in (await self.ask("/stats")).splitlines())
        return {name: int(value) for name, _, value in lines if name.startswith(prefix) and value.isdecimal()}

    async def clusters(self) -> dict[str, Any]:
        """Clusters with the state and statistics of each of their endpoints."""
        return await self._json("/clusters?format=json")

    async def server_info(self) -> dict[str, Any]:
        """Version, state, command line."""
        return await self._json("/server_info")

    async def ready(self) -> bool:
        """Whether Envoy is live; False also while nobody listens."""
        try:
            status, _ = await self.answer("/ready")
        except AdminAway:
            return False
        return status == 200

    async def _json(self, path: str) -> dict[str, Any]:
        return msgspec.json.decode(await self.ask(path), type=dict[str, Any])

    async def _exchange(self, path: str, method: str) -> tuple[int, str]:
        if self.socket is not None:
            reader, writer = await asyncio.open_unix_connection(str(self.socket))
        else:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            length = "content-length: 0\r\n" if method == "POST" else ""
            writer.write(
                f"{method} {path} HTTP/1.1\r\nhost: admin\r\n{length}connection: close\r\n\r\n".encode("ascii")
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            body = await reader.read()
        finally:
            writer.close()
        status = int(head.split(" ", 2)[1])
        return status, (_unchunk(body) if "\r\ntransfer-encoding: chunked" in head else body).decode("utf-8", "replace")


def _unchunk(body: bytes) -> bytes:
    parts: list[bytes] = []
    rest = body
    while True:
        size_line, end, rest = rest.partition(b"\r\n")
        size = int(size_line, 16) if end else -1
        if size < 0 or len(rest) < size:
            raise ValueError("the answer ended within a chunk")
        if size == 0:
            return b"".join(parts)
        parts.append(rest[:size])
        rest = rest[size + 2 :]
