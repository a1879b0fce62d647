"""Servers of tests leave no connection behind when they stop, whenever it came."""

import asyncio
import contextlib
import gc
import socket
import warnings

import pytest

from weirkeeper.testing.apiserver import ApiServer
from weirkeeper.testing.echo import EchoServer


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("kind", [ApiServer, EchoServer])
def test_who_is_just_being_accepted_is_cut_off_as_well(kind, turns):
    guests = []
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(_stopped(kind, turns, guests))
        gc.collect()
    for guest in guests:
        with guest:
            guest.settimeout(5.0)
            with contextlib.suppress(ConnectionResetError):
                assert guest.recv(1) == b""
    assert not [str(one.message) for one in complaints]


async def _stopped(kind, turns, guests):
    async with kind() as server:
        guests += [socket.create_connection(("127.0.0.1", server.port)) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
