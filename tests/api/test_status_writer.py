"""Statuses on a shared list: ours come, move and go, others' stay; nothing is written twice; a successor knows what was ours."""

import asyncio
import time

import pytest
from leading import INGRESS, Replica, entry, ingress, on_server, ref

from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import Conflict
from weirkeeper.testing.apiserver import Fault, Trouble
from weirkeeper.testing.eventually import eventually

FOREIGN = {"hostname": "other.example"}


async def write(client, name, namespace, change):
    """Another controller: reads, changes the list, writes, and again after a conflict."""
    while True:
        found = await client.get(INGRESS, name, namespace)
        listed = ((found.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        body = {
            "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
            "status": {"loadBalancer": {"ingress": change(listed)}},
        }
        try:
            return await client.patch(INGRESS, name, body, namespace, "status")
        except Conflict:
            continue


def test_our_entries_come_move_and_go_and_others_stay(either_server):
    async def scenario(client, namespace, api):
        await client.create(INGRESS, ingress("shop", namespace), namespace)
        await write(client, "shop", namespace, lambda listed: [FOREIGN])
        async with Replica(client, namespace) as one:
            one.wish("shop", ips=("10.0.0.1",))
            await one.says("shop", FOREIGN, entry("10.0.0.1"))
            one.wish("shop", ips=("10.0.0.2", "10.0.0.1"))
            await one.says("shop", FOREIGN, entry("10.0.0.1"), entry("10.0.0.2"))
            await write(client, "shop", namespace, lambda listed: [*listed, {"ip": "192.0.2.1"}, {"ip": "10.0.0.2"}])
            one.wish("shop", ips=("10.0.0.2",))
            await one.says("shop", FOREIGN, entry("10.0.0.2"), {"ip": "192.0.2.1"}, {"ip": "10.0.0.2"})
            one.wish("shop", ips=None)
            await one.says("shop", FOREIGN, {"ip": "192.0.2.1"}, {"ip": "10.0.0.2"})
            assert [(told[0], len(told[1]) > 8) for told in one.live] == [(ref("shop", namespace), True)]
            found = await client.get(INGRESS, "shop", namespace)
            assert found["spec"]["rules"] == [{"host": "shop.example"}]

    on_server(either_server, scenario)


def test_a_list_that_another_controller_overwrites_gets_our_entries_back(either_server):
    async def scenario(client, namespace, api):
        await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Replica(client, namespace) as one:
            one.wish("shop", ips=("10.0.0.1",))
            for turn in range(20):
                await write(client, "shop", namespace, lambda listed, turn=turn: [{"hostname": f"h{turn}.example"}])
            await one.says("shop", {"hostname": "h19.example"}, entry("10.0.0.1"))

    on_server(either_server, scenario)


def test_a_right_status_is_not_written_and_a_deleted_object_neither():
    async def scenario(client, namespace, api):
        for name in ("right", "gone"):
            await client.create(INGRESS, ingress(name, namespace), namespace)
        await write(client, "right", namespace, lambda _: [entry("10.0.0.1")])
        async with Replica(client, namespace) as one:
            await client.delete(INGRESS, "gone", namespace)
            await eventually_gone(one, "gone")
            api.audit.clear()
            one.wish("right", "gone", "never", ips=("10.0.0.1",))
            one.wish("right", ips=("10.0.0.1",))
            await client.create(INGRESS, ingress("last", namespace), namespace)
            one.wish("last", ips=("10.0.0.1",))
            await one.says("last", entry("10.0.0.1"))
            written = [record.name for record in api.audit.writes if record.subresource == "status"]
            assert written == ["last"]
            assert not [record for record in api.audit.records if record.verb == "get" and record.name == "right"]

    on_server(Fake, scenario)


class Fake:
    name = "fake"


async def eventually_gone(one, name):
    async def look():
        return one.writer.desk.standing(ref(name, one.namespace)) is None

    await eventually(look, 60)


@pytest.mark.parametrize(
    "trouble", [Trouble.TOO_MANY, Trouble.SERVER_ERROR, Trouble.CONFLICT, Trouble.NO_ANSWER, Trouble.ANSWER_LOST]
)
def test_troubles_of_the_server_are_lived_through_and_the_newest_wish_wins(trouble):
    async def scenario(client, namespace, api):
        names = [f"i{n}" for n in range(40)]
        for name in names:
            await client.create(INGRESS, ingress(name, namespace), namespace)
        async with Replica(client, namespace) as one:
            api.faults.add(Fault(what=trouble, plural="ingresses", verbs=("patch",), every=5, times=12, seconds=0.1))
            for turn in range(5):
                one.wish(*names, ips=(f"10.0.0.{turn}",))
                await asyncio.sleep(0)
            for name in names:
                await one.says(name, entry("10.0.0.4"), within=60)
            assert api.faults.struck[trouble] >= 1

    on_server(Fake, scenario)


def test_a_successor_takes_away_what_its_predecessor_published_but_not_in_haste(either_server):
    async def scenario(client, namespace, api):
        await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Replica(client, namespace) as one:
            one.wish("shop", ips=("10.0.0.1", "10.0.0.2"))
            await one.says("shop", entry("10.0.0.1"), entry("10.0.0.2"))
        async with Replica(client, namespace, "two", caution=1.0) as two:
            began = time.monotonic()
            two.wish("shop", ips=("10.0.0.3",))
            await two.says("shop", entry("10.0.0.3"))
            assert time.monotonic() - began > 1.0
            # the watch tells of every state, also of those that are over before anybody looks
            await two.saw(["10.0.0.1", "10.0.0.2", "10.0.0.3"], ["10.0.0.3"])

    on_server(either_server, scenario)


def test_an_address_that_a_new_leader_has_heard_of_may_go_at_once():
    async def scenario(client, namespace, api):
        await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Replica(client, namespace, caution=3600) as one:
            one.wish("shop", ips=("10.0.0.1", "10.0.0.2"))
            await one.says("shop", entry("10.0.0.1"), entry("10.0.0.2"))
            one.wish("shop", ips=("10.0.0.2",))
            await one.says("shop", entry("10.0.0.2"))

    on_server(Fake, scenario)


def test_nothing_is_taken_away_before_anything_is_wished(either_server):
    async def scenario(client, namespace, api):
        await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Replica(client, namespace) as one:
            one.wish("shop", ips=("10.0.0.1",))
            await one.says("shop", entry("10.0.0.1"))
        async with Replica(client, namespace, "two") as two:

            async def leads():
                return two.leadership.leading

            await eventually(leads, 60)
            await asyncio.sleep(0.3)  # a writer that acted on nothing would have by now
            await two.says("shop", entry("10.0.0.1"))
            two.wish("shop", ips=())
            await two.says("shop")

    on_server(either_server, scenario)


@pytest.mark.cluster
def test_what_was_left_behind_is_cleared_only_where_the_servers_book_names_us(real):
    async def scenario(client, namespace, api):
        for name in ("ours", "foreign", "kept"):
            await client.create(INGRESS, ingress(name, namespace), namespace)
        async with Replica(client, namespace) as one:
            one.wish("ours", "kept", ips=("10.0.0.1",))
            await one.says("ours", entry("10.0.0.1"))
            await one.says("kept", entry("10.0.0.1"))
        async with Client(client.access, user_agent="other/2") as other:
            await write(other, "foreign", namespace, lambda _: [entry("10.0.0.1")])
            await write(other, "kept", namespace, lambda listed: [*listed, FOREIGN])
        async with Replica(client, namespace, "two") as two:
            two.wish("nobody", ips=())
            await two.says("ours")
            await two.says("foreign", entry("10.0.0.1"))
            await two.says("kept", entry("10.0.0.1"), FOREIGN)

    on_server(real, scenario)


def test_leaving_for_good_clears_all(either_server):
    async def scenario(client, namespace, api):
        for name in ("a", "b"):
            await client.create(INGRESS, ingress(name, namespace), namespace)
        await write(client, "b", namespace, lambda _: [FOREIGN])
        async with Replica(client, namespace) as one:
            one.wish("a", "b", ips=("10.0.0.1",))
            await one.says("a", entry("10.0.0.1"))
            await one.says("b", FOREIGN, entry("10.0.0.1"))
            await asyncio.wait_for(one.writer.clear(), 60)
            assert (await one.shown("a"), await one.shown("b")) == ([], [FOREIGN]), "as soon as it has returned"

    on_server(either_server, scenario)


def test_a_thousand_statuses_take_one_write_each():
    async def scenario(client, namespace, api):
        names = [f"i{n}" for n in range(1000)]
        for name in names:
            api.put(ingress(name, namespace))
        async with Replica(client, namespace) as one:
            one.wish("i0", ips=())
            api.audit.clear()
            began = time.monotonic()
            one.wish(*names, ips=("10.0.0.1",))

            async def all_right():
                return all(
                    api.get("Ingress", name, namespace)["status"].get("loadBalancer", {}).get("ingress")
                    for name in names
                )

            await eventually(all_right, 60, pause=0.05)
            print(f"1,000 statuses in {time.monotonic() - began:.2f} s")
            written = [record for record in api.audit.writes if record.subresource == "status"]
            assert len(written) == 1000

    on_server(Fake, scenario, write_delay=0.005)


def test_where_the_record_may_not_be_kept_statuses_are_written_all_the_same():
    async def scenario(client, namespace, api):
        api.faults.add(Fault(what=Trouble.FORBIDDEN, plural="configmaps", verbs=("get", "create", "patch")))
        await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Replica(client, namespace) as one:
            one.wish("shop", ips=("10.0.0.1",))
            await one.says("shop", entry("10.0.0.1"))
            one.wish("shop", ips=())
            await one.says("shop")
            assert one.log.getvalue().count("not remembered") == 1

    on_server(Fake, scenario)


def test_two_installs_and_a_foreign_controller_on_the_same_objects_lose_nothing(either_server):
    async def scenario(client, namespace, api):
        names = [f"i{n}" for n in range(5)]
        for name in names:
            await client.create(INGRESS, ingress(name, namespace), namespace)
        async with (
            Replica(client, namespace, "a", install="-a", manager="a") as a,
            Replica(client, namespace, "b", install="-b", manager="b") as b,
        ):
            for turn in range(12):
                a.wish(*names, ips=(f"10.0.1.{turn}",))
                b.wish(*names, ips=(f"10.0.2.{turn}", "10.0.2.100"))
                name = names[turn % 5]
                await write(
                    client, name, namespace, lambda listed, turn=turn: [*listed, {"hostname": f"h{turn}.example"}]
                )

            async def right(name):
                listed = (await client.get(INGRESS, name, namespace))["status"]["loadBalancer"]["ingress"]
                hosts = [{"hostname": f"h{turn}.example"} for turn in range(12) if names[turn % 5] == name]
                wished = [entry("10.0.1.11"), entry("10.0.2.11"), entry("10.0.2.100"), *hosts]
                return sorted(map(str, listed)) == sorted(map(str, wished))

            for name in names:
                await eventually(lambda name=name: right(name), 60, what=f"{name} has all entries")
            if api is not None:
                before = len([record for record in api.audit.writes if record.plural != "leases"])
                a.wish(*names, ips=("10.0.1.11",))
                await asyncio.sleep(0.5)  # an idle writer writes nothing: there is nothing to wait for
                assert len([record for record in api.audit.writes if record.plural != "leases"]) == before

    on_server(either_server, scenario)
