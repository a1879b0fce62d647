"""The fake API server as a whole: its side entrances, its audit, its faults on the wire, and its life as a process."""

import asyncio
import json
import urllib.error

import aiohttp
import pytest

from weirkeeper.testing.apiserver import ApiServer, Denial, Fault, Trouble, apiserver_process
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.virtual_time import run_virtually

PATH = "/apis/networking.k8s.io/v1/namespaces/default/ingresses"


def ingress(name, **annotations):
    metadata = {"name": name, "namespace": "default", "annotations": annotations}
    return {"kind": "Ingress", "metadata": metadata, "spec": {"defaultBackend": {"service": {"name": "s"}}}}


def with_server(scenario, **options):
    async def whole():
        async with ApiServer(**options) as api, aiohttp.ClientSession(api.url) as session:
            await scenario(api, session)

    asyncio.run(asyncio.wait_for(whole(), 60))


async def ask(session, path, method="GET", **more):
    """The whole answer."""
    async with session.request(method, path, **more) as answer:
        await answer.read()
        return answer


async def events(answer):
    return [json.loads(line) async for line in answer.content]


def test_writes_are_audited():
    async def scenario(api, session):
        api.access.add_token("t", "leader")
        api.put(ingress("a"))
        version = api.get("Ingress", "a", "default")["metadata"]["resourceVersion"]
        sent = {"Authorization": "Bearer t", "User-Agent": "weir-0", "Content-Type": "application/merge-patch+json"}
        for label in ("1", "2"):
            body = json.dumps({"metadata": {"resourceVersion": version, "labels": {"l": label}}})
            async with session.patch(f"{PATH}/a", data=body, headers=sent):
                pass
        async with session.get(PATH):
            pass
        done, stale = api.audit.writes
        assert (done.user, done.agent, done.verb, done.name, done.sent_version) == (
            "leader",
            "weir-0",
            "patch",
            "a",
            version,
        )
        assert (done.status, done.revision, stale.status, stale.revision) == (200, api.log.revision, 409, 0)
        assert (done.digest != stale.digest, done.body) == (True, body.replace('"2"', '"1"'))
        assert api.audit.changes == [done]
        assert api.audit.counts == {("patch", "ingresses"): 2, ("list", "ingresses"): 1}

    with_server(scenario, keep_bodies=True)


def test_a_right_can_be_taken_and_given_back():
    async def scenario(api, session):
        denial = api.access.deny(Denial(plural="ingresses", verbs=("list",)))
        assert (await ask(session, PATH)).status == 403
        api.access.allow(denial)
        assert (await ask(session, PATH)).status == 200

    with_server(scenario)


def test_a_kind_can_be_withdrawn():
    async def scenario(api, session):
        watch = await session.get(PATH, params={"watch": "1"})
        kind = api.kind("Ingress")
        api.withdraw("ingresses", "networking.k8s.io")
        assert await events(watch) == []
        assert (await ask(session, PATH)).status == 404
        assert "ingresses" not in await (await ask(session, "/apis/networking.k8s.io/v1")).text()
        api.serve(kind)
        assert (await ask(session, PATH)).status == 200

    with_server(scenario)


def test_it_comes_back_on_the_same_port_with_what_it_had():
    async def scenario(api, session):
        api.put(ingress("a"))
        watch = await session.get(PATH, params={"watch": "1"})
        assert json.loads(await watch.content.readline())["type"] == "ADDED"
        await api.stop()
        with pytest.raises(aiohttp.ClientError):
            await watch.content.readline()
        with pytest.raises(aiohttp.ClientError):
            await ask(session, PATH)
        watch.close()
        await api.start()
        assert [item["metadata"]["name"] for item in (await (await ask(session, PATH)).json())["items"]] == ["a"]

    with_server(scenario)


@pytest.mark.parametrize(
    ("what", "status", "header"),
    [
        (Trouble.UNAUTHORIZED, 401, None),
        (Trouble.FORBIDDEN, 403, None),
        (Trouble.KIND_MISSING, 404, None),
        (Trouble.TOO_MANY, 429, "3"),
        (Trouble.SERVER_ERROR, 500, None),
    ],
)
def test_refusals_on_demand(what, status, header):
    async def scenario(api, session):
        api.faults.add(Fault(what=what, times=1, seconds=3))
        answer = await ask(session, PATH)
        assert (answer.status, answer.headers.get("Retry-After")) == (status, header)
        assert (await answer.json())["code"] == status
        assert (await ask(session, PATH)).status == 200

    with_server(scenario)


def test_lists_that_go_wrong():
    async def scenario(api, session):
        for name in "abcde":
            api.put(ingress(name))
        first = await (await ask(session, PATH, params={"limit": "2"})).json()
        second = {"limit": "2", "continue": first["metadata"]["continue"]}
        for what, page, status in ((Trouble.PAGE_FAILS, 1, 500), (Trouble.GONE_CONTINUE, 0, 410)):
            api.faults.add(Fault(what=what, after=page, times=1))
            assert (await ask(session, PATH, params={"limit": "2"})).status == 200
            assert (await ask(session, PATH, params=second)).status == status
        api.faults.add(Fault(what=Trouble.PAGE_CUT, times=1))
        with pytest.raises(aiohttp.ClientPayloadError):
            await ask(session, PATH)
        api.faults.add(Fault(what=Trouble.EMPTY_LIST, times=1))
        assert (await (await ask(session, PATH)).json())["items"] == []
        assert len((await (await ask(session, PATH)).json())["items"]) == 5

    with_server(scenario)


