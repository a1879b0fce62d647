"""Conditions on shared lists: ours come, move and go, others' stay; a thousand changes of one object are a handful of writes; nothing is written twice."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator

from either import Fake
from leading import TIMES, on_server

from weirkeeper.feeds.base import Cause, Seen
from weirkeeper.kube.conditions import Condition, ConditionsWish, ListenerReport, ParentReport, Report
from weirkeeper.kube.errors import Conflict
from weirkeeper.kube.gateway_routes import HTTPRoute
from weirkeeper.kube.gateway_types import GROUP, RESOURCES, Gateway
from weirkeeper.kube.watch import Absent, Applied, Deleted, Listed, Reflector
from weirkeeper.model.ids import Ref
from weirkeeper.runtime.condition_writer import PARALLEL, ConditionWriter, Pace
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.writes import LedClient
from weirkeeper.testing.apiserver.kinds import custom
from weirkeeper.testing.eventually import eventually

OURS = "weirkeeper.io/gateway"
ROUTE, GATEWAY = RESOURCES[GROUP, "HTTPRoute"], RESOURCES[GROUP, "Gateway"]
FAKE = Fake()


def body(kind, name):
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, "spec": {}}


def theirs(number):
    return {
        "parentRef": {"name": "x"},
        "controllerName": "example.com/other",
        "conditions": [{"type": "Odd", "number": number}],
    }


@contextlib.asynccontextmanager
async def writing(client, namespace, kinds=((ROUTE, HTTPRoute), (GATEWAY, Gateway)), **options) -> AsyncIterator[ConditionWriter]:
    """A leader that writes, fed by watches as the program feeds it."""
    log, metrics = Log(io.StringIO()), Metrics()
    leadership = Leadership(
        client, name="lease", namespace=namespace, identity="one", log=log, metrics=metrics, times=TIMES
    )
    writer = ConditionWriter(LedClient(client, leadership), OURS, log=log, metrics=metrics, caution=0.0, **options)
    listed = asyncio.Event()

    def tell(news):
        for one in news:
            match one:
                case Applied():
                    writer.seen([Seen(ref=one.ref, object=one.object)])
                case Deleted() | Absent():
                    writer.seen([Seen(ref=one.ref, cause=Cause.DELETED)])
                case Listed():
                    listed.set()

    watches = [Reflector(client, resource, type=kind, namespace=namespace, tell=tell) for resource, kind in kinds]
    tasks = [asyncio.create_task(one.run()) for one in watches]
    tasks.append(asyncio.create_task(leadership.run(writer.run)))
    await listed.wait()
    try:
        yield writer
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def route_wish(name, namespace, message=""):
    ref = Ref(group=GROUP, kind="HTTPRoute", namespace=namespace, name=name)
    good = Condition(type="Accepted", status="True", reason="Accepted", message=message)
    parent = ParentReport(reference=(("name", "g"),), conditions=(good,))
    return {ref: ConditionsWish(ref=ref, report=Report(controller=OURS, generation=1, parents=(parent,)))}


def gateway_wish(name, namespace, count):
    ref = Ref(group=GROUP, kind="Gateway", namespace=namespace, name=name)
    report = Report(controller=OURS, generation=1, listeners=(ListenerReport(name="http", attached=count),))
    return {ref: ConditionsWish(ref=ref, report=report, addresses=())}


def serve(api):
    api.serve(custom("httproutes", "HTTPRoute", group=GROUP, version="v1", status=True))
    api.serve(custom("gateways", "Gateway", group=GROUP, version="v1", status=True))


async def entries(client, namespace):
    found = await client.get(ROUTE, "r", namespace)
    return {one["controllerName"]: one for one in (found.get("status") or {}).get("parents") or ()}


async def write_theirs(client, namespace, number):
    """Another controller: takes its own entry out of the list, puts a new one in, and again after a conflict."""
    while True:
        found = await client.get(ROUTE, "r", namespace)
        others = [one for one in (found.get("status") or {}).get("parents") or () if one["controllerName"] == OURS]
        version = found["metadata"]["resourceVersion"]
        fields = {"metadata": {"resourceVersion": version}, "status": {"parents": [theirs(number), *others]}}
        try:
            return await client.patch(ROUTE, "r", fields, namespace, "status")
        except Conflict:
            continue


def test_another_controller_that_writes_all_the_time_loses_nothing():
    async def scenario(client, namespace, api):
        serve(api)
        await client.create(ROUTE, body("HTTPRoute", "r"), namespace)
        async with writing(client, namespace, pace=Pace(0.0, 0.0, 0.0)) as writer:
            for number in range(40):
                writer.wished(route_wish("r", namespace, f"turn {number}"))
                await write_theirs(client, namespace, number)
                assert (await entries(client, namespace))["example.com/other"] == theirs(number)

            async def done():
                found = await entries(client, namespace)
                ours = found.get(OURS, {"conditions": [{}]})["conditions"][0].get("message")
                return found["example.com/other"] == theirs(39) and ours == "turn 39"

            await eventually(done, 60, what="both have their last word")
            (ref,) = route_wish("r", namespace)
            writer.wished({ref: None})

            async def gone():
                return set(await entries(client, namespace)) == {"example.com/other"}

            await eventually(gone, 60, what="ours is gone, theirs is there")

    on_server(FAKE, scenario)


def test_a_thousand_changes_of_a_gateway_are_a_handful_of_writes():
    async def scenario(client, namespace, api):
        serve(api)
        await client.create(GATEWAY, body("Gateway", "g"), namespace)
        async with writing(client, namespace) as writer:
            began = asyncio.get_running_loop().time()
            for count in range(1, 1001):
                writer.wished(gateway_wish("g", namespace, count))
                if count % 10 == 0:
                    await asyncio.sleep(0.01)
            last = asyncio.get_running_loop().time()

            async def done():
                found = await client.get(GATEWAY, "g", namespace)
                listed = (found.get("status") or {}).get("listeners") or ()
                return bool(listed) and listed[0]["attachedRoutes"] == 1000

            await eventually(done, 60, what="the last count is there")
            ended = asyncio.get_running_loop().time()
            print(f"the last count was there after {ended - last:.2f} s")
            written = [record for record in api.audit.writes if record.subresource == "status"]
            assert 2 <= len(written) <= 2 + (ended - began) / Pace().soonest, "as many as its pace lets through, however long the changes take"

    on_server(FAKE, scenario)


def test_a_gateway_does_not_wait_behind_its_routes():
    async def scenario(client, namespace, api):
        serve(api)
        await client.create(GATEWAY, body("Gateway", "g"), namespace)
        routes = [f"r{number}" for number in range(40)]
        for name in routes:
            await client.create(ROUTE, body("HTTPRoute", name), namespace)
        async with writing(client, namespace) as writer:

            async def seen():
                return len(writer._standing) == len(routes) + 1

            await eventually(seen, 30.0, what="all of them are seen")
            writer.wished({ref: one for name in routes for ref, one in route_wish(name, namespace).items()})
            writer.wished(gateway_wish("g", namespace, len(routes)))

            async def done():
                return len(written()) == len(routes) + 1

            def written():
                return [record.name for record in api.audit.writes if record.subresource == "status"]

            await eventually(done, 30.0, what="all of them are written")
            assert written().index("g") < PARALLEL

    on_server(FAKE, scenario)
