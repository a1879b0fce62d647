"""R04: what is unknown is not empty. Lists that fail, lie or stop half-way, rights and kinds that vanish, replicas that lag, an etcd that was restored: nothing that is served goes.

What was really deleted, however much, goes within a minute; at once when somebody confirms it.
"""

import asyncio
import time

import pytest
from cluster_program import ingress
from replicas_as_processes import NAMESPACE, until
from shop_stage import host, stage

from weirkeeper.testing.apiserver import Denial, Fault, Trouble
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.fault_proxy import CLEAR, Weather

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster unknown")]

ROUTES = 400
KINDS = {
    "services": "Service", "ingressclasses": "IngressClass.networking.k8s.io", "endpointslices": "EndpointSlice.discovery.k8s.io",
    "ingresses": "Ingress.networking.k8s.io",
}  # fmt: skip
GROUP = "networking.k8s.io/v1"
HELD = 1.0
"""So long a fault is watched doing nothing, after it has struck."""
DELETED = 60.0
PARAMETERS = {
    "apiVersion": "weirkeeper.io/v1alpha1", "kind": "LoadBalancerClassParameters", "metadata": {"name": "web"},
    "spec": {"defaultBackend": {"namespace": "default", "service": "two", "port": {"number": 80}}},
}  # fmt: skip


def test_a_start_pushes_nothing_before_everything_is_known(tmp_path):
    asyncio.run(_starts(tmp_path))


async def _starts(folder):
    async with stage(folder, routes=ROUTES) as shop:
        shop.server.largest_page = 100
        async with shop.traffic(rate=400, least=10_000) as load:
            await _restart_under(shop, [Fault(what=Trouble.SERVER_ERROR, plural=kind) for kind in KINDS], watch_list=True)
            for what in (Trouble.PAGE_FAILS, Trouble.PAGE_CUT):
                await _restart_under(shop, [Fault(what=what, plural="ingresses", after=1)], watch_list=False)
            await _restart_under(shop, [Fault(what=Trouble.DIES_BEFORE_SYNC, plural="ingresses", after=100)], watch_list=True)
            await load.result()


async def _restart_under(shop, faults, *, watch_list):
    """The replica starts anew under these faults: Envoy is told nothing, not even when all but the last are lifted, and everything after that."""
    (plane,), (envoy,) = shop.planes, shop.envoys
    shop.server.watch_list = watch_list
    await plane.end()
    before = await _pushes(envoy)
    struck = shop.server.faults.struck.total()
    for fault in faults:
        shop.server.faults.add(fault)
    plane.start()
    await eventually(lambda: _struck(shop, struck + len(faults) - 1), 60, what="the faults strike")
    await eventually(lambda: _connected(envoy), 60, what="Envoy is connected")
    await _told_nothing(plane, envoy, before)
    for fault in faults[:-1]:
        shop.server.faults.lift(fault)
    await eventually(lambda: _waits_only(plane, KINDS[faults[-1].plural]), 60, what="only the last one is waited for")
    await _told_nothing(plane, envoy, before)
    shop.server.faults.lift(faults[-1])
    await plane.ready()


async def _struck(shop, than):
    return shop.server.faults.struck.total() > than


async def _waits_only(plane, kind):
    said = await plane.answer("/readyz")
    return f"{kind} is not listed yet" in said and said.count("is not listed yet") == 1


async def _told_nothing(plane, envoy, before):
    await until(time.monotonic() + HELD)
    assert "not well" in await plane.answer("/readyz")
    assert await plane.number("synced") == 0
    assert await _pushes(envoy) == before


async def _more(counts, what, than):
    return counts[what] > than


async def _connected(envoy):
    return (await envoy.stats("control_plane.")).get("control_plane.connected_state") == 1


async def _pushes(envoy):
    """Updates that Envoy has taken, of clusters, listeners and scopes."""
    found = await envoy.stats()
    return {key: value for key, value in found.items() if key.endswith(("cds.update_success", "lds.update_success", "config_reload", "update_rejected"))}


def test_lists_that_lie_rights_and_kinds_that_vanish_and_an_old_etcd_take_nothing_away(tmp_path):
    asyncio.run(_runs(tmp_path))


async def _runs(folder):
    async with stage(folder, routes=ROUTES, replicas=2, envoys=2, each_behind_proxy=True) as shop:
        await _with_parameters(shop)
        async with shop.traffic(rate=400, least=15_000) as load:
            for one in (_empty_list, _no_rights, _no_kind, _one_lags, _old_etcd):
                await one(shop)
            await load.result()


async def _with_parameters(shop):
    """Unknown hosts are answered by backend two, which only an object of our own kind says."""
    shop.server.put(PARAMETERS)
    made = shop.server.get("IngressClass", "weirkeeper", api_version=GROUP)
    named = {"apiGroup": "weirkeeper.io", "kind": "LoadBalancerClassParameters", "name": "web", "scope": "Cluster"}
    shop.server.put({**made, "spec": {**made["spec"], "parameters": named}})
    await shop.caught_up({"unknown.example": "two"}, 60)


async def _empty_list(shop):
    """Every kind in turn is listed empty once, with 200; the next list tells the truth."""
    shop.server.watch_list = False
    fault = shop.server.faults.add(Fault(what=Trouble.EMPTY_LIST, plural="ingresses", times=2))
    gone = [shop.server.faults.add(Fault(what=Trouble.GONE_STATUS, plural="ingresses", times=2))]
    shop.server.cut_watches("ingresses")
    await eventually(lambda: _more(shop.server.faults.struck, Trouble.EMPTY_LIST, 1), 60, what="both were told that there is nothing")
    for plane in shop.planes:
        await eventually(lambda plane=plane: _holds(plane, ROUTES), 60, what=f"{plane.name} holds what vanished")
    await shop.caught_up({host(0): "one", host(ROUTES - 1): "one"}, 30)
    for plane in shop.planes:
        await eventually(lambda plane=plane: _holds(plane, 0), 60, what=f"{plane.name} has found out")
    for one in (fault, *gone):
        shop.server.faults.lift(one)
    await _works(shop, "after-empty")


