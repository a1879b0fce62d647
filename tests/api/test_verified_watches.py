"""The fake API server and a real kube-apiserver send the same events: order, revisions, selectors, bookmarks, ends."""

import asyncio
import json
import ssl

import aiohttp
import pytest
from either import INGRESSES, SECRETS, Wire, ingress, run_on

from weirkeeper.testing.apiserver import ApiServer
from weirkeeper.testing.apiserver_real import api_server

STREAMED = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}


def seen(event):
    """Kind of event and object's name; a bookmark by whether it ends the initial events."""
    if event["type"] == "BOOKMARK":
        notes = event["object"]["metadata"].get("annotations") or {}
        return "BOOKMARK", notes.get("k8s.io/initial-events-end", "")
    return event["type"], event["object"]["metadata"]["name"]


def revision(event):
    return int(event["object"]["metadata"]["resourceVersion"])


async def some(wire, *names, **labels):
    for name in names:
        assert (await wire.post(wire.path(INGRESSES), ingress(name, labels=labels))).status == 201


def test_changes_after_a_list(either_server):
    async def scenario(wire: Wire):
        path = wire.path(INGRESSES)
        await some(wire, "a", "b")
        listed = (await wire.get(path)).json["metadata"]["resourceVersion"]
        async with wire.watch(path, resourceVersion=listed) as watch:
            await some(wire, "c")
            await wire.patch(wire.path(INGRESSES, "a"), {"metadata": {"labels": {"x": "1"}}})
            await wire.patch(wire.path(INGRESSES, "a"), {"metadata": {"labels": {"x": "1"}}})  # changes nothing
            await wire.delete(wire.path(INGRESSES, "b"))
            events = await watch.take(3)
        assert [seen(event) for event in events] == [("ADDED", "c"), ("MODIFIED", "a"), ("DELETED", "b")]
        revisions = [revision(event) for event in events]
        assert int(listed) < revisions[0] < revisions[1] < revisions[2]  # a deletion has a revision of its own
        assert all(list(event["object"])[:2] == ["kind", "apiVersion"] for event in events)
        assert events[2]["object"]["spec"] == ingress("b")["spec"]
        async with wire.watch(path, resourceVersion=str(revisions[0]), timeoutSeconds="1") as resumed:
            assert [seen(event) for event in await resumed.rest()] == [("MODIFIED", "a"), ("DELETED", "b")]

    run_on(either_server, scenario)


def test_a_streamed_list(either_server):
    async def scenario(wire: Wire):
        path = wire.path(INGRESSES)
        await some(wire, "b", "a")
        async with wire.watch(path, **STREAMED) as watch:
            events = await watch.take(3)
            assert sorted(seen(event) for event in events[:2]) == [("ADDED", "a"), ("ADDED", "b")]
            assert seen(events[2]) == ("BOOKMARK", "true")
            assert events[2]["object"]["kind"] == "Ingress"
            assert revision(events[2]) >= max(revision(event) for event in events[:2])
            await some(wire, "c")
            assert seen(await watch.next()) == ("ADDED", "c")
        async with wire.watch(path, **STREAMED, fieldSelector="metadata.name=zz") as empty:
            assert seen(await empty.next()) == ("BOOKMARK", "true")
        bare = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "timeoutSeconds": "1"}
        async with wire.watch(path, **bare) as unmarked:
            assert sorted(seen(event) for event in await unmarked.rest()) == [("ADDED", name) for name in "abc"]

    run_on(either_server, scenario)


@pytest.mark.parametrize("begin", ["", "0"])
def test_a_watch_from_nowhere_begins_with_what_is_there(either_server, begin):
    async def scenario(wire: Wire):
        await some(wire, "a", "b")
        query = {"resourceVersion": begin} if begin else {}
        # "0" may be served from a cache that is a moment behind: wait until it knows both
        listed = (await wire.get(wire.path(INGRESSES))).json["items"]
        assert len(listed) == 2
        async with wire.watch(wire.path(INGRESSES), timeoutSeconds="1", **query) as watch:
            assert sorted(seen(event) for event in await watch.rest()) == [("ADDED", "a"), ("ADDED", "b")]

    run_on(either_server, scenario)


