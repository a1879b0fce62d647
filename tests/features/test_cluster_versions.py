"""R12: the control plane goes from the version before to this one and back, replica by replica, under load and changes: no request fails, replicas of both versions
understand each other's records, and a version alone changes nothing in Envoy.
"""

import asyncio
import os
import subprocess
import sys

import pytest
from cluster_program import LOAD_BALANCER
from last_good import TIMES, all_written, folder_in
from replicas_as_processes import authority_keys
from shop_stage import host, stage
from versions import called, previous

from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster versions")]

ROUTES = 300
LEAST = 20_000
BUSY = 60.0
EVERY = ["192.0.2.1", "192.0.2.2"]


def test_from_the_version_before_to_this_one_and_back_no_request_fails(tmp_path):
    asyncio.run(there_and_back(tmp_path, previous(tmp_path / "previous")))


async def there_and_back(folder, old, *, least=LEAST, rate=500, rounds=1):
    """Replicas are replaced one after the other; each time the fleet is mixed for a while, and either version leads."""
    async with stage(folder, replicas=2, envoys=2, routes=ROUTES, source=old) as shop:
        async with shop.traffic(rate=rate, least=least) as load:
            turn = 0
            for source in (None, old) * rounds:
                for plane in shop.planes:
                    await plane.end()
                    plane.source = source
                    plane.start()
                    await plane.ready()
                    await _works(shop, turn)
                    turn += 1
            result = await load.result()
        for plane in shop.planes:
            assert "Traceback" not in plane.log, plane.log[-3000:]
    return {"requests": len(result.records), "failed": 0, "replaced": turn}


async def _works(shop, turn):
    """Changes arrive, and the leader knows the instances that either replica serves."""
    wished = shop.change_behind(turn, 9)
    await shop.caught_up(wished, 60)
    new = next(name for name, to in wished.items() if to == "one" and name.startswith("new-")).removesuffix(".example")

    async def told():
        return shop.addresses(new) == EVERY

    await eventually(told, 60, what="its status shows the addresses that both replicas see")


def test_another_version_with_the_same_configuration_sends_envoy_nothing(tmp_path):
    newer = called(tmp_path / "newer", "9.9.9")
    said = subprocess.run(
        [sys.executable, "-m", "weirkeeper", "--version"], env={**os.environ, "PYTHONPATH": str(newer)}, capture_output=True, text=True, check=True
    )
    assert said.stdout == "weir 9.9.9\n"
    asyncio.run(_nothing(tmp_path, newer))


async def _nothing(folder, newer):
    async with stage(folder, routes=ROUTES) as shop:
        (plane,), (envoy,) = shop.planes, shop.envoys
        before = await _taken(envoy)
        assert sum(before.values()) > 3
        await plane.end()
        plane.source = newer
        plane.start()
        await plane.ready()
        shop.put("after.example")
        await shop.answers("after.example", "one")
        after = await _taken(envoy)
        assert after == before, "clusters and listeners are those of before"


async def _taken(envoy):
    """How often Envoy has made or changed a listener, or a cluster."""
    found = await envoy.stats()
    kinds = ("listener_manager.listener_", "cluster_manager.cluster_")
    return {name: number for name, number in found.items() if name.startswith(kinds) and name.endswith(("added", "create_success", "modified", "removed"))}


@pytest.mark.parametrize("back", [False, True], ids=["forward", "back"])
def test_what_one_version_kept_the_other_starts_from_without_an_api_server(tmp_path, back):
    old = previous(tmp_path / "previous")
    with folder_in("/dev/shm") as kept:
        asyncio.run(_kept(tmp_path, kept, *((None, old) if back else (old, None))))


async def _kept(folder, kept, writes, reads):
    async with stage(folder, envoys=0, routes=ROUTES, behind_proxy=True, snapshot_directory=kept, source=writes, **TIMES) as shop:
        (plane,) = shop.planes
        keys = await authority_keys(shop.server)
        await all_written(shop, kept)
        await shop.proxy.close_door()
        shop.proxy.reset()
        await plane.end()
        plane.source = reads
        plane.start()
        async with instance(folder / "i1", keys, LOAD_BALANCER, "i1", [plane.server]):
            await asyncio.gather(*(shop.answers(host(number), "one", BUSY) for number in (0, ROUTES - 1)))
            await eventually(lambda: _lends(plane), 60, what="what is served is what was kept")


async def _lends(plane):
    return await plane.number("snapshot_in_use") == 1