async def _holds(plane, count):
    found = await plane.number("held", '{kind="Ingress"}')
    return found == count or (not count and found != found)


async def _no_rights(shop):
    denials = [shop.server.access.deny(Denial(plural=kind, verbs=("list", "watch"))) for kind in ("ingresses", "endpointslices", "services")]
    shop.server.cut_watches()
    await _lost(shop)
    for one in denials:
        shop.server.access.allow(one)
    await _works(shop, "after-rights")


async def _no_kind(shop):
    kind = shop.server.kind("LoadBalancerClassParameters")
    shop.server.withdraw(kind.plural, kind.group)
    await _lost(shop)
    await shop.caught_up({"unknown.example": "two"}, 30)
    shop.server.serve(kind)
    await _works(shop, "after-kind")


async def _lost(shop):
    for plane in shop.planes:
        await eventually(lambda plane=plane: _has_lost(plane), 60, what=f"{plane.name} has lost something")
    await shop.caught_up({host(0): "one", host(ROUTES - 1): "one", "unknown.example": "two"}, 30)


async def _has_lost(plane):
    return await plane.number("feed_lost") > 0


async def _one_lags(shop):
    """One replica sees an older state than the other; it serves that on, and follows when it can."""
    shop.proxies["replica-1"].weather = Weather(stalled=True)
    before = await shop.envoys[1].stats("cluster_manager.")
    shop.server.put(ingress("lag", "lag.example", "one"))
    await eventually(lambda: shop.serves(0, "lag.example"), 60, what="the replica that sees has told its Envoy")
    assert not await shop.serves(1, "lag.example")
    assert (await shop.envoys[1].stats("cluster_manager."))["cluster_manager.cluster_removed"] == before["cluster_manager.cluster_removed"]
    shop.proxies["replica-1"].weather = CLEAR
    await eventually(lambda: shop.serves(1, "lag.example"), 60, what="the other one has caught up")


async def _old_etcd(shop):
    """A few changes are lost with the backup; all else stays, and changes after it are followed."""
    at = shop.server.log.revision
    await _works(shop, "lost-with-the-backup")
    shop.server.restore(at)
    await shop.caught_up({host(0): "one", host(ROUTES - 1): "one"}, 30)
    await _works(shop, "after-restore")
    await shop.caught_up({"lost-with-the-backup.example": "two"}, DELETED)  # the default backend's: the host is gone


async def _works(shop, name):
    shop.server.put(ingress(name, f"{name}.example", "one"))
    for number in range(len(shop.envoys)):
        await eventually(lambda number=number: shop.serves(number, f"{name}.example"), 60, what=f"{name}: Envoy {number} follows")


def test_a_mass_deletion_that_only_a_list_shows_is_held_confirmed_or_applied_in_time(tmp_path):
    asyncio.run(_deleted(tmp_path))


async def _deleted(folder):
    async with stage(folder, routes=ROUTES, replicas=2, envoys=2) as shop:
        async with shop.traffic(rate=300, hosts=range(50)) as load:
            await _vanish(shop, range(150, ROUTES))
            # no second list may say the same: it is the confirmation that counts
            fault = shop.server.faults.add(Fault(what=Trouble.SERVER_ERROR, plural="ingresses", verbs=("watch", "list")))
            await _confirm(shop)
            for number in range(2):
                await eventually(lambda number=number: shop.serves(number, host(ROUTES - 1), no=True), 30, what="what was confirmed has gone")
            shop.server.faults.lift(fault)
            await eventually(lambda: _hold(shop, there=False), 60, what="the Hold has gone")
            await _vanish(shop, range(50, 150))
            began = time.monotonic()
            for number in range(2):
                await eventually(lambda number=number: shop.serves(number, host(149), no=True), DELETED, what="what is true goes in time")
            took = time.monotonic() - began
            await eventually(lambda: _hold(shop, there=False), 60, what="the Hold has gone")
            await load.result()
        return {"applied_s": took}


async def _vanish(shop, numbers):
    """These are deleted while nobody watches, and the history is gone: only a list can tell."""
    fault = shop.server.faults.add(Fault(what=Trouble.SERVER_ERROR, plural="ingresses", verbs=("watch", "list")))
    shop.server.cut_watches("ingresses")
    for number in numbers:
        shop.server.remove("Ingress", f"shop-{number}", "default", api_version=GROUP)
    shop.server.compact()
    shop.server.faults.lift(fault)
    for plane in shop.planes:
        await eventually(lambda plane=plane: _holds(plane, len(numbers)), 60, what=f"{plane.name} holds them")
    await eventually(lambda: _hold(shop, there=True), 60, what="an object says that they are held")
    for number in range(2):
        assert await shop.serves(number, host(numbers[-1])), "what is held is served"


async def _hold(shop, *, there):
    return (shop.server.get("Hold", "ingress", NAMESPACE) is not None) is there


async def _confirm(shop):
    """As `kubectl annotate` does."""
    made = shop.server.get("Hold", "ingress", NAMESPACE)
    made["metadata"]["annotations"] = {"weirkeeper.io/confirm": "true"}
    shop.server.put(made)
