"""The fault proxy does to real connections what it says."""

import asyncio

import pytest

from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.fault_proxy import CLEAR, FaultProxy, Weather


def run(scenario, deadline=60):
    return asyncio.run(asyncio.wait_for(scenario(), deadline))


class Echo:
    """Sends back what it gets."""

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.ended = 0
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        self.ended += 1
        writer.close()


def with_proxy(scenario):
    async def whole():
        async with Echo() as echo, FaultProxy("127.0.0.1", echo.port) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            try:
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                await scenario(proxy, echo, reader, writer)
            finally:
                writer.transport.abort()

    return run(whole)


async def nothing_comes(reader, seconds=0.2):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), seconds)


async def one_byte_of_a_new_connection(port):
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    return await reader.read(1)


def test_a_stall_keeps_bytes_back_and_then_lets_them_go():
    async def scenario(proxy, echo, reader, writer):
        proxy.weather = Weather(stalled=True)
        writer.write(b"later")
        await nothing_comes(reader)
        proxy.weather = CLEAR
        assert await reader.readexactly(5) == b"later"

    with_proxy(scenario)


def test_a_stall_of_answers_lets_requests_through():
    async def scenario(proxy, echo, reader, writer):
        proxy.weather = Weather(stalled=True, upward=False)
        writer.write(b"x")
        writer.write_eof()
        assert await eventually(lambda: asyncio.sleep(0, echo.ended == 1), 60)
        proxy.weather = CLEAR
        assert await reader.read(9) == b"x"

    with_proxy(scenario)


def test_delay_and_trickle():
    async def scenario(proxy, echo, reader, writer):
        loop = asyncio.get_running_loop()
        proxy.weather = Weather(delay=0.15)
        begun = loop.time()
        writer.write(b"x")
        await reader.readexactly(1)
        assert loop.time() - begun >= 0.3  # each way
        proxy.weather = Weather(trickle=2, pause=0.02, upward=False)
        begun = loop.time()
        writer.write(b"0123456789")
        pieces = []
        while sum(map(len, pieces)) < 10:
            pieces.append(await reader.read(100))
        assert b"".join(pieces) == b"0123456789"
        assert len(pieces) > 2
        assert loop.time() - begun >= 0.08

    with_proxy(scenario)


def test_cut_is_an_end_reset_is_an_error():
    async def cut(proxy, echo, reader, writer):
        assert proxy.cut() == 1
        assert await reader.read() == b""
        assert await eventually(lambda: asyncio.sleep(0, proxy.connections == 0), 60)

    async def reset(proxy, echo, reader, writer):
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert await eventually(lambda: asyncio.sleep(0, echo.ended == 1), 60)

    with_proxy(cut)
    with_proxy(reset)


def test_half_close_ends_answers_alone():
    async def scenario(proxy, echo, reader, writer):
        proxy.half_close()
        assert await reader.read() == b""
        assert (proxy.connections, echo.ended) == (1, 0)

    with_proxy(scenario)


def test_refused_by_a_reset_and_by_a_closed_door():
    async def scenario(proxy, echo, reader, writer):
        proxy.weather = Weather(refuse=True)
        with pytest.raises(ConnectionResetError):
            await one_byte_of_a_new_connection(proxy.port)
        await proxy.close_door()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.weather = CLEAR
        writer.write(b"y")
        assert await reader.readexactly(1) == b"y"  # what was open stays
        port = proxy.port
        await proxy.open_door()
        assert proxy.port == port
        third, other = await asyncio.open_connection("127.0.0.1", port)
        other.write(b"z")
        assert await third.readexactly(1) == b"z"
        other.transport.abort()

    with_proxy(scenario)
