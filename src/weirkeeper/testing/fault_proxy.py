"""A TCP proxy that misbehaves on demand: before an API server (real or fake), before delta ADS, before anything with TCP.

In: connections, and a `Weather` that can be changed while they run. Out: the same bytes later, slower, in pieces, or not
at all. It knows nothing of what it carries.

    async with FaultProxy("127.0.0.1", api.port) as proxy:
        proxy.weather = Weather(stalled=True)      # a black hole: bytes are read and kept, nothing arrives
        proxy.weather = CLEAR                      # what was kept back flows on
        proxy.reset()                              # every connection ends with a RST
"""

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Self

from weirkeeper.listening import accept_no_more
from weirkeeper.model.value import Value

PIECE = 1 << 16
LINGER_ZERO = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN (socket(7), SO_LINGER)


class Weather(Value, frozen=True, kw_only=True):
    """How bytes fare now. Times are in seconds.

    ``delay``: added to every piece, each way. ``stalled``: nothing goes on, connections stay open, new ones are accepted.
    ``trickle``: pieces of that many bytes, ``pause`` apart; 0 is off. ``refuse``: new connections are reset at once (with
    nobody listening when `FaultProxy.close_door` was called). ``upward`` and ``downward``: whether requests, answers fare so.
    """

    delay: float = 0.0
    stalled: bool = False
    trickle: int = 0
    pause: float = 0.01
    refuse: bool = False
    upward: bool = True
    downward: bool = True

    @property
    def slow(self) -> bool:
        """Whether anything but plain passing on is asked for."""
        return bool(self.delay or self.stalled or self.trickle)


CLEAR = Weather()


class FaultProxy:
    """A running proxy; an async context manager. ``port`` is where it listens; it stays the same when the door re-opens."""

    def __init__(self, target_host: str, target_port: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.target = (target_host, target_port)
        self.host, self.port = host, port
        self.accepted = 0
        self._weather = CLEAR
        self._changed = asyncio.Event()
        self._pairs: dict[asyncio.Task[None], Pair] = {}
        self._server: asyncio.Server | None = None

    @property
    def weather(self) -> Weather:
        """How bytes fare now; may be set at any time."""
        return self._weather

    @weather.setter
    def weather(self, weather: Weather) -> None:
        self._weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pairs)

    async def __aenter__(self) -> Self:
        await self.open_door()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        await self.close_door()
        self.reset()
        running = list(self._pairs)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def open_door(self) -> None:
        """Listen (again)."""
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, self.host, self.port, backlog=1024)
            self.port = self._server.sockets[0].getsockname()[1]

    async def close_door(self) -> None:
        """Stop listening: who connects is refused by the kernel. Open connections stay."""
        if self._server is not None:
            await accept_no_more(self._server.sockets)
            self._server.close()
            self._server = None

    def cut(self) -> int:
        """End every connection in order (FIN both ways), whatever is under way; how many."""
        return sum(pair.close() for pair in list(self._pairs.values()))

    def reset(self) -> int:
        """End every connection with a RST both ways; how many."""
        return sum(pair.reset() for pair in list(self._pairs.values()))

    def half_close(self) -> int:
        """Tell every client that no more will come (FIN to it), and go on reading from it; how many."""
        return sum(pair.half_close() for pair in list(self._pairs.values()))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        if self._weather.refuse:
            _reset(writer)
            return
        try:
            far = await asyncio.open_connection(*self.target)
        except OSError:
            _reset(writer)
            return
        pair = self._pairs[task] = Pair(self, (reader, writer), far)
        try:
            # asyncio's callback for such tasks complains about one that was cancelled (Python 3.11)
            with contextlib.suppress(asyncio.CancelledError):
                await pair.run()
        finally:
            del self._pairs[task]

    async def passed(
        self, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upward: bool
    ) -> None:
        """Writes bytes as the weather has it. What was kept back for somebody who has reset the connection since goes nowhere, as on a wire."""
        while (weather := self._weather).stalled and _holds(weather, upward):
            await self._changed.wait()
            if reader.exception() is not None:
                return
        if not (weather.slow and _holds(weather, upward)):
            writer.write(data)
            await writer.drain()
            return
        if weather.delay:
            await asyncio.sleep(weather.delay)
        step = weather.trickle or len(data)
        for at in range(0, len(data), step):
            writer.write(data[at : at + step])
            await writer.drain()
            if weather.trickle:
                await asyncio.sleep(weather.pause)


class Pair:
    """One connection and its continuation to the target."""

    def __init__(self, proxy: FaultProxy, near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
                 far: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:  # fmt: skip
        self._proxy, self._near, self._far = proxy, near, far

    async def run(self) -> None:
        """Passes bytes both ways until both ways have ended, or one broke."""
        ways = (
            asyncio.ensure_future(self._way(self._near[0], self._far[1], upward=True)),
            asyncio.ensure_future(self._way(self._far[0], self._near[1], upward=False)),
        )
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self.close()

    async def _way(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, upward: bool) -> None:
        while data := await reader.read(PIECE):
            await self._proxy.passed(data, reader, writer, upward=upward)
        if writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()

    def close(self) -> bool:
        """End both sides in order."""
        self._near[1].close()
        self._far[1].close()
        return True

    def reset(self) -> bool:
        """End both sides with a RST."""
        _reset(self._near[1])
        _reset(self._far[1])
        return True

    def half_close(self) -> bool:
        """FIN to the client alone."""
        if not self._near[1].can_write_eof():
            return False
        self._near[1].write_eof()
        return True


def _holds(weather: Weather, upward: bool) -> bool:
    return weather.upward if upward else weather.downward


def _reset(writer: asyncio.StreamWriter) -> None:
    found = writer.get_extra_info("socket")
    if found is not None and found.fileno() >= 0:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    writer.transport.abort()
