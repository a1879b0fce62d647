"""R01: the API server is away in five ways while objects change behind it. No request fails, little is asked meanwhile, and afterwards everything is caught up with."""

import asyncio
import time

import pytest
from replicas_as_processes import Mute, away_modes
from shop_stage import ROUTES, stage

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster away")]

CATCH_UP = 15.0
BUSY = 60.0
"""On a machine that does other work too."""
AWAY = 6.0
LEAST = 60_000
CHANGES = 20
BURST = 25
"""What was open when the server went is tried once more, at once."""


def test_an_api_server_that_is_away_in_five_ways_takes_nothing_away(tmp_path):
    asyncio.run(away(tmp_path, seconds=AWAY, least=LEAST, rate=1_000, catch_up=BUSY))


async def away(folder, *, seconds, least, rate, catch_up=CATCH_UP):
    rows = []
    times = {"lease_seconds": 10, "renew_seconds": 7, "retry_seconds": 1.5}
    async with stage(folder, replicas=1, behind_proxy=True, **times) as shop:
        assert shop.proxy is not None
        async with shop.traffic(rate=rate, least=least) as load:
            modes = away_modes(shop.server, shop.proxy)
            for number, mode in enumerate(modes):
                await mode.go()
                began = time.monotonic()
                behind = shop.change_behind(number, CHANGES)
                await asyncio.sleep(seconds)
                asked = mode.asked()
                await mode.come()
                back = time.monotonic()
                await shop.caught_up(behind, catch_up)
                rows.append({"mode": mode.name, "away_s": back - began, "asked": asked, "caught_up_s": time.monotonic() - back})
                shelf = shop.server.log.shelf(shop.server.kind("Ingress", "networking.k8s.io/v1"))
                await shop.told(len(shelf.objects), 60)  # else what is still to be written is asked in the next absence
            result = await load.result()
        for mode in modes:
            if isinstance(mode, Mute):
                mode.close()
    for row in rows:
        if row["asked"] is not None:
            assert row["asked"] <= BURST + row["away_s"], rows
    assert len({record.target for record in result.records}) == ROUTES
    assert len(result.records) >= least
    return {"requests": len(result.records), "failed": 0, "modes": rows}
