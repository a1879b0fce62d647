"""The client on a real kube-apiserver: every verb, every failure that it can be made to tell, streamed lists, and each way to say who we are."""

import asyncio
import base64
import json
import stat
import sys
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from weirkeeper.kube.access import Access, FileToken, StaticToken, Trust
from weirkeeper.kube.client import Client
from weirkeeper.kube.decode import Bookmark, Changed
from weirkeeper.kube.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerFailure,
    Unauthorized,
    Unreachable,
)  # fmt: skip
from weirkeeper.kube.in_cluster import from_pod
from weirkeeper.kube.kubeconfig import from_kubeconfig
from weirkeeper.kube.resources import KNOWN, Resource, discovered, equals
from weirkeeper.kube.types import ConfigMap, Namespace, PartialObjectMetadata, Secret, Service
from weirkeeper.testing.apiserver_real import ApiServer, api_server

pytestmark = pytest.mark.cluster

Run = Callable[..., Any]
CONFIG_MAP, SECRET, SERVICE, NAMESPACE, POD = (KNOWN["", kind] for kind in ("ConfigMap", "Secret", "Service", "Namespace", "Pod"))
INGRESS = KNOWN["networking.k8s.io", "Ingress"]


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": data}


def test_discovery_knows_what_we_know(run: Run) -> None:
    found = run(discovered)
    assert {key: found.get(key) for key in KNOWN} == dict(KNOWN)


def test_create_get_replace_patch_delete(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        made = await client.create(CONFIG_MAP, config_map("a", x="1"), namespace)
        assert made["metadata"]["uid"]
        typed = await client.get(CONFIG_MAP, "a", namespace, type=ConfigMap)
        assert (typed.data, typed.ref.kind, typed.metadata.uid) == ({"x": "1"}, "ConfigMap", made["metadata"]["uid"])
        replaced = await client.replace(CONFIG_MAP, "a", {**made, "data": {"x": "2"}}, namespace)
        assert replaced["data"] == {"x": "2"}
        patched = await client.patch(CONFIG_MAP, "a", {"data": {"y": "3"}}, namespace)
        assert patched["data"] == {"x": "2", "y": "3"}
        operations = [{"op": "test", "path": "/data/x", "value": "2"}, {"op": "remove", "path": "/data/x"}]
        patched = await client.patch(CONFIG_MAP, "a", operations, namespace, content_type="application/json-patch+json")
        assert patched["data"] == {"y": "3"}
        await client.delete(CONFIG_MAP, "a", namespace, uid=made["metadata"]["uid"])
        with pytest.raises(NotFound) as missing:
            await client.get(CONFIG_MAP, "a", namespace)
        assert missing.value.of_object

    run(scenario)


def test_server_side_apply_and_a_subresource(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        wish = {
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
            "spec": {"rules": [{"host": "shop.example", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}},
            ]}}]},
        }  # fmt: skip
        await client.patch(
            INGRESS, "web", wish, namespace, content_type="application/apply-patch+yaml", query={"fieldManager": "test", "force": "true"}
        )
        status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}, "spec": {"rules": []}}
        answer = await client.patch(INGRESS, "web", status, namespace, "status")
        assert answer["status"]["loadBalancer"] == {"ingress": [{"ip": "192.0.2.1"}]}
        assert len(answer["spec"]["rules"]) == 1, "the status path leaves the spec"

    run(scenario)