def test_a_selection_is_entered_and_left(either_server):
    async def scenario(wire: Wire):
        path = wire.path(INGRESSES)
        listed = (await wire.get(path)).json["metadata"]["resourceVersion"]
        async with wire.watch(path, resourceVersion=listed, labelSelector="app=x") as watch:
            await some(wire, "a", "b", app="x")
            await some(wire, "c", app="y")
            await wire.patch(wire.path(INGRESSES, "a"), {"metadata": {"labels": {"app": "y"}}})
            await wire.patch(wire.path(INGRESSES, "c"), {"metadata": {"labels": {"app": "x"}}})
            await wire.patch(wire.path(INGRESSES, "c"), {"metadata": {"labels": {"more": "1"}}})
            await wire.delete(wire.path(INGRESSES, "a"))
            await wire.delete(wire.path(INGRESSES, "b"))
            events = await watch.take(6)
        expected = [
            ("ADDED", "a"),
            ("ADDED", "b"),
            ("DELETED", "a"),
            ("ADDED", "c"),
            ("MODIFIED", "c"),
            ("DELETED", "b"),
        ]
        assert [seen(event) for event in events] == expected
        assert events[2]["object"]["metadata"]["labels"] == {"app": "x"}  # as it was when it last belonged
        assert revision(events[2]) > revision(events[1])

    run_on(either_server, scenario)


def test_fields_select_events(either_server):
    async def scenario(wire: Wire):
        path = wire.path(SECRETS)

        async def secret(name, kind):
            body = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}, "type": kind}
            assert (await wire.post(path, body)).status == 201

        listed = (await wire.get(path)).json["metadata"]["resourceVersion"]
        by_type = wire.watch(path, resourceVersion=listed, fieldSelector="type=example.com/x")
        by_name = wire.watch(path, resourceVersion=listed, fieldSelector="metadata.name=a")
        async with by_type as typed, by_name as named:
            await secret("a", "Opaque")
            await secret("b", "example.com/x")
            await wire.delete(wire.path(SECRETS, "a"))
            assert seen(await typed.next()) == ("ADDED", "b")
            assert [seen(event) for event in await named.take(2)] == [("ADDED", "a"), ("DELETED", "a")]

    run_on(either_server, scenario)


def test_one_object_is_not_watched_by_its_path(either_server):
    async def scenario(wire: Wire):
        await some(wire, "a", "b")
        assert (await wire.get(wire.path(INGRESSES, "a"), watch="1")).json["kind"] == "Ingress"

    run_on(either_server, scenario)


def test_all_namespaces(either_server):
    async def scenario(wire: Wire):
        everywhere = "/apis/networking.k8s.io/v1/ingresses"
        listed = (await wire.get(everywhere)).json["metadata"]["resourceVersion"]
        selector = f"metadata.namespace={wire.namespace}"
        async with wire.watch(everywhere, resourceVersion=listed, fieldSelector=selector) as watch:
            await some(wire, "a")
            event = await watch.next()
            assert (seen(event), event["object"]["metadata"]["namespace"]) == (("ADDED", "a"), wire.namespace)

    run_on(either_server, scenario)


def test_a_finalizer_is_seen_at_work(either_server):
    async def scenario(wire: Wire):
        path = wire.path(INGRESSES)
        body = ingress("a")
        body["metadata"]["finalizers"] = ["example.com/mine"]
        made = (await wire.post(path, body)).json
        async with wire.watch(path, resourceVersion=made["metadata"]["resourceVersion"]) as watch:
            await wire.delete(wire.path(INGRESSES, "a"))
            await wire.patch(wire.path(INGRESSES, "a"), {"metadata": {"finalizers": None}})
            events = await watch.take(2)
        assert [seen(event) for event in events] == [("MODIFIED", "a"), ("DELETED", "a")]
        assert events[0]["object"]["metadata"]["deletionTimestamp"]

    run_on(either_server, scenario)


def test_a_status_write_is_an_event(either_server):
    async def scenario(wire: Wire):
        made = (await wire.post(wire.path(INGRESSES), ingress("a"))).json
        async with wire.watch(wire.path(INGRESSES), resourceVersion=made["metadata"]["resourceVersion"]) as watch:
            status = {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}
            await wire.patch(wire.path(INGRESSES, "a", "status"), {"status": status})
            event = await watch.next()
        assert (seen(event), event["object"]["status"]) == (("MODIFIED", "a"), status)
        assert event["object"]["metadata"]["generation"] == 1

    run_on(either_server, scenario)


def test_metadata_only_events(either_server):
    async def scenario(wire: Wire):
        await some(wire, "a")
        headers = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
        async with wire.watch(wire.path(INGRESSES), headers, **STREAMED) as watch:
            event, end = await watch.take(2)
        assert (seen(event), set(event["object"])) == (("ADDED", "a"), {"kind", "apiVersion", "metadata"})
        assert event["object"]["kind"] == end["object"]["kind"] == "PartialObjectMetadata"
        assert seen(end) == ("BOOKMARK", "true")

    run_on(either_server, scenario)


