"""Events on objects: told when new, counted when they come back, never a flood, and there for `kubectl describe`."""

import asyncio
import contextlib

import msgspec
import pytest
from leading import INGRESS, Replica, ingress, on_server, ref

from weirkeeper.feeds.base import Cause, Seen
from weirkeeper.kube.events import EVENT
from weirkeeper.kube.types import AddressStatus, Ingress, VersionedMetadata
from weirkeeper.model.finding import Finding, Reason, Severity
from weirkeeper.model.origin import Origin
from weirkeeper.runtime import event_writer
from weirkeeper.runtime.event_writer import EventWriter
from weirkeeper.runtime.logging import Log
from weirkeeper.testing.apiserver import Fault, Trouble
from weirkeeper.testing.eventually import eventually


class Fake:
    name = "fake"


class Talker(Replica):
    """A replica that tells findings."""

    def __init__(self, client, namespace, who="one"):
        super().__init__(client, namespace, who)
        self.events = EventWriter(
            self.led, reporter="weirkeeper.io/ingress", instance=who, log=Log(self.log), metrics=self.metrics
        )

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self.leadership.run(self.events.run))]
        return self

    def see(self, found):
        meta = VersionedMetadata(name=found["metadata"]["name"], namespace=self.namespace, uid=found["metadata"]["uid"])
        thing = Ingress(api_version="networking.k8s.io/v1", kind="Ingress", metadata=meta)
        self.events.seen([Seen(ref=thing.ref, object=thing)])
        return thing

    def find(self, thing, *says, severity=Severity.WARNING, parts=1):
        findings = tuple(
            Finding(severity=severity, reason=Reason.SERVICE_NOT_FOUND, for_user=text, remedy="create it", origin=Origin(ref=thing.ref, uid=thing.metadata.uid),
                    for_operator=f"part {part}", affected=(str(part),))
            for text in says for part in range(parts)
        )  # fmt: skip
        self.events.found({thing.ref: findings or None})

    async def told(self, *notes, counts=None, within=60.0):
        """Waits until these and no other notes are told in our namespace, each so often."""
        wished = dict(zip(notes, counts or [1] * len(notes), strict=True))

        async def look():
            listed = await self.all_events()
            found = {one["note"].partition(".")[0]: (one.get("series") or {}).get("count", 1) for one in listed}
            return listed if found == wished else None

        return await eventually(look, within, what=f"told {wished}")

    async def all_events(self):
        return msgspec.json.decode(await self.client.get_path(EVENT.path(self.namespace)))["items"]


def test_what_is_new_is_told_and_what_comes_back_is_counted(either_server):
    async def scenario(client, namespace, api):
        found = await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Talker(client, namespace) as one:
            shop = one.see(found)
            one.find(shop, "a is missing")
            [event] = await one.told("a is missing")
            assert event["regarding"]["uid"] == shop.metadata.uid
            one.find(shop, "a is missing", "b is missing")
            await one.told("a is missing", "b is missing")
            one.find(shop, "b is missing")
            one.find(shop, "a is missing", "b is missing")
            await one.told("a is missing", "b is missing", counts=[2, 1])
            one.find(shop)
            one.find(shop, "a is missing")
            await one.told("a is missing", "b is missing", counts=[3, 1])
            one.find(shop, "a is missing", "c is missing", "d is missing", parts=3)
            await one.told("a is missing", "b is missing", "c is missing", "d is missing", counts=[3, 1, 1, 1])

    on_server(either_server, scenario)


def test_a_successor_repeats_nothing_and_counts_on(either_server):
    async def scenario(client, namespace, api):
        found = await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Talker(client, namespace) as one:
            shop = one.see(found)
            one.find(shop, "a is missing")
            await one.told("a is missing")
        async with Talker(client, namespace, "two") as two:
            shop = two.see(found)
            two.find(shop, "a is missing", "b is missing")
            await two.told("a is missing", "b is missing")
            two.find(shop, "b is missing")
            two.find(shop, "a is missing", "b is missing")
            await two.told("a is missing", "b is missing", counts=[2, 1])

    on_server(either_server, scenario)


