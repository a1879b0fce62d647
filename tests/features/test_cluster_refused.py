"""R06 and R07 over an API server: one bad Ingress of a thousand, and one whose configuration the engine refuses. All others are served on; the owner is told; every replica knows."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from cluster_program import LOAD_BALANCER, Install, api_server, endpoint_slice, ingress, ingress_class, running, service
from replicas_as_processes import backends
from shop_stage import SHARED, host, right, stage

from weirkeeper.controllers.ingress import paths
from weirkeeper.controllers.shared.regexes import Regex
from weirkeeper.status.happenings import camel
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import Target, fetch
from weirkeeper.testing.engines.admin import AdminAway
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance
from weirkeeper.testing.load import Ask, Plan, load

sys.path.insert(0, str(Path(__file__).parents[1] / "engines" / "acceptance"))
from invalid import kinds

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster refused")]

SIGNAL = 60.0
GOOD = 999
STORED = frozenset({"Ingress", "Service", "EndpointSlice", "Secret"})
BROKEN = "/(unclosed"
REGEX = {"nginx.ingress.kubernetes.io/use-regex": "true"}


def storable(content):
    """The documents of a kind of invalid, if an API server could store them at all: a name, a namespace, a version that is served."""
    try:
        documents = [json.loads(part) for part in content.split(b"\n---\n")]
    except ValueError:
        return []
    for one in documents:
        named = isinstance(one, dict) and isinstance(one.get("metadata", {}).get("name"), str) and one.get("kind") in STORED
        if not named or one.get("apiVersion") not in {"v1", "networking.k8s.io/v1", "discovery.k8s.io/v1"}:
            return []
        if not one["metadata"]["name"].replace("-", "").replace(".", "").isalnum() or not one["metadata"]["name"].islower():
            return []
        if not all(isinstance(text, str) for text in one["metadata"].get("annotations", {}).values()):
            return []
    places = [(one["kind"], one["metadata"]["name"]) for one in documents]
    return documents if len(set(places)) == len(places) else []


def test_one_bad_ingress_of_a_thousand_harms_no_other_and_its_owner_is_told(tmp_path):
    asyncio.run(_one_bad(tmp_path))


async def _one_bad(folder):
    async with stage(folder, routes=GOOD) as shop:
        every = [(kind, documents) for kind in kinds(shop.ports["two"], Authority(), host(0)) if (documents := storable(kind.content))]
        assert len(every) >= 60
        missing = []
        async with shop.traffic(rate=500, least=20_000) as traffic:
            for number, (kind, documents) in enumerate(every):
                missing += await _told(shop, f"bad-{number}", kind, documents)
            shop.server.put(ingress("good-after", "good-after.example", "one"))
            await shop.caught_up({"good-after.example": "one"}, SIGNAL)
            await traffic.result()
        assert not missing, "\n".join(missing)


async def _told(shop, namespace, kind, documents):
    """Stores what is invalid, waits for the event, takes it away; what is missing."""
    for one in documents:
        shop.server.put({**one, "metadata": {**one["metadata"], "namespace": namespace}})
    try:
        await eventually(lambda: _event(shop, namespace, kind.reason), SIGNAL, what=kind.name, pause=0.02)
    except AssertionError:
        said = [(one["reason"], one["note"][:100]) for one in _events(shop, namespace)]
        return [f"{kind.name}: expected {kind.reason.name}; said was {said}"]
    finally:
        for one in documents:
            shop.server.remove(one["kind"], one["metadata"]["name"], namespace, api_version=one["apiVersion"])
    return []


def _events(shop, namespace):
    shelf = shop.server.log.shelf(shop.server.kind("Event", "events.k8s.io/v1"))
    return [entry.object for (place, _), entry in list(shelf.objects.items()) if place == namespace]


async def _event(shop, namespace, reason):
    return [one for one in _events(shop, namespace) if one["reason"] == camel(reason)]


def test_what_an_engine_refuses_is_quarantined_for_all_replicas_and_leaves_with_the_fix(tmp_path, monkeypatch):
    checked = paths.checked_regex

    def holed(text):
        # the hole in our validation that the check asks for
        return Regex(text, 0) if text.removeprefix("^") == BROKEN else checked(text)

    monkeypatch.setattr(paths, "checked_regex", holed)
    asyncio.run(_refused(tmp_path))


async def _refused(folder):
    good = [ingress(f"shop-{number}", host(number), "shop") for number in range(100)]
    async with backends("one") as ports, api_server(
        ingress_class(), service("shop"), endpoint_slice("shop", "127.0.0.1", ports["one"]), *good
    ) as server:
        for kind in SHARED:
            server.serve(kind)
        first = Install(folder, server.kubeconfig(), "replica-0")
        second = Install(folder, server.kubeconfig(), "replica-1", http_port=first.http_port, https_port=first.https_port)
        async with running(first, second):
            keys = first.app.channel.authority.keys
            async with instance(folder / "i0", keys, LOAD_BALANCER, "i0", [first.server]) as envoy:
                await _answers(first, host(99))
                asks = tuple(Ask(name=host(number), host=host(number)) for number in range(100))
                with load(Plan(target=Target(port=first.http_port), asks=asks, connections=4, rate=200, seconds=300)) as under_load:
                    await _quarantine(server, first, envoy)
                    async with instance(folder / "i1", keys, LOAD_BALANCER, "i1", [second.server]) as other:
                        await _not_sent_again(server, other)
                        await _fixed(server, first)
                    result = await asyncio.to_thread(under_load.stop)
                assert result.failures(right) == []


async def _answers(install, name, within=60.0):
    async def look():
        try:
            return (await fetch(f"http://{name}/", via=install.http_port, limit=2.0)).status == 200
        except (OSError, TimeoutError):
            return False

    await eventually(look, within, what=f"{name} answers")


def _broken(path):
    made = ingress("bad", "bad.example", "shop", annotations=REGEX)
    made["spec"]["rules"][0]["http"]["paths"][0] |= {"path": path, "pathType": "ImplementationSpecific"}
    return made


async def _quarantine(server, install, envoy):
    server.put(_broken(BROKEN))

    async def look():
        return [entry.object for entry in server.log.shelf(SHARED[0]).objects.values()]

    (found,) = await eventually(look, 60, what="the leader has written a Quarantine")
    assert found["spec"]["loadBalancer"] == LOAD_BALANCER
    assert "missing" in found["spec"]["message"] or "regex" in found["spec"]["message"].lower(), found
    await eventually(lambda: _event_on(server, "bad"), SIGNAL, what="an event on the Ingress")
    server.put(ingress("good", "good.example", "shop"))
    await _answers(install, "good.example", SIGNAL)
    assert await _rejections(envoy) >= 1


async def _event_on(server, name):
    shelf = server.log.shelf(server.kind("Event", "events.k8s.io/v1"))
    return [one for entry in shelf.objects.values() if (one := entry.object)["regarding"]["name"] == name and one["type"] == "Warning"]


async def _rejections(envoy):
    found = await envoy.stats()
    return sum(value for key, value in found.items() if key.endswith("update_rejected"))


async def _not_sent_again(server, envoy):
    """The second replica's Envoy gets everything, and never what the first one has refused."""

    async def look():
        try:
            return '"good.example"' in await envoy.ask("/config_dump?resource=dynamic_scoped_route_configs")
        except AdminAway:
            return False  # it has just been started

    await eventually(look, 60, what="the second Envoy has everything else")
    assert await _rejections(envoy) == 0
    assert len(server.log.shelf(SHARED[0]).objects) == 1


async def _fixed(server, install):
    server.put(_broken("/"))
    await _answers(install, "bad.example", SIGNAL)

    async def look():
        return not server.log.shelf(SHARED[0]).objects

    await eventually(look, 60, what="the Quarantine has gone")