def test_a_watch_ends_when_its_time_is_over(either_server):
    async def scenario(wire: Wire):
        loop = asyncio.get_running_loop()
        listed = (await wire.get(wire.path(INGRESSES))).json["metadata"]["resourceVersion"]
        begun = loop.time()
        async with wire.watch(wire.path(INGRESSES), resourceVersion=listed, timeoutSeconds="1") as watch:
            assert await watch.rest() == []
        assert 0.9 <= loop.time() - begun < 60

    run_on(either_server, scenario)


def test_revisions_of_the_future(either_server):
    async def scenario(wire: Wire):
        path, far = wire.path(INGRESSES), "99999999"
        async with wire.watch(path, resourceVersion=far, timeoutSeconds="1") as plain:
            await some(wire, "a")
            assert await plain.rest() == []  # nothing that is older than what was asked for
        async with wire.watch(path, resourceVersion=far, **STREAMED) as streamed:
            event = await streamed.next()
            assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 504, "Timeout")
            assert event["object"]["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
            assert await streamed.next() is None

    run_on(either_server, scenario)


def test_a_bookmark_comes_before_the_end_and_can_be_resumed_from(either_server):
    async def scenario(wire: Wire):
        await some(wire, "a")
        path = wire.path(INGRESSES)
        listed = (await wire.get(path)).json["metadata"]["resourceVersion"]
        query = {"allowWatchBookmarks": "true", "timeoutSeconds": "6"}
        async with wire.watch(path, resourceVersion=listed, **query) as watch:
            await some(wire, "b")
            added, *bookmarks = await watch.rest()
        assert seen(added) == ("ADDED", "b")
        assert bookmarks
        assert {seen(event) for event in bookmarks} == {("BOOKMARK", "")}
        assert {event["object"]["kind"] for event in bookmarks} == {"Ingress"}
        assert revision(bookmarks[-1]) >= revision(added)
        await some(wire, "c")
        async with wire.watch(path, resourceVersion=str(revision(bookmarks[-1]))) as resumed:
            assert seen(await resumed.next()) == ("ADDED", "c")

    run_on(either_server, scenario)


def test_history_that_is_forgotten_fake():
    async def scenario():
        async with ApiServer() as api, aiohttp.ClientSession() as session:
            for name in "abc":
                api.put(ingress(name))
            wire = Wire(session, api.url, {"admin": "t"}, "admin", "default")
            api.access.add_token("t", "admin")
            first = await wire.get(wire.path(INGRESSES), limit="1")
            api.put(ingress("d"))
            api.compact()
            await _forgotten(wire, first)

    asyncio.run(scenario())


@pytest.mark.cluster
@pytest.mark.slow
def test_history_that_is_forgotten_real():
    """A kube-apiserver that starts anew knows no history before its start; etcd is compacted by its own API."""
    with api_server() as server:
        trust = ssl.create_default_context(cadata=server.authority.pem().decode())
        trust.verify_flags &= ~ssl.VERIFY_X509_STRICT

        async def on(scenario):
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
                return await scenario(Wire(session, server.url, server.tokens, "admin", "default"))

        async def before(wire):
            await wire.until(lambda: wire.get("/api/v1/namespaces/default"), lambda answer: answer.status == 200)
            await some(wire, "a", "b", "c")
            first = await wire.get(wire.path(INGRESSES), limit="1")
            await some(wire, "d")
            return first

        async def compacted(wire):
            newest = (await wire.get(wire.path(INGRESSES))).json["metadata"]["resourceVersion"]
            url = f"http://127.0.0.1:{server._etcd_port}/v3/kv/compaction"
            async with (
                aiohttp.ClientSession() as plain,
                plain.post(url, data=json.dumps({"revision": newest})) as answer,
            ):
                assert answer.status == 200, await answer.text()

        first = asyncio.run(on(before))
        server.stop()
        server.start()
        asyncio.run(on(compacted))
        asyncio.run(on(lambda wire: _forgotten(wire, first)))


async def _forgotten(wire, first):
    """A watch, an exact list and a next page from before what is remembered."""
    path, old = wire.path(INGRESSES), first.json["metadata"]["resourceVersion"]
    async with wire.watch(path, resourceVersion=old, timeoutSeconds="5") as watch:
        event = await watch.next()
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert event["object"]["message"].startswith(f"too old resource version: {old} (")
        assert await watch.next() is None
    exact = await wire.get(path, resourceVersion=old, resourceVersionMatch="Exact")
    assert (exact.status, exact.json["reason"]) == (410, "Expired")
    page = await wire.get(path, limit="1", **{"continue": first.json["metadata"]["continue"]})
    assert (page.status, page.json["reason"]) == (410, "Expired")
    rest = await wire.get(path, limit="9", **{"continue": page.json["metadata"]["continue"]})
    assert [item["metadata"]["name"] for item in rest.json["items"]] == ["b", "c", "d"]  # the inconsistent remainder
