"""Followers whom the leader cannot hear over a connection of their own: what they see reaches it by way of the API server, and no address is taken away."""

import asyncio
import time

import pytest
from shop_stage import stage

from weirkeeper.distribute.relay import MOVED
from weirkeeper.runtime.status_writer import CAUTION
from weirkeeper.testing.eventually import eventually

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster unreached leader")]

BOTH = ["192.0.2.1", "192.0.2.2"]
NOWHERE = "127.0.0.0"
"""Nothing can be reached there."""


def test_no_address_goes_where_no_follower_reaches_the_leader(tmp_path):
    asyncio.run(_unreached(tmp_path))


async def _unreached(folder):
    async with stage(folder, replicas=2, envoys=2, routes=5, pod_address=NOWHERE) as shop:
        await _say(shop, BOTH)
        leader = await _leader(shop)
        follower = next(one for one in shop.planes if one is not leader)
        assert await follower.number("leader_hears") == 0
        assert await leader.number("leader_hears") == 1
        await _stays(shop, max(MOVED, CAUTION) + 5)
        leader.kill()  # its Envoy moves; the other one is the leader now, whom the next follower cannot reach either
        await follower.leads()
        leader.start()
        await leader.ready()
        await _stays(shop, 5)
        assert "by way of the API server" in follower.log


async def _leader(shop):
    async def look():
        for one in shop.planes:
            if await one.number("leader") == 1:
                return one
        return None

    return await eventually(look, 60, what="somebody leads")


async def _stays(shop, seconds):
    """Nothing may happen, and there is no other sign of that."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert [shop.addresses(f"shop-{number}") for number in range(shop.routes)] == [BOTH] * shop.routes
        await asyncio.sleep(0.2)


async def _say(shop, addresses):
    async def look():
        return all(shop.addresses(f"shop-{number}") == addresses for number in range(shop.routes))

    await eventually(look, 60, what=f"all statuses say {addresses}", pause=0.05)
