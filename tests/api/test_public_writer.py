"""Public endpoints on Services and workloads: written where they differ, taken back, never twice, and nothing else of the object touched."""

import asyncio

import pytest
from leading import Replica, on_server

from weirkeeper.kube.access import Access, StaticToken, Trust
from weirkeeper.kube.client import Client
from weirkeeper.kube.resources import KNOWN
from weirkeeper.model.ids import Ref
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.public_writer import PublicWriter, marked_kinds
from weirkeeper.testing.apiserver import Fault, Trouble
from weirkeeper.testing.eventually import eventually

KEY = "weirkeeper.io/public-endpoints"
SERVICE, DEPLOYMENT = KNOWN["", "Service"], KNOWN["apps", "Deployment"]


class Fake:
    name = "fake"


class Publisher(Replica):
    """A replica that writes public endpoints; the namespace is all it looks at."""

    def __init__(self, client, namespace, who="one"):
        super().__init__(client, namespace, who)
        self.public = PublicWriter(
            client, self.led, KEY, "weir-test", marked_kinds(workloads=True), [namespace], Log(self.log), self.metrics
        )

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self.leadership.run(self.public.run))]
        return self

    def ref(self, kind, name):
        return Ref(group=kind.group, kind=kind.kind, namespace=self.namespace, name=name)

    async def marked(self, kind, name, text, within=60.0):
        """Waits until the object's annotation is this text, and answers with the object."""

        async def look():
            found = await self.client.get(kind, name, self.namespace)
            return found if (found["metadata"].get("annotations") or {}).get(KEY) == text else None

        return await eventually(look, within, what=f"{name} says {text}")


def service(name, annotations=None):
    meta = {"name": name, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80}]}}


def deployment(name, annotations=None):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "annotations": annotations or {}}, "spec": spec,
    }  # fmt: skip


def test_annotations_are_written_changed_and_taken_back(either_server):
    async def scenario(client, namespace, api):
        await client.create(SERVICE, service("shop", {"theirs": "1"}), namespace)
        await client.create(DEPLOYMENT, deployment("web"), namespace)
        async with Publisher(client, namespace) as one:
            shop, web = one.ref(SERVICE, "shop"), one.ref(DEPLOYMENT, "web")
            one.public.wished({shop: "[1]", web: "[2]", one.ref(SERVICE, "missing"): "[3]"})
            await one.marked(SERVICE, "shop", "[1]")
            before = await one.marked(DEPLOYMENT, "web", "[2]")
            one.public.wished({shop: "[4]"})
            await one.marked(SERVICE, "shop", "[4]")
            one.public.wished({shop: None})
            found = await one.marked(SERVICE, "shop", None)
            assert found["metadata"]["annotations"] == {"theirs": "1"}
            after = await one.marked(DEPLOYMENT, "web", "[2]")
            assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]

    on_server(either_server, scenario)


def test_what_an_earlier_leader_left_goes_and_what_is_right_is_not_written(either_server):
    async def scenario(client, namespace, api):
        await client.create(SERVICE, service("old", {KEY: "[9]"}), namespace)
        await client.create(DEPLOYMENT, deployment("old", {KEY: "[9]"}), namespace)
        right = await client.create(SERVICE, service("right", {KEY: "[1]"}), namespace)
        async with Publisher(client, namespace) as one:
            one.public.wished({one.ref(SERVICE, "right"): "[1]"})
            await one.marked(SERVICE, "old", None)
            await one.marked(DEPLOYMENT, "old", None)
            found = await one.marked(SERVICE, "right", "[1]")
            assert found["metadata"]["resourceVersion"] == right["metadata"]["resourceVersion"]

    on_server(either_server, scenario)


@pytest.mark.cluster
def test_what_another_install_wrote_is_not_taken_back(real):
    async def scenario(client, namespace, api):
        access = Access(
            real.url, credentials=StaticToken(real.tokens["admin"]), trust=Trust(authority=real.authority.pem())
        )
        async with Client(access, user_agent="another/1") as another:
            await another.create(SERVICE, service("theirs", {KEY: "[9]"}), namespace)
        await client.create(SERVICE, service("ours", {KEY: "[9]"}), namespace)
        async with Publisher(client, namespace) as one:
            one.public.wished({})
            await one.marked(SERVICE, "ours", None)
            await one.marked(SERVICE, "theirs", "[9]")
            one.public.wished({one.ref(SERVICE, "theirs"): "[1]"})
            await one.marked(SERVICE, "theirs", "[1]")
            one.public.wished({one.ref(SERVICE, "theirs"): None})
            await one.marked(SERVICE, "theirs", None)

    on_server(real, scenario)


def test_one_that_is_refused_does_not_hold_up_the_others_and_is_tried_again():
    async def scenario(client, namespace, api):
        other = f"{namespace}-z"
        await client.create(KNOWN["", "Namespace"], {"metadata": {"name": other}})
        for place in (namespace, other):
            await client.create(SERVICE, service("shop"), place)
        fault = api.faults.add(Fault(what=Trouble.FORBIDDEN, plural="services", namespace=namespace, verbs=("patch",)))
        async with Publisher(client, namespace) as one:
            refs = [Ref(kind="Service", namespace=place, name="shop") for place in (namespace, other)]
            one.public.wished(dict.fromkeys(refs, "[1]"))
            await eventually(lambda: says(client, other), 60)
            assert not await says(client, namespace)
            api.faults.lift(fault)
            await one.marked(SERVICE, "shop", "[1]")

    on_server(Fake, scenario)


async def says(client, namespace):
    found = await client.get(SERVICE, "shop", namespace)
    return KEY in (found["metadata"].get("annotations") or {})


def test_nothing_is_written_before_everything_was_seen(either_server):
    async def scenario(client, namespace, api):
        await client.create(SERVICE, service("old", {KEY: "[9]"}), namespace)
        async with Publisher(client, namespace) as one:
            await eventually(lambda: leading(one), 60)
            await asyncio.sleep(0.5)  # what must not happen has no end to wait for
            await one.marked(SERVICE, "old", "[9]")
            one.public.wished({})
            await one.marked(SERVICE, "old", None)

    async def leading(one):
        return one.leadership.leading

    on_server(either_server, scenario)