def test_watches_that_go_wrong():
    async def scenario(api, session):
        async def watched(fault, count=3):
            api.faults.clear()
            api.faults.add(fault)
            revision = str(api.log.revision)
            answer = await session.get(PATH, params={"watch": "1", "resourceVersion": revision, "timeoutSeconds": "5"})
            for number in range(count):
                api.put(ingress(f"o{number}", n=revision))
            return answer

        refused = await watched(Fault(what=Trouble.GONE_STATUS))
        assert (refused.status, (await refused.json())["reason"]) == (410, "Expired")
        gone = await events(await watched(Fault(what=Trouble.GONE_EVENT, after=2)))
        assert [event["type"] for event in gone] == ["MODIFIED", "MODIFIED", "ERROR"]
        assert gone[-1]["object"]["code"] == 410
        twice = await watched(Fault(what=Trouble.DUPLICATES), count=1)
        one, other, again = [json.loads(await twice.content.readline()) for _ in range(3)]
        assert one == other == again
        twice.close()
        cut = await watched(Fault(what=Trouble.CUT_JSON, after=1))
        assert json.loads(await cut.content.readline())["object"]["metadata"]["name"] == "o0"
        with pytest.raises(aiohttp.ClientPayloadError):
            await cut.content.readline()
        cut.close()
        stalled = await watched(Fault(what=Trouble.STALL))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(stalled.content.readline(), 0.2)
        stalled.close()
        slow = await watched(Fault(what=Trouble.TRICKLE, seconds=0.05), count=1)
        assert json.loads(await slow.content.readline())["object"]["metadata"]["name"] == "o0"
        slow.close()

    with_server(scenario)


def test_a_write_whose_answer_is_lost_has_happened():
    async def scenario(api, session):
        api.faults.add(Fault(what=Trouble.ANSWER_LOST, verbs=("create",), times=1))
        with pytest.raises(aiohttp.ClientError):
            await ask(session, PATH, "POST", json=ingress("a"))
        assert api.get("Ingress", "a", "default") is not None
        api.faults.add(Fault(what=Trouble.CONFLICT, verbs=("update",), times=1))
        assert (await ask(session, f"{PATH}/a", "PUT", json=ingress("a"))).status == 409
        assert (await ask(session, f"{PATH}/a", "PUT", json=ingress("a"))).status == 200

    with_server(scenario)


def test_a_write_takes_its_time():
    async def scenario():
        loop = asyncio.get_running_loop()
        async with ApiServer(write_delay=0.5, clock=loop.time) as api, aiohttp.ClientSession(api.url) as session:
            begun = loop.time()
            assert (await ask(session, PATH, "POST", json=ingress("a"))).status == 201
            assert 0.5 <= loop.time() - begun < 0.6
            assert api.audit.writes[0].at == pytest.approx(begun + 0.5, abs=0.01)

    run_virtually(scenario())


def test_a_process_is_filled_churned_and_asked():
    template = {
        "kind": "Service",
        "metadata": {"name": "s-${n}", "namespace": "x"},
        "spec": {"clusterIP": "${address}"},
    }
    with apiserver_process("--keep-bodies") as api:
        api.fill(template, 300)
        assert api.control("state")["objects"]["services"] == 300
        api.control(
            "churn",
            {"kind": "services", "rate": 1000, "seconds": 0.2, "path": "/spec/clusterIP", "value": "${address}"},
        )

        async def done():
            told = await asyncio.to_thread(api.control, "churned")
            return told["changes"] if len(told["changes"]) == 200 and not told["running"] else None

        changes = asyncio.run(eventually(done, 10))
        assert [change["number"] for change in changes] == list(range(200))
        assert changes == sorted(changes, key=lambda change: change["at"])
        api.control("put", {"kind": "Secret", "metadata": {"name": "k", "namespace": "x"}})
        api.control("remove", {"kind": "Secret", "name": "k", "namespace": "x"})
        api.control("fault", {"what": "server-error", "plural": "services"})
        with pytest.raises(urllib.error.HTTPError, match="400"):
            api.control("nonsense")

        async def over_the_wire():
            async with aiohttp.ClientSession(api.url) as session:
                refused = (await ask(session, "/api/v1/services")).status
                await asyncio.to_thread(api.control, "clear-faults")
                listed = await (await ask(session, "/api/v1/services")).json()
                return refused, {item["metadata"]["name"]: item["spec"]["clusterIP"] for item in listed["items"]}

        refused, found = asyncio.run(over_the_wire())
        assert refused == 500
        assert (len(found), found[changes[199]["name"]]) == (300, "10.0.0.199")
        assert [record["status"] for record in api.control("audit", {"plural": "services"})["records"]] == [500, 200]
