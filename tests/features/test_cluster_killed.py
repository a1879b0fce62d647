"""R02: the control plane is killed, and stopped, again and again while objects change. No request fails, and what Envoy holds in the end is what a clean build gives it."""

import asyncio
import random
import time

import pytest
from cluster_program import LOAD_BALANCER
from replicas_as_processes import Plane, authority_keys, held_by, planes
from shop_stage import stage

from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster killed")]

ROUNDS = 5
PAUSE = 0.05
LEAST = 60_000
EQUAL = 10.0


def test_a_control_plane_that_is_killed_and_stopped_during_changes_fails_no_request_and_ends_as_a_clean_build(tmp_path):
    asyncio.run(killed(tmp_path, rounds=ROUNDS, least=LEAST, rate=1_000, between=(1.0, 3.0), equal=60.0))


async def killed(folder, *, rounds, least, rate, between, seed=0, equal=EQUAL):
    """`rounds` kills and as many stops, so many seconds apart; changes go on all the time."""
    chance = random.Random(seed)
    async with stage(folder) as shop:
        (plane,) = shop.planes
        async with shop.traffic(rate=rate, least=least) as load:
            changing = asyncio.create_task(_change(shop), name="changes")
            for number in range(2 * rounds):
                await asyncio.sleep(chance.uniform(*between))
                assert not changing.done()
                if number % 2:
                    await plane.ready()
                    await plane.end()
                else:
                    plane.kill()
                plane.start()
            changing.cancel()
            (wished,) = await asyncio.gather(changing, return_exceptions=True)
            assert isinstance(wished, asyncio.CancelledError), wished
            began = time.monotonic()
            await plane.ready()
            await shop.caught_up(shop.last, 60)
            caught_up = time.monotonic() - began
            result = await load.result()
        await _equals_a_clean_build(folder, shop, equal)
        return {
            "requests": len(result.records), "failed": 0, "changes": shop.changed, "kills": rounds, "stops": rounds, "caught_up_s": caught_up,
        }  # fmt: skip


async def _change(shop):
    turn = 0
    shop.last = {}
    shop.changed = 0
    while True:
        shop.last = shop.last | shop.change_behind(turn % 40, 9)
        shop.changed += 9
        turn += 1
        await asyncio.sleep(PAUSE)


async def _equals_a_clean_build(folder, shop, equal):
    """A new replica and a new Envoy, beside the old ones, end with the same configuration."""
    keys = await authority_keys(shop.server)
    shop.server.access.add_token("token-clean", "clean")
    old = shop.planes[0]
    clean = Plane(folder, "clean", shop.server.kubeconfig(token="token-clean"), old.http_port, shop.https_port)
    async with planes(clean), instance(folder / "ic", keys, LOAD_BALANCER, "ic", [clean.server]) as fresh:

        async def look():
            one, other = await held_by(shop.envoys[0]), await held_by(fresh)
            found = one ^ other
            seen[:] = [len(one), len(other), len(found), *(row[:300] for row in sorted(found)[:4])]
            return not found and len(one) > shop.routes

        seen = []
        try:
            await eventually(look, equal, what="the old Envoy holds what a clean build gives", pause=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}") from None
