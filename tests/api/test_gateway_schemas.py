"""Gateway API's own schemas on a real API server: which mistakes never reach a controller, and that our statuses fit. What becomes of the other mistakes is in tests/unit/controllers/test_gateway_mistakes.py."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from weirkeeper.controllers.gateway.policies import ACCEPTED, ancestor
from weirkeeper.kube.access import Access, StaticToken, Trust
from weirkeeper.kube.client import Client
from weirkeeper.kube.conditions import ConditionsWish, ParentReport, Report, condition
from weirkeeper.kube.errors import ApiFailure, Invalid
from weirkeeper.kube.gateway_backends import XBackend
from weirkeeper.kube.gateway_policies import XBackendTrafficPolicy
from weirkeeper.kube.gateway_types import EXPERIMENTAL, GROUP, RESOURCES
from weirkeeper.kube.resources import Resource
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Timestamp
from weirkeeper.status.conditions import merged_status
from weirkeeper.testing.apiserver_real import ApiServer, api_server
from weirkeeper.testing.eventually import eventually

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from gateway_mistakes import MISTAKES, TAKEN, UPSTREAM
from gateway_release import release

pytestmark = pytest.mark.cluster

KINDS = {
    "BackendTLSPolicy": "backendtlspolicies", "GRPCRoute": "grpcroutes", "Gateway": "gateways", "GatewayClass": "gatewayclasses", "HTTPRoute": "httproutes",
    "ListenerSet": "listenersets", "ReferenceGrant": "referencegrants", "TCPRoute": "tcproutes", "TLSRoute": "tlsroutes", "UDPRoute": "udproutes",
}  # fmt: skip
DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)  # fmt: skip
OF_X = {"XBackend": "xbackends", "XBackendTrafficPolicy": "xbackendtrafficpolicies"}
X_SPECS = {
    "XBackend": {"type": "ExternalHostname", "externalHostname": {"hostname": "a.example.com"}, "port": {"port": 443}},
    "XBackendTrafficPolicy": {"targetRefs": [{"group": "", "kind": "Service", "name": "shop"}], "retryConstraint": {}, "sessionPersistence": {}},
}  # fmt: skip
SERVED = 30.0


@pytest.fixture(scope="module")
def kinds() -> Iterator[ApiServer]:
    """An API server of its own with the kinds, for others are asked what a cluster without them is like."""
    names = [f"gateway.networking.k8s.io_{one}" for one in KINDS.values()]
    names += [f"gateway.networking.x-k8s.io_{one}" for one in OF_X.values()]
    texts = [(release() / "config/crd/experimental" / f"{name}.yaml").read_text() for name in names]

    async def define(client: Client) -> None:
        await asyncio.gather(*(client.create(DEFINITIONS, yaml.load(text, yaml.CSafeLoader)) for text in texts))
        for name in names:
            group, _, plural = name.partition("_")
            await eventually(lambda name=f"{plural}.{group}": established(client, name), SERVED, what=f"{name} is served")  # fmt: skip

    with api_server() as server:
        server.kubectl("create", "namespace", "d")
        run(server, define)
        yield server


async def established(client: Client, name: str) -> bool:
    found = await client.get(DEFINITIONS, name, type=None)
    said = {one["type"]: one["status"] for one in found.get("status", {}).get("conditions", [])}
    return said.get("Established") == "True"


def run(server: ApiServer, scenario: Callable[[Client], Any]) -> Any:
    async def whole() -> Any:
        access = Access(
            server.url, credentials=StaticToken(server.tokens["admin"]), trust=Trust(authority=server.authority.pem())
        )
        async with Client(access) as client:
            return await scenario(client)

    return asyncio.run(whole())


async def refused(client: Client, document: Mapping[str, Any]) -> bool:
    """Whether the server refuses the object for what it says; one that it takes is taken away again."""
    group, _, version = document["apiVersion"].partition("/")
    kind = document["kind"]
    resource = Resource(group, version, KINDS[kind], kind, namespaced=kind != "GatewayClass")
    place = "" if kind == "GatewayClass" else "d"
    try:
        made = await client.create(resource, dict(document), place)
    except Invalid:
        return True
    except ApiFailure as failure:
        raise AssertionError(f"{document}: {failure}") from failure
    await client.delete(resource, made["metadata"]["name"], place)
    return False


def test_the_schema_refuses_what_it_can(kinds: ApiServer) -> None:
    async def all_of_them(client: Client) -> set[str]:
        return {name for name, document in MISTAKES.items() if not await refused(client, document)}

    assert run(kinds, all_of_them) == TAKEN
    assert not TAKEN & set(UPSTREAM)


def test_upstreams_own_examples_are_refused(kinds: ApiServer) -> None:
    files = sorted((release() / "hack/invalid-examples").rglob("*.yaml"))
    documents = [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]
    assert len(documents) == len(UPSTREAM)

    async def all_of_them(client: Client) -> list[str]:
        return [one["metadata"]["name"] for one in documents if not await refused(client, one)]

    assert run(kinds, all_of_them) == []


def test_what_golden_cases_show_is_taken(kinds: ApiServer) -> None:
    """Nothing is proven with objects that no API server would have let in, save what a case says it is about."""
    files = sorted((Path(__file__).parents[1] / "golden").glob("*/in.yaml"))
    shown = [(file.parent.name, one) for file in files for one in yaml.safe_load_all(file.read_text()) if one["kind"] in KINDS]
    assert shown

    async def all_of_them(client: Client) -> set[str]:
        return {name for name, one in shown if await refused(client, placed(one))}

    assert run(kinds, all_of_them) == set()


def placed(document: dict[str, Any]) -> dict[str, Any]:
    """The document in the one namespace that is there, without what the server says itself."""
    meta = {"name": document["metadata"]["name"]}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": meta}


@pytest.mark.parametrize("kind", OF_X)
def test_what_is_said_of_experimental_kinds_fits_their_schemas(kinds: ApiServer, kind: str) -> None:
    """The kinds are read, and their statuses are written, as upstream publishes them."""
    of = "ancestors" if kind == "XBackendTrafficPolicy" else "parents"
    entry = ParentReport(
        reference=ancestor(Ref(group=GROUP, kind="Gateway", namespace="d", name="g")),
        conditions=(condition("Accepted", ACCEPTED),),
    )
    report = Report(controller="weirkeeper.io/gateway", generation=1, parents=(entry,), of=of)
    resource = RESOURCES[EXPERIMENTAL, kind]
    read = XBackend if kind == "XBackend" else XBackendTrafficPolicy

    async def written(client: Client) -> dict[str, Any]:
        body = {"apiVersion": f"{EXPERIMENTAL}/v1alpha1", "kind": kind, "metadata": {"name": "x"}, "spec": X_SPECS[kind]}  # fmt: skip
        await client.create(resource, body, "d")
        found = await client.get(resource, "x", "d", type=read)
        wish = ConditionsWish(ref=found.ref, report=report)
        status = merged_status(found.status, wish, Timestamp("2026-01-01T00:00:00Z"))
        await client.patch(resource, "x", {"status": status}, "d", subresource="status")
        return dict(await client.get(resource, "x", "d", type=None))

    (told,) = run(kinds, written)["status"][of]
    assert told["controllerName"] == "weirkeeper.io/gateway"
    assert [(one["type"], one["status"], one["observedGeneration"]) for one in told["conditions"]] == [("Accepted", "True", 1)]  # fmt: skip
