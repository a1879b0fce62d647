"""Two replicas and two Envoys: a replica that dies loses no address and no request, its Envoy moves; an instance that dies loses its address after the grace time, and no other does."""

import asyncio
import time

import pytest
from cluster_program import LOAD_BALANCER
from replicas_as_processes import authority_keys
from shop_stage import stage

from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster replicas")]

GRACE = 1.0
BOTH = ["192.0.2.1", "192.0.2.2"]


def test_envoys_move_when_a_replica_dies_and_addresses_follow_instances_alone(tmp_path):
    asyncio.run(_moved(tmp_path))


async def _moved(folder):
    async with stage(folder, replicas=2, envoys=2, routes=100, grace_seconds=GRACE) as shop:
        await _say(shop, BOTH)
        keys = await authority_keys(shop.server)
        async with shop.traffic(rate=300) as load:
            for number in (0, 1):
                await _killed(shop, number)
            third = instance(folder / "i2", keys, LOAD_BALANCER, "i2", [shop.planes[1].server], addresses=["192.0.2.3"])
            await load.result()
            async with third:
                await _say(shop, [*BOTH, "192.0.2.3"])
                leaves = time.monotonic()
            await _say(shop, BOTH)
            assert time.monotonic() - leaves >= GRACE, "not before the grace time"


async def _killed(shop, number):
    """One replica is killed: no status ever says less, and the other one serves both Envoys; then it is back."""
    victim, other = shop.planes[number], shop.planes[1 - number]
    victim.kill()
    await eventually(lambda: _instances(other, 2), 60, what=f"both Envoys are served by {other.name}")
    await other.leads()
    name = f"while-{victim.name}-is-dead.example"
    shop.put(name)
    for envoy in range(2):
        await eventually(lambda envoy=envoy: shop.serves(envoy, name), 60, what=f"Envoy {envoy} follows")
    await _say(shop, BOTH)
    victim.start()
    await victim.ready()


async def _instances(plane, count):
    return await plane.number("instances", '{provider="envoy"}') == count


async def _say(shop, addresses):
    """All statuses say these addresses."""

    async def look():
        return all(shop.addresses(f"shop-{number}") == addresses for number in range(shop.routes))

    await eventually(look, 60, what=f"all statuses say {addresses}", pause=0.05)


