"""Secrets that are not fetched yet, forbidden for a while, or whose watch is cut never take a live certificate away. Deleted, they do, and the Ingress is told."""

import asyncio

import pytest
from cluster_program import LOAD_BALANCER, ingress, tls_secret
from replicas_as_processes import authority_keys
from shop_stage import stage

from weirkeeper.testing.apiserver import Denial, Fault, Trouble
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import ClientTls, Target, fetch
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance
from weirkeeper.testing.load import Ask, Plan, load

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster secrets")]

HOST = "secure.example"
FORBIDDEN = 6.0


def test_a_secret_that_cannot_be_read_keeps_its_certificate_and_one_that_is_deleted_does_not(tmp_path):
    asyncio.run(secrets(tmp_path, forbidden=FORBIDDEN))


async def secrets(folder, *, forbidden):
    authority = Authority()
    async with stage(folder, envoys=0, routes=20) as shop:
        (plane,), pair = shop.planes, authority.issue(HOST)
        shop.server.put(tls_secret("secure", pair))
        shop.server.put(ingress("secure", HOST, "two", secret="secure"))
        keys = await authority_keys(shop.server)
        async with instance(folder / "i0", keys, LOAD_BALANCER, "i0", [plane.server]):
            await shows(shop, pair, 60)
            tls = ClientTls(sni=HOST, trust=authority.pem())
            plan = Plan(target=Target(port=shop.https_port, tls=tls), asks=(Ask(name="secure", host=HOST),), connections=4, rate=100, seconds=3600)
            with load(plan) as running:
                await _refused(shop, plane, forbidden)
                pair = authority.issue(HOST)
                shop.server.put(tls_secret("secure", pair))
                await shows(shop, pair, 60)
                await _cut(shop)
                pair = authority.issue(HOST)
                shop.server.put(tls_secret("secure", pair))
                await shows(shop, pair, 60)
                await _not_fetched_yet(shop, plane)
                await shows(shop, pair, 60)
                result = await asyncio.to_thread(running.stop)
            assert result.failures(lambda record: record.status == 200 and record.answer == "two") == []
            await _deleted(shop)
            return {"requests": len(result.records), "failed": 0, "forbidden_s": forbidden}


async def shows(shop, pair, within):
    async def look():
        try:
            found = await fetch(f"https://{HOST}/", via=shop.https_port, limit=2.0)
        except (OSError, TimeoutError):
            return False
        return found.status == 200 and found.fingerprint == pair.fingerprint()

    await eventually(look, within, what="the certificate is shown", pause=0.02)


async def _refused(shop, plane, seconds):
    """Forbidden on a running replica, and while a replica starts."""
    denial = shop.server.access.deny(Denial(plural="secrets", verbs=("list", "watch"), namespace="default"))
    shop.server.cut_watches("secrets")
    await eventually(lambda: _told(shop, "WK007"), 60, what="an event on the Ingress says that the Secret cannot be read")
    [event] = await _told(shop, "WK007")
    assert event["regarding"]["kind"] == "Ingress"
    assert "forbidden" in event["note"]
    assert "To do: let the control plane get, list and watch the Secrets of the namespace default" in event["note"]
    await asyncio.sleep(seconds)
    await plane.end()
    plane.start()
    await eventually(lambda: _waits(plane), 60, what="a start waits for the Secret")
    await asyncio.sleep(seconds / 2)
    shop.server.access.allow(denial)
    await plane.ready()


async def _cut(shop):
    """The watch is cut in every way while nothing else is wrong."""
    for how in ("close", "abort"):
        shop.server.cut_watches("secrets", how=how)
    fault = shop.server.faults.add(Fault(what=Trouble.GONE_STATUS, plural="secrets", times=2))
    before = shop.server.faults.struck[Trouble.GONE_STATUS]
    shop.server.cut_watches("secrets")
    await eventually(lambda: _more(shop, before), 60, what="the watch was refused")
    shop.server.faults.lift(fault)


async def _more(shop, before):
    return shop.server.faults.struck[Trouble.GONE_STATUS] > before


async def _not_fetched_yet(shop, plane):
    """The Secret's list takes its time while a replica starts: nothing goes out before it is there."""
    fault = shop.server.faults.add(Fault(what=Trouble.SERVER_ERROR, plural="secrets", namespace="default"))
    await plane.end()
    plane.start()
    await eventually(lambda: _waits(plane), 60, what="a start waits for the Secret")
    shop.server.faults.lift(fault)
    await plane.ready()


async def _waits(plane):
    return "Secret default/secure is not known yet" in await plane.answer("/readyz")


async def _deleted(shop):
    shop.server.remove("Secret", "secure", "default")

    async def refused():
        try:
            await fetch(f"https://{HOST}/", via=shop.https_port, limit=2.0)
        except (OSError, TimeoutError):
            return True
        return False

    await eventually(refused, 60, what="the certificate has gone")
    await eventually(lambda: _told(shop, "WK301"), 60, what="an event on the Ingress says so")


async def _told(shop, code):
    """The events with this code on the Ingress that names the Secret."""
    shelf = shop.server.log.shelf(shop.server.kind("Event", "events.k8s.io/v1"))
    events = [entry.object for entry in shelf.objects.values()]
    return [one for one in events if one["regarding"]["name"] == "secure" and one["type"] == "Warning" and f"[{code}]" in one["note"]]
