"""Whoever is just being let in when a listener ends is told so: of the product's own addresses, and of the servers of tests."""

import asyncio
import contextlib
import gc
import socket
import warnings

import pytest
from aiohttp import web

from weirkeeper.testing.apiserver import ApiServer
from weirkeeper.testing.echo import EchoServer
from weirkeeper.visitors import receiving


@contextlib.asynccontextmanager
async def served(kind):
    async with kind() as server:
        yield server.port


KINDS = {
    "addresses": lambda: receiving(web.Application(), "127.0.0.1", 0),
    "API server": lambda: served(ApiServer),
    "echo": lambda: served(EchoServer),
}


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_who_is_just_being_accepted_is_cut_off_as_well(kind, turns):
    guests = []
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(_stopped(KINDS[kind], turns, guests))
        gc.collect()
    for guest in guests:
        with guest:
            guest.settimeout(5.0)
            with contextlib.suppress(ConnectionResetError):
                assert guest.recv(1) == b""
    assert not [str(one.message) for one in complaints]


async def _stopped(kind, turns, guests):
    async with kind() as port:
        guests += [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
        for _ in range(turns):
            await asyncio.sleep(0)