def test_conflicts(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        first = await client.create(CONFIG_MAP, config_map("a", x="1"), namespace)
        with pytest.raises(AlreadyExists):
            await client.create(CONFIG_MAP, config_map("a"), namespace)
        await client.patch(CONFIG_MAP, "a", {"data": {"x": "2"}}, namespace)
        with pytest.raises(Conflict) as stale:
            await client.replace(CONFIG_MAP, "a", {**first, "data": {"x": "3"}}, namespace)
        assert not isinstance(stale.value, AlreadyExists)
        with pytest.raises(Conflict):
            await client.patch(CONFIG_MAP, "a", {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "data": {"x": "3"}}, namespace)
        with pytest.raises(Conflict):
            await client.delete(CONFIG_MAP, "a", namespace, uid="another")
        with pytest.raises(Conflict):
            await client.delete(CONFIG_MAP, "a", namespace, resource_version=first["metadata"]["resourceVersion"])
        assert (await client.get(CONFIG_MAP, "a", namespace))["data"] == {"x": "2"}

    run(scenario)


def test_what_the_server_refuses(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(Invalid) as invalid:
            await client.create(CONFIG_MAP, config_map("Not A Name"), namespace)
        assert (invalid.value.status, invalid.value.reason) == (422, "Invalid")
        with pytest.raises(BadRequest):
            await client.create(CONFIG_MAP, {"metadata": {"name": "a"}, "data": 5}, namespace)
        with pytest.raises(NotFound) as unknown:
            await client.get(Resource("nobody.example", "v1", "things", "Thing"), "a", namespace)
        assert not unknown.value.of_object
        with pytest.raises(BadRequest):
            async for _ in client.pages(CONFIG_MAP, namespace, type=ConfigMap, field_selector="data.x=1"):
                pass

    run(scenario)


def test_forbidden(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises(Forbidden, match="secrets is forbidden"):
            async for _ in client.pages(SECRET, namespace, type=Secret):
                pass
        with pytest.raises(Forbidden):
            async for _ in client.watch(SECRET, namespace):
                pass
        with pytest.raises(Forbidden):
            await client.create(CONFIG_MAP, config_map("a"), namespace)

    run(scenario, user="user")


def test_pages(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        for number in range(7):
            await client.create(CONFIG_MAP, {**config_map(f"m{number}"), "metadata": {"name": f"m{number}", "labels": {"odd": str(number % 2)}}}, namespace)
        pages = [page async for page in client.pages(CONFIG_MAP, namespace, type=ConfigMap, limit=3)]
        assert [len(page.items) for page in pages] == [3, 3, 1]
        assert [page.continues for page in pages] == [True, True, False]
        assert {page.resource_version for page in pages} == {pages[0].resource_version}
        assert [item.name for page in pages for item in page.items] == [f"m{number}" for number in range(7)]
        odd = [page async for page in client.pages(CONFIG_MAP, namespace, type=ConfigMap, label_selector="odd=1", resource_version="0")]
        assert [item.name for page in odd for item in page.items] == ["m1", "m3", "m5"]
        one = [page async for page in client.pages(CONFIG_MAP, namespace, type=ConfigMap, field_selector=equals("metadata.name", "m4"))]
        assert [item.name for page in one for item in page.items] == ["m4"]
        none = [page async for page in client.pages(CONFIG_MAP, namespace, type=ConfigMap, field_selector=equals("metadata.name", "m4,m5"))]
        assert [page.items for page in none] == [()]

    run(scenario)


def test_metadata_alone(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        await client.create(SECRET, {"metadata": {"name": "s", "labels": {"a": "b"}}, "stringData": {"k": "hidden"}}, namespace)
        found = await client.get(SECRET, "s", namespace, type=PartialObjectMetadata)
        assert (found.ref.kind, found.metadata.labels) == ("Secret", {"a": "b"})
        [page] = [page async for page in client.pages(SECRET, namespace, type=PartialObjectMetadata)]
        assert [item.name for item in page.items] == ["s"]
        async with aclosing(client.watch(SECRET, namespace, initial=True, metadata_only=True)) as lines:
            line = await anext(lines)
        assert b"hidden" not in line
        assert base64.b64encode(b"hidden") not in line
        assert (await client.get(NAMESPACE, namespace, type=Namespace)).metadata.name == namespace

    run(scenario)


def test_a_streamed_list_and_what_follows(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> list[Any]:
        for name in "ab":
            await client.create(CONFIG_MAP, config_map(name), namespace)
        decoder = client.decoder(CONFIG_MAP, ConfigMap)
        seen: list[Any] = []
        opened: list[bool] = []
        watch = client.watch(CONFIG_MAP, namespace, initial=True, timeout_seconds=30, opened=lambda: opened.append(True))
        async with aclosing(watch) as lines:
            async for line in lines:
                told = decoder.event(line)
                seen.append(told)
                if isinstance(told, Bookmark) and told.ends_initial:
                    await client.patch(CONFIG_MAP, "a", {"data": {"x": "1"}}, namespace)
                    await client.delete(CONFIG_MAP, "b", namespace)
                if isinstance(told, Changed) and told.type == "DELETED":
                    break
        assert opened == [True]
        return seen

    seen = run(scenario)
    assert [(one.type, one.item.name) if isinstance(one, Changed) else one.ends_initial for one in seen] == [
        ("ADDED", "a"), ("ADDED", "b"), True, ("MODIFIED", "a"), ("DELETED", "b"),
    ]  # fmt: skip
    assert int(seen[2].resource_version) < int(seen[3].item.resource_version) < int(seen[4].item.resource_version)


def test_a_watch_goes_on_from_a_list_and_ends_when_the_server_says(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> list[str]:
        [page] = [page async for page in client.pages(CONFIG_MAP, namespace, type=ConfigMap)]
        await client.create(CONFIG_MAP, config_map("late"), namespace)
        watch = client.watch(CONFIG_MAP, namespace, resource_version=page.resource_version, timeout_seconds=1)
        told = [client.decoder(CONFIG_MAP, ConfigMap).event(line) async for line in watch]
        return [one.item.name for one in told if isinstance(one, Changed)]

    assert run(scenario) == ["late"]


def test_lines_of_megabytes_come_whole(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> str:
        text = "ü" * 400_000
        await client.create(CONFIG_MAP, config_map("large", x=text), namespace)
        async with aclosing(client.watch(CONFIG_MAP, namespace, initial=True)) as lines:
            told = client.decoder(CONFIG_MAP, ConfigMap).event(await anext(lines))
        assert isinstance(told, Changed)
        assert told.item.object is not None
        assert (told.item.object.data or {})["x"] == text
        return "read"

    assert run(scenario) == "read"


def test_one_that_does_not_fit_harms_no_other(run: Run, namespace: str) -> None:
    """A Service is no ConfigMap: read as one of a type whose fields differ, only those that differ are problems."""

    class Odd(Service, frozen=True, kw_only=True, rename="camel"):
        data: dict[str, int] | None = None

    async def scenario(client: Client) -> None:
        await client.create(CONFIG_MAP, config_map("bad", x="text"), namespace)
        await client.create(CONFIG_MAP, config_map("good"), namespace)
        [page] = [page async for page in client.pages(CONFIG_MAP, namespace, type=Odd)]
        assert [(item.name, item.object is not None) for item in page.items] == [("bad", False), ("good", True)]
        assert "data" in page.items[0].problem

    run(scenario)


def whoami(client: Client) -> Any:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    return client.post(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})


def user_of(access: Access) -> dict[str, Any]:
    async def scenario() -> dict[str, Any]:
        async with Client(access) as client:
            answer: dict[str, Any] = (await whoami(client))["status"]["userInfo"]
            return answer

    return asyncio.run(scenario())


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_token_a_certificate_and_an_impersonated_user(real: ApiServer, tmp_path: Path) -> None:
    assert user_of(from_kubeconfig(real.kubeconfig()))["username"] == "admin"
    pair = real.pair("alice", "dev", "ops")
    data = {"client-certificate-data": encoded(pair.certificate), "client-key-data": encoded(pair.key)}
    alice = user_of(from_kubeconfig(real.kubeconfig("alice", auth=data), remote=True))
    assert (alice["username"], alice["groups"][:2]) == ("alice", ["dev", "ops"])
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key)
    (tmp_path / "config").write_text(real.kubeconfig("alice", auth={"client-certificate": "tls.crt", "client-key": "tls.key"}))
    assert user_of(from_kubeconfig(tmp_path / "config"))["username"] == "alice"
    bob = user_of(from_kubeconfig(real.kubeconfig("admin", auth={"token": real.tokens["admin"], "as": "bob", "as-groups": ["x"]})))
    assert (bob["username"], bob["groups"][0]) == ("bob", "x")


def test_a_service_account_as_in_a_pod(real: ApiServer, run: Run, namespace: str, tmp_path: Path) -> None:
    async def token(client: Client) -> str:
        accounts = KNOWN["", "ServiceAccount"]
        await client.create(accounts, {"metadata": {"name": "weir"}}, namespace)
        wish = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        answer = await client.create(accounts, wish, namespace, name="weir", subresource="token")
        return str(answer["status"]["token"])

    (tmp_path / "token").write_text(run(token))
    (tmp_path / "ca.crt").write_bytes(real.authority.pem())
    (tmp_path / "namespace").write_text(namespace)
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(real.port)}
    access = from_pod(tmp_path, environment)
    assert access.namespace == namespace
    assert user_of(access)["username"] == f"system:serviceaccount:{namespace}:weir"


def test_a_token_file_that_runs_out_is_read_again(real: ApiServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("expired")
    access = Access(real.url, credentials=FileToken(path), trust=Trust(real.authority.pem()))

    async def scenario() -> None:
        async with Client(access) as client:
            with pytest.raises(Unauthorized):
                await client.get(NAMESPACE, "default")
            path.write_text(real.tokens["admin"])
            assert (await client.get(NAMESPACE, "default"))["metadata"]["name"] == "default"

    asyncio.run(scenario())


def test_a_program_whose_token_was_revoked_is_asked_again(real: ApiServer, tmp_path: Path) -> None:
    """The first token is refused; the program is asked again (its last run was long ago), and the second is taken."""
    login = tmp_path / "login"
    login.write_text(
        f"#!{sys.executable}\nimport json, pathlib\nseen = pathlib.Path({str(tmp_path / 'seen')!r})\n"
        f"token = {real.tokens['admin']!r} if seen.exists() else 'revoked'\nseen.touch()\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind': 'ExecCredential', 'status': {'token': token}}))\n"
    )
    login.chmod(login.stat().st_mode | stat.S_IXUSR)
    auth = {"exec": {"command": str(login), "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}}
    access = from_kubeconfig(real.kubeconfig("admin", auth=auth))

    async def scenario() -> None:
        async with Client(access) as client:
            with pytest.raises(Unauthorized):
                await client.get(NAMESPACE, "default")  # run only just now: not asked again at once
            access._credentials._ran_at -= 5  # type: ignore[attr-defined]
            assert (await client.get(NAMESPACE, "default"))["metadata"]["name"] == "default"

    asyncio.run(scenario())


def test_an_authority_that_did_not_sign_the_server(real: ApiServer) -> None:
    text = json.loads(real.kubeconfig())
    del text["clusters"][0]["cluster"]["certificate-authority-data"]
    with pytest.raises(Unreachable) as failed:
        user_of(from_kubeconfig(json.dumps(text)))
    assert failed.value.reason == "Tls"
    text["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    assert user_of(from_kubeconfig(json.dumps(text)))["username"] == "admin"
    text["clusters"][0]["cluster"] |= {"insecure-skip-tls-verify": False, "certificate-authority-data": encoded(real.authority.pem())}
    text["clusters"][0]["cluster"] |= {"tls-server-name": "kubernetes.default.svc"}
    assert user_of(from_kubeconfig(json.dumps(text)))["username"] == "admin"
    text["clusters"][0]["cluster"] |= {"tls-server-name": "another.example"}
    with pytest.raises(Unreachable):
        user_of(from_kubeconfig(json.dumps(text)))


def test_a_server_that_ends_freezes_and_comes_back() -> None:
    """On a server of its own: a cut watch is `Unreachable` or ends, a frozen server a time-out, and the same client goes on afterwards."""
    with api_server(rbac=False, audit=True) as server:

        async def scenario() -> None:
            access = Access(server.url, credentials=StaticToken(server.tokens["user"]), trust=Trust(server.authority.pem()))
            async with Client(access, timeout=30) as client:
                await client.create(CONFIG_MAP, config_map("kept", x="1"), "default")
                lines = client.watch(CONFIG_MAP, "default", field_selector=equals("metadata.name", "kept"), initial=True)
                await anext(lines)
                await anext(lines)
                await asyncio.to_thread(server.stop, kill=True)
                with pytest.raises((Unreachable, StopAsyncIteration)):
                    await asyncio.wait_for(anext(lines), 60)
                with pytest.raises(Unreachable) as refused:
                    await client.get(CONFIG_MAP, "kept", "default")
                assert refused.value.reason in ("Refused", "Reset")
                await asyncio.to_thread(server.start)
                assert (await client.get(CONFIG_MAP, "kept", "default"))["data"] == {"x": "1"}
                server.pause()
                with pytest.raises(Unreachable) as frozen:
                    await client.get(CONFIG_MAP, "kept", "default", timeout=0.3)
                assert frozen.value.reason == "Timeout"
                server.resume()
                assert (await client.get(CONFIG_MAP, "kept", "default"))["data"] == {"x": "1"}

        asyncio.run(scenario())
        written = [(one["verb"], one["user"]["username"], one["objectRef"]["name"]) for one in server.audited() if one["verb"] == "create" and one["objectRef"]["resource"] == "configmaps" and one["objectRef"].get("name") == "kept"]
        assert written == [("create", "user", "kept")]


def test_what_the_server_has_forgotten_is_gone() -> None:
    """On a server of its own without a watch cache: after a compaction an old watch and an old continue token are 410."""
    with api_server(rbac=False, arguments=("--watch-cache=false",)) as server:

        async def scenario() -> list[object]:
            access = Access(server.url, credentials=StaticToken(server.tokens["user"]), trust=Trust(server.authority.pem()))
            async with Client(access, timeout=30) as client:
                for name in "abc":
                    await client.create(CONFIG_MAP, config_map(name), "default")
                pages = client.pages(CONFIG_MAP, "default", type=ConfigMap, limit=1)
                first = await anext(pages)
                for value in "12":
                    latest = await client.patch(CONFIG_MAP, "a", {"data": {"x": value}}, "default")
                server.compact(int(latest["metadata"]["resourceVersion"]))
                with pytest.raises(Gone) as token:
                    await anext(pages)
                assert token.value.reason == "Expired"
                watch = client.watch(CONFIG_MAP, "default", resource_version=first.resource_version, timeout_seconds=5)
                return [client.decoder(CONFIG_MAP, ConfigMap).event(line) async for line in watch]

        [told] = asyncio.run(scenario())
        assert isinstance(told, Gone)
        assert told.reason == "Expired"


def test_a_request_that_is_cancelled_leaves_the_client_usable(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        for _ in range(20):
            task = asyncio.create_task(client.create(CONFIG_MAP, {"metadata": {"generateName": "c-"}}, namespace))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert (await client.get(NAMESPACE, namespace))["metadata"]["name"] == namespace

    run(scenario)


def test_server_failures_have_a_name(run: Run, namespace: str) -> None:
    async def scenario(client: Client) -> None:
        with pytest.raises((NotFound, ServerFailure, BadRequest)):
            await client.get_path(f"/api/v1/namespaces/{namespace}/services/none/proxy/")
        assert await client.get_path("/readyz") == b"ok"

    run(scenario)