def test_one_object_is_not_flooded_and_holds_nobody_up():
    async def scenario(client, namespace, api):
        loud, quiet = [await client.create(INGRESS, ingress(name, namespace), namespace) for name in ("loud", "quiet")]
        async with Talker(client, namespace) as one:
            loud, quiet = one.see(loud), one.see(quiet)
            one.find(loud, *(f"{n:02} is missing" for n in range(40)))
            one.find(quiet, "q is missing")
            await one.told(*(f"{n:02} is missing" for n in range(10)), "q is missing")
            one.find(loud)
            one.find(quiet, "q is missing", "r is missing")
            await one.told(*(f"{n:02} is missing" for n in range(10)), "q is missing", "r is missing")

    on_server(Fake, scenario)


def test_what_no_longer_stands_is_not_told_and_a_deleted_object_neither():
    async def scenario(client, namespace, api):
        found = [await client.create(INGRESS, ingress(name, namespace), namespace) for name in ("a", "b", "c")]
        api.faults.add(Fault(what=Trouble.SERVER_ERROR, plural="events", verbs=("create",), times=2))
        async with Talker(client, namespace) as one:
            a, b, c = (one.see(each) for each in found)
            one.find(a, "a is missing")
            one.find(b, "b is missing")
            one.find(c, "c is missing")
            one.find(a)
            one.events.seen([Seen(ref=b.ref, cause=Cause.DELETED)])
            await one.told("c is missing")

    on_server(Fake, scenario)


def test_troubles_are_lived_through_and_a_refusal_costs_a_line():
    async def scenario(client, namespace, api):
        found = await client.create(INGRESS, ingress("shop", namespace), namespace)
        forbidden = api.faults.add(Fault(what=Trouble.FORBIDDEN, plural="events", verbs=("create",)))
        async with Talker(client, namespace) as one:
            shop = one.see(found)
            one.find(shop, "a is missing")

            async def said():
                return "an event cannot be written" in one.log.getvalue()

            await eventually(said, 60)
            api.faults.lift(forbidden)
            api.faults.add(Fault(what=Trouble.NO_ANSWER, plural="events", verbs=("create",), times=3))
            one.find(shop, "a is missing", "b is missing")
            await one.told("b is missing")

    on_server(Fake, scenario)


def test_a_warning_that_stands_is_counted_again_before_its_event_fades(monkeypatch):
    monkeypatch.setattr(event_writer, "REPEAT", 0.2)
    monkeypatch.setattr(event_writer, "LOOK", 0.1)

    async def scenario(client, namespace, api):
        found = await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Talker(client, namespace) as one:
            shop = one.see(found)
            one.find(shop, "a is missing")
            await one.told("a is missing", counts=[3])
            with contextlib.suppress(AssertionError):
                [event] = await one.all_events()
                api.remove("Event", event["metadata"]["name"], namespace, api_version="events.k8s.io/v1")
            await one.told("a is missing")  # it faded all the same: told anew

    on_server(Fake, scenario)


@pytest.mark.cluster
def test_kubectl_describe_shows_what_a_user_can_act_on(real):
    async def scenario(client, namespace, api):
        found = await client.create(INGRESS, ingress("shop", namespace), namespace)
        async with Talker(client, namespace) as one:
            shop = one.see(found)
            one.find(shop, "there is no Service w")
            await one.told("there is no Service w")
            one.events.live(ref("shop", namespace), shop.metadata.uid, (AddressStatus(ip="192-0-2-1"),))
            await one.told("there is no Service w", "served at 192-0-2-1")
            shown = await asyncio.to_thread(real.kubectl, "describe", "ingress", "shop", "-n", namespace)
            assert "Warning  ServiceNotFound" in shown
            assert "weirkeeper.io/ingress  there is no Service w. To do: create it [WK201]" in shown
            assert "Normal   Programmed" in shown

    on_server(real, scenario)


def test_that_thousands_are_served_is_left_to_their_statuses(monkeypatch):
    monkeypatch.setattr(event_writer, "MOST_WAITING", 3)

    async def scenario(client, namespace, api):
        found = [await client.create(INGRESS, ingress(f"shop-{n}", namespace), namespace) for n in range(9)]
        async with Talker(client, namespace) as one:
            shops = [one.see(made) for made in found]
            one.find(shops[0], "the first is missing")
            await one.told("the first is missing")  # it leads
            for number, shop in enumerate(shops):
                one.events.live(shop.ref, shop.metadata.uid, (AddressStatus(ip=f"192-0-2-{number}"),))
            one.find(shops[8], "a is missing")
            await one.told(
                "the first is missing",
                "a is missing",
                "served at 192-0-2-0",
                "served at 192-0-2-1",
                "served at 192-0-2-2",
            )

    on_server(Fake, scenario)
