"""What a follower sees reaches the leader by way of the API server while nobody hears it: at once, whole, for as long as it is renewed; old news count for nothing."""

import asyncio
import contextlib
import io

import pytest
from leading import on_server

from weirkeeper.distribute.relay import Relay
from weirkeeper.kube.access import Access
from weirkeeper.kube.client import Client
from weirkeeper.kube.lease import LeaseTimes
from weirkeeper.model.observation import InstanceObservation, ItemObservation, ItemState
from weirkeeper.model.text import Digest, Id, IpAddress, Label, Name, Sentence
from weirkeeper.runtime import detour
from weirkeeper.runtime.detour import INSTALL, LEASE, SEES, Detour
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.shared import Place
from weirkeeper.runtime.writes import LedClient
from weirkeeper.testing.eventually import eventually

GRACE = 1.0


class Fake:
    name = "fake"


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    for name, value in {"LOOK": 0.02, "RENEW": 0.2}.items():
        monkeypatch.setattr(detour, name, value)


def seen(name, replica="b", serving=True):
    return InstanceObservation(
        load_balancer=Id("web"), provider=Name("envoy"), instance=Label(name), replica=Label(replica),
        addresses=(IpAddress("192.0.2.1"),) if serving else (), serving=serving,
    )  # fmt: skip


def refused(number, message="no"):
    return ItemObservation(
        provider=Name("envoy"), load_balancer=Id("web"), kind=Label("k"), name=Label(f"n{number}"), version=Digest("aa"),
        state=ItemState.REJECTED, message=Sentence(message),
    )  # fmt: skip


class Replica:
    def __init__(self, client, namespace, name):
        self.client, self.namespace, self.name, self.text = client, namespace, name, io.StringIO()
        self.rows, self.unheard = {}, 0.0
        self.relay = Relay(name, self._receive, GRACE)
        self.detour = Detour(client, Place(namespace, "weir", Log(self.text)), name, self.relay, lambda: self.unheard)

    def _receive(self, row):
        if isinstance(row, InstanceObservation):
            self.rows.pop((row.instance, row.replica), None)
            if row.serving:
                self.rows[row.instance, row.replica] = row

    @contextlib.asynccontextmanager
    async def following(self):
        async with task(self.detour.run()):
            yield self

    @contextlib.asynccontextmanager
    async def leading(self):
        leadership = Leadership(
            self.client, name="weir", namespace=self.namespace, identity=self.name, log=Log(self.text), metrics=Metrics(), times=LeaseTimes(),
        )  # fmt: skip

        async def led():
            self.relay.lead()
            try:
                await self.detour.lead(LedClient(self.client, leadership))
            finally:
                await self.relay.resign()

        async with task(leadership.run(led)):
            await eventually(lambda: answer(leadership.leading), 60, what="it leads")
            yield self

    async def has(self, *names, replica="b", within=60.0):
        wished = {(name, replica) for name in names}
        await eventually(lambda: answer(set(self.rows) == wished), within, what=f"the leader has {sorted(wished)}, not {sorted(self.rows)}")


async def answer(value):
    return value


@contextlib.asynccontextmanager
async def task(work):
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def leases(client, namespace):
    """Those of followers."""
    found = detour.msgspec.json.decode(await client.get_path(LEASE.path(namespace)))["items"]
    return [one for one in found if one["metadata"].get("labels", {}).get(INSTALL) == "weir"]


async def none_left(client, namespace):
    return not await leases(client, namespace)


def test_who_is_not_heard_is_heard_by_way_of_the_server_and_no_longer_than_that(either_server):
    async def scenario(client, namespace, api):
        async with Replica(client, namespace, "a").leading() as leader, Replica(client, namespace, "b").following() as follower:
            follower.relay.own(seen("e1"))
            follower.relay.own(refused(1))
            await asyncio.sleep(0)
            assert await none_left(client, namespace)
            follower.unheard = detour.AFTER
            await leader.has("e1")
            follower.relay.own(seen("e2"))
            await leader.has("e1", "e2")
            follower.relay.own(seen("e1", serving=False))
            await leader.has("e2")
            until = asyncio.get_running_loop().time() + 2 * GRACE
            while asyncio.get_running_loop().time() < until:
                assert set(leader.rows) == {("e2", "b")}, "it is renewed"
                await asyncio.sleep(0.05)
            follower.unheard = 0.0
            await eventually(lambda: none_left(client, namespace), 60, what="the Lease is gone")
            await leader.has()
            assert follower.text.getvalue().count("goes by way of the API server") == 1

    on_server(either_server, scenario)


