"""Waiting that costs nothing, with real sockets."""

import asyncio
import itertools
import time

import pytest

from weirkeeper.testing import virtual_time
from weirkeeper.testing.virtual_time import TimeStandsStill, run_virtually


def test_hours_pass_at_once_and_in_order():
    async def scenario():
        loop, seen = asyncio.get_running_loop(), []

        async def after(seconds):
            await asyncio.sleep(seconds)
            seen.append((seconds, round(loop.time(), 3)))

        await asyncio.gather(after(3600), after(10), after(7200))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 60)
        return seen, loop.time()

    begun = time.monotonic()
    seen, end = run_virtually(scenario())
    assert seen == [(10, 10.0), (3600, 3600.0), (7200, 7200.0)]
    assert 7260 <= end < 7261
    assert time.monotonic() - begun < 60


def test_what_is_sent_arrives_before_time_passes():
    async def scenario():
        loop, served = asyncio.get_running_loop(), asyncio.Event()

        async def serve(reader, writer):
            while line := await reader.readline():
                writer.write(line)
            writer.close()
            await writer.wait_closed()
            served.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for number in range(200):
            writer.write(b"%d\n" % number)
            assert await asyncio.wait_for(reader.readline(), 1) == b"%d\n" % number
        writer.close()
        await writer.wait_closed()
        await served.wait()
        server.close()
        await server.wait_closed()
        return loop.time()

    assert run_virtually(scenario()) < 1


def test_a_loop_that_turns_for_ever_is_noticed(monkeypatch):
    monkeypatch.setattr(virtual_time, "STANDSTILL", 1000)

    async def restless():
        again = asyncio.get_running_loop().call_soon
        turns = itertools.count()
        turn = lambda: next(turns) < 1500 and again(turn)  # it ends while the loop is closed
        turn()
        await asyncio.Event().wait()

    with pytest.raises(TimeStandsStill):
        run_virtually(restless())
