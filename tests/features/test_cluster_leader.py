"""R13: three replicas; the leader is killed, stopped, frozen, cut from the API server. Another one takes over in time, no value is changed by one that does not lead, no request fails."""

import asyncio
import contextlib
import signal
import time

import msgspec
import pytest
from cluster_program import ingress
from replicas_as_processes import NAMESPACE
from shop_stage import stage

from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.fault_proxy import CLEAR, Weather

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster leader")]

LEASE = {"lease_seconds": 2, "renew_seconds": 1.4, "retry_seconds": 0.3}
USUAL = {"lease_seconds": 10, "renew_seconds": 7, "retry_seconds": 1.5}
ON_STOP = 2.0
ON_KILL = 15.0
"""With the usual lease."""
BUSY = 45.0
"""On a machine that does other work too; the long run asks for the times above."""
FENCED = frozenset({"ingresses", "events", "quarantines", "holds"})


def test_the_leader_is_killed_stopped_frozen_and_cut_off_and_nobody_else_ever_writes(tmp_path):
    asyncio.run(leaders(tmp_path, rounds=1, least=20_000, rate=500, within=BUSY, on_stop=BUSY, frozen=4.0, **LEASE))


def test_with_the_usual_lease_another_replica_leads_soon_after_a_kill_and_before_the_lease_s_end_after_a_stop(tmp_path):
    asyncio.run(leaders(tmp_path, rounds=1, least=0, rate=200, within=BUSY, on_stop=0.8 * USUAL["lease_seconds"], ways=("kill", "stop"), routes=50, **USUAL))


async def leaders(folder, *, rounds, least, rate, within, on_stop=ON_STOP, frozen=0.0, ways=("kill", "stop", "freeze", "cut"), routes=200, **times):
    """Each way of losing the leader, `rounds` times. `within`: the longest takeover, save that of a stop."""
    took = {way: [] for way in ways}
    async with stage(folder, replicas=3, envoys=2, routes=routes, each_behind_proxy=True, keep_bodies=True, **times) as shop:
        async with shop.traffic(rate=rate, least=least) as load, _churn(shop):
            for _ in range(rounds):
                for way in ways:
                    took[way].append(await _lose(shop, way, frozen))
            result = await load.result()
        writes = fenced(shop.server.audit.records)
        for way, seconds in took.items():
            assert max(seconds) < (on_stop if way == "stop" else within), took
        return {
            "requests": len(result.records), "failed": 0, "writes": writes, "by_non_holders": 0, "rounds": rounds,
            "takeover_s": {way: {"longest": max(all_of), "median": sorted(all_of)[len(all_of) // 2]} for way, all_of in took.items()},
        }  # fmt: skip


async def _lose(shop, way, frozen):
    leader = await _leader(shop)
    began = time.monotonic()
    match way:
        case "kill":
            leader.kill()
        case "stop":
            await leader.end()
            began = time.monotonic()
        case "freeze":
            leader.signal(signal.SIGSTOP)
        case "cut":
            shop.proxies[leader.name].weather = Weather(stalled=True)
    await _leader(shop, leader)
    taken = time.monotonic() - began
    match way:
        case "freeze":
            await asyncio.sleep(max(frozen - taken, 0))
            leader.signal(signal.SIGCONT)
        case "cut":
            shop.proxies[leader.name].weather = CLEAR
        case _:
            leader.start()
    for one in shop.planes:
        await one.ready()
    return taken


async def _leader(shop, other_than=None):
    """The replica that has the lease, by the server's word."""

    async def look():
        lease = shop.server.get("Lease", "weirkeeper", NAMESPACE)
        holder = lease["spec"]["holderIdentity"].rpartition("_")[0] if lease else ""
        return next((one for one in shop.planes if one.name == holder and one is not other_than), None)

    return await eventually(look, 60, what="somebody leads")


@contextlib.asynccontextmanager
async def _churn(shop):
    """Ingresses come and go, so that there is something to write all the time."""

    async def turn():
        number = 0
        while True:
            shop.server.put(ingress(f"churn-{number}", f"churn-{number}.example", "one"))
            if number >= 20:
                shop.server.remove("Ingress", f"churn-{number - 20}", "default", api_version="networking.k8s.io/v1")
            number += 1
            await asyncio.sleep(0.05)

    task = asyncio.create_task(turn(), name="churn")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


def fenced(records):
    """How many writes there were; each by the replica that had the lease when the server stored it. The server's revisions are the order."""
    holder, writes, wrong = "", 0, []
    for one in sorted((one for one in records if one.revision), key=lambda one: one.revision):
        if one.plural == "leases" and one.verb != "delete":
            lease = msgspec.json.decode(one.body)
            if lease["metadata"]["name"] == "weirkeeper":
                holder = lease["spec"]["holderIdentity"].rpartition("_")[0]
        elif one.plural in FENCED:
            writes += 1
            if one.user != holder:
                wrong.append((one.user, holder, one.verb, one.path))
    assert not wrong, f"{len(wrong)} of {writes}: {wrong[:5]}"
    assert writes
    return writes
