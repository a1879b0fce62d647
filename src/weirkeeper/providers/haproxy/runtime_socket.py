"""One connection to a runtime socket. In: steps. Out: HAProxy's answers, or that it is gone. The language is ``runtime_api``'s."""

import asyncio
from pathlib import Path

from weirkeeper.providers.haproxy.plan import Step
from weirkeeper.providers.haproxy.runtime_api import BEGIN, Answers, sent
from weirkeeper.providers.local import connected, own_time

PATIENCE = 5.0


class Away(ConnectionError):
    """HAProxy does not answer on its runtime socket."""


class RuntimeSocket:
    """A connection that is opened when it is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._answers = Answers()

    async def ask(self, step: Step, patience: float = PATIENCE) -> str:
        """The answer to one step."""
        try:
            async with own_time(patience):
                reader, writer = await self._open()
                writer.write(sent(step))
                return await self._next(reader)
        except (OSError, TimeoutError) as error:
            self.close()
            raise Away(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Hang up; the next step dials anew."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams, self._answers = None, Answers()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await connected(self._path)
            self._streams[1].write(BEGIN)
            await self._next(self._streams[0])
        return self._streams

    async def _next(self, reader: asyncio.StreamReader) -> str:
        while True:
            arrived = await reader.read(1 << 16)
            if not arrived:
                raise ConnectionResetError("HAProxy hung up")
            if found := self._answers.receive(arrived):
                return found[0]
