"""A WebSocket client: the upgrade on HTTP/1.1, then messages. Frames are `weirkeeper.testing.websocket`'s business."""

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator

from weirkeeper.testing import websocket
from weirkeeper.testing.client.http1 import LIMIT, Headers, Http1Connection
from weirkeeper.testing.client.response import AnswerLost, Response
from weirkeeper.testing.client.target import Target
from weirkeeper.testing.websocket import Frame


class UpgradeRefused(ConnectionError):
    """The server did not switch protocols; `response` is what it said instead."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"the upgrade was answered {response.status}: {response.body[:200]!r}")
        self.response = response


class WebSocket:
    """An open WebSocket."""

    def __init__(self, connection: Http1Connection, upgrade: Response) -> None:
        self.connection, self.upgrade = connection, upgrade
        self._buffer = b""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, target: Target, path: str = "/", *, host: str, headers: Headers = (), limit: float = LIMIT
    ) -> AsyncIterator["WebSocket"]:
        """An upgraded connection while the block runs; anything but a right 101 is `UpgradeRefused`."""
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        asked = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
        async with Http1Connection(target, limit=limit) as connection:
            sent = [*asked, ("Sec-WebSocket-Key", key), *headers]
            response = await connection.request(path, host=host, headers=sent)
            right = response.header("sec-websocket-accept") == websocket.accept_key(key)
            if response.status != 101 or not right:
                raise UpgradeRefused(response)
            yield cls(connection, response)

    async def send(self, frame: Frame) -> None:
        """Sends one frame, masked as a client must."""
        _, writer = self.connection.streams
        writer.write(websocket.encode(frame, os.urandom(4)))
        await writer.drain()

    async def receive(self) -> Frame:
        """The next frame."""
        reader, _ = self.connection.streams
        async with asyncio.timeout(self.connection.limit):
            while (found := websocket.decode(self._buffer)) is None:
                chunk = await reader.read(65536)
                if not chunk:
                    raise AnswerLost("the WebSocket ended")
                self._buffer += chunk
        frame, used = found
        self._buffer = self._buffer[used:]
        return frame

    async def exchange(self, text: str) -> str:
        """Sends a text and returns the text that comes back."""
        await self.send(Frame(opcode=websocket.TEXT, payload=text.encode()))
        return (await self.receive()).payload.decode()
