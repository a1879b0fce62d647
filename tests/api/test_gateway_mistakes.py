"""Gateway API's own schemas on a real API server: which mistakes never reach a controller. What becomes of the others is in tests/unit/controllers/test_gateway_mistakes.py."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from weirkeeper.kube.access import Access, StaticToken, Trust
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import ApiFailure, Invalid
from weirkeeper.kube.resources import Resource
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
SERVED = 30.0


@pytest.fixture(scope="module")
def kinds() -> Iterator[ApiServer]:
    """An API server of its own with the kinds, for others are asked what a cluster without them is like."""
    texts = [(release() / "config/crd/experimental" / f"gateway.networking.k8s.io_{one}.yaml").read_text() for one in KINDS.values()]  # fmt: skip

    async def define(client: Client) -> None:
        await asyncio.gather(*(client.create(DEFINITIONS, yaml.load(text, yaml.CSafeLoader)) for text in texts))
        for plural in KINDS.values():
            await eventually(lambda plural=plural: established(client, plural), SERVED, what=f"{plural} are served")

    with api_server() as server:
        server.kubectl("create", "namespace", "d")
        run(server, define)
        yield server


async def established(client: Client, plural: str) -> bool:
    found = await client.get(DEFINITIONS, f"{plural}.gateway.networking.k8s.io", type=None)
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