def test_what_a_dead_replica_said_is_old_news_to_a_new_leader_and_goes():
    async def scenario(client, namespace, api):
        async with Replica(client, namespace, "b").following() as dead:
            dead.relay.own(seen("e1"))
            dead.unheard = detour.AFTER
            await eventually(lambda: _some(client, namespace), 60, what="it has said so")
        async with Replica(client, namespace, "a").leading() as leader:
            await eventually(lambda: answer(leader.detour._listed and leader.detour._found), 60, what="the leader has read it")
            assert leader.rows == {}
            async with Replica(client, namespace, "b").following() as back:
                back.relay.own(seen("e2"))
                back.unheard = detour.AFTER
                await leader.has("e2")

    on_server(Fake, scenario)


async def _some(client, namespace):
    return bool(await leases(client, namespace))


def test_leases_that_nobody_renews_are_taken_away(monkeypatch):
    monkeypatch.setattr(detour, "OLD", 0.5)
    monkeypatch.setattr(detour, "TIDY", 0.1)

    async def scenario(client, namespace, api):
        async with Replica(client, namespace, "b").following() as dead:
            dead.unheard = detour.AFTER
            await eventually(lambda: _some(client, namespace), 60, what="it has said so")
        async with Replica(client, namespace, "c").following() as living:
            living.unheard = detour.AFTER
            async with Replica(client, namespace, "a").leading():

                async def one_left():
                    return [one["spec"]["holderIdentity"] for one in await leases(client, namespace)] == ["c"]

                await eventually(one_left, 60, what="only the living one's is left")

    on_server(Fake, scenario)


def test_nonsense_and_ourselves_are_not_heard_and_another_lease_is_not_read():
    async def scenario(client, namespace, api):
        async with Replica(client, namespace, "a").leading() as leader:
            await eventually(lambda: answer(leader.detour._listed), 60, what="it listens")
            good = '{"replica": "b", "whole": true, "instances": [{"load_balancer": "web", "provider": "envoy", "instance": "e1", "replica": "b", "serving": true}]}'
            for name, text, label in (("x1", "{", "weir"), ("x2", good.replace('"b"', '"a"'), "weir"), ("x3", "[1]", "weir"), ("x4", good, "other"), ("x5", "", "weir")):
                await client.create(LEASE, lease(name, text, label), namespace)
            await eventually(lambda: answer(len(leader.detour._found) == 4), 60, what="all are read")
            assert leader.rows == {}
            await client.create(LEASE, lease("x6", good, "weir"), namespace)
            await leader.has("e1")

    on_server(Fake, scenario)


def lease(name, text, label):
    meta = {"name": name, "labels": {INSTALL: label}, "annotations": {SEES: text}}
    return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": meta, "spec": {"holderIdentity": name}}


def test_more_than_fits_is_cut_refusals_first():
    relay = Relay("b", lambda _: None, GRACE)
    made = Detour(Client(Access("http://127.0.0.1:1")), Place("n", "weir", Log(io.StringIO())), "b", relay, lambda: 0.0)
    for number in range(300):
        relay.own(refused(number, "é" * 1000))
        relay.own(seen(f"e{number}"))
    said = made._message()
    assert len(said) <= detour.LONGEST
    found = detour.msgspec.json.decode(said, type=detour.Message)
    assert len(found.instances) == 300
    assert 0 < len(found.items) < 300
    for number in range(300, 3000):
        relay.own(seen(f"e{number}"))
    assert len(made._message()) <= detour.LONGEST


def test_a_failure_is_said_once_and_tried_again():
    async def scenario(client, namespace, api):
        async with Replica(client, namespace, "b").following() as one:
            one.relay.own(seen("e1"))
            taken = await client.create(LEASE, lease(one.detour._name, "", "weir"), namespace)
            one.unheard = detour.AFTER

            async def said():
                return [SEES in (o["metadata"].get("annotations") or {}) and "e1" in o["metadata"]["annotations"][SEES] for o in await leases(client, namespace)] == [True]

            await eventually(said, 60, what="over what was there")
            await client.delete(LEASE, one.detour._name, namespace, uid=taken["metadata"]["uid"])
            await eventually(said, 60, what="it is made again")
            assert one.text.getvalue().count("could not be told") == 1

    on_server(Fake, scenario)
