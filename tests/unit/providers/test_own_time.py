"""Time that counts while we run: a pause of our own is no silence of somebody else."""

import asyncio
import socket
import time

import pytest

from weirkeeper.providers.local import own_time


async def heard(seconds, *, pause):
    """What came while this process stood still for so long."""
    mine, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=mine)
        try:

            async def read():
                async with own_time(seconds):
                    return await reader.read(1)

            asked = asyncio.create_task(read())
            await asyncio.sleep(0)
            theirs.sendall(b"x")
            time.sleep(pause)  # noqa: ASYNC251 - the pause itself
            return await asked
        finally:
            writer.transport.abort()


def test_what_came_while_we_stood_still_is_heard():
    assert asyncio.run(heard(0.1, pause=0.3)) == b"x"


def test_silence_is_no_answer():
    async def silent():
        async with own_time(0.05):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(silent())


def test_nothing_is_left_of_what_ended_in_time():
    async def quick():
        async with own_time(0.02):
            pass
        await asyncio.sleep(0.05)
        return "nobody was cancelled"

    assert asyncio.run(quick()) == "nobody was cancelled"


def test_other_failures_and_cancellations_pass():
    async def fails():
        async with own_time(5):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(fails())

    async def cancelled():
        async def long():
            async with own_time(60):
                await asyncio.Event().wait()

        task = asyncio.create_task(long())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        return task.cancelled()

    assert asyncio.run(cancelled())
