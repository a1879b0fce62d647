"""Paths that can only mean one object, selectors, failures by status, and discovery in both of its forms."""
# ruff: noqa: ASYNC109 - the client's words

import asyncio
import json

import pytest

from weirkeeper.kube.errors import (
    AlreadyExists,
    ApiFailure,
    BadAnswer,
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerFailure,
    TooManyRequests,
    Unauthorized,
    api_failure,
)  # fmt: skip
from weirkeeper.kube.resources import KNOWN, Resource, discovered, equals

INGRESS = KNOWN["networking.k8s.io", "Ingress"]
NAMESPACE = KNOWN["", "Namespace"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (INGRESS.path(), "/apis/networking.k8s.io/v1/ingresses"),
        (INGRESS.path("shop"), "/apis/networking.k8s.io/v1/namespaces/shop/ingresses"),
        (INGRESS.path("shop", "web", "status"), "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web/status"),
        (NAMESPACE.path(name="shop"), "/api/v1/namespaces/shop"),
        (NAMESPACE.path("shop", "shop"), "/api/v1/namespaces/shop"),
        (KNOWN["", "Secret"].path("a", "b c?d#e"), "/api/v1/namespaces/a/secrets/b%20c%3Fd%23e"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize("name", [".", "..", "a/b", "../secrets/x", "a%2fb", "a\nb", "a\x00"])
def test_a_name_that_is_no_segment_makes_no_path(name: str) -> None:
    with pytest.raises(Invalid):
        INGRESS.path("shop", name)
    with pytest.raises(Invalid):
        INGRESS.path(name)


def test_a_namespaced_object_needs_its_namespace() -> None:
    with pytest.raises(Invalid):
        INGRESS.path(name="web")


def test_selectors_are_escaped() -> None:
    assert equals("metadata.name", "a") == "metadata.name=a"
    assert equals("metadata.name", "a,metadata.namespace=b\\") == "metadata.name=a\\,metadata.namespace\\=b\\\\"


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (400, "BadRequest", BadRequest), (401, "", Unauthorized), (403, "", Forbidden), (404, "NotFound", NotFound), (405, "", Invalid),
        (409, "Conflict", Conflict), (409, "AlreadyExists", AlreadyExists), (410, "Expired", Gone), (413, "", Invalid), (422, "Invalid", Invalid),
        (429, "", TooManyRequests), (500, "", ServerFailure), (503, "", ServerFailure), (504, "Timeout", ServerFailure), (302, "", BadAnswer),
    ],
)  # fmt: skip
def test_failures_by_status(status: int, reason: str, kind: type[ApiFailure]) -> None:
    assert type(api_failure(status, reason, "why")) is kind


class Server:
    """Answers to discovery; asked in the old form it answers in the old form."""

    def __init__(self, answers: dict[str, object]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def get_path(self, path: str, *, accept: str = "", timeout: float | None = None) -> bytes:
        self.asked.append(path)
        answer = self.answers[path]
        if isinstance(answer, ApiFailure):
            raise answer
        return json.dumps(answer).encode()


def aggregated(group: str, *versions: tuple[str, list[tuple[str, str]]]) -> dict[str, object]:
    return {"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": group}, "versions": [
        {"version": version, "resources": [{"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced"} for plural, kind in rows]}
        for version, rows in versions
    ]}]}  # fmt: skip


def test_the_preferred_version_or_the_asked_one() -> None:
    routes = [("httproutes", "HTTPRoute")]
    server = Server({"/api": aggregated(""), "/apis": aggregated("g.io", ("v1", routes), ("v1beta1", [*routes, ("olds", "Old")]))})
    assert asyncio.run(discovered(server)) == {
        ("g.io", "HTTPRoute"): Resource("g.io", "v1", "httproutes", "HTTPRoute"),
        ("g.io", "Old"): Resource("g.io", "v1beta1", "olds", "Old"),
    }
    asked = asyncio.run(discovered(server, {("g.io", "HTTPRoute"): "v1beta1", ("g.io", "Old"): "v2"}))
    assert {key: row.version for key, row in asked.items()} == {("g.io", "HTTPRoute"): "v1beta1"}


OLD: dict[str, object] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "resources": [
        {"name": "services", "kind": "Service", "namespaced": True}, {"name": "services/status", "kind": "Service", "namespaced": True},
        {"name": "nodes", "kind": "Node", "namespaced": False},
    ]},
    "/apis": {"kind": "APIGroupList", "groups": [
        {"name": "g.io", "versions": [{"version": "v1beta1"}, {"version": "v1"}], "preferredVersion": {"version": "v1"}},
        {"name": "metrics.k8s.io", "versions": [{"version": "v1"}]},
    ]},
    "/apis/g.io/v1": {"kind": "APIResourceList", "resources": [{"name": "things", "kind": "Thing", "namespaced": True}]},
    "/apis/g.io/v1beta1": {"kind": "APIResourceList", "resources": [{"name": "things", "kind": "Thing", "namespaced": True}]},
    "/apis/metrics.k8s.io/v1": ServerFailure("the server is away", status=503),
}  # fmt: skip


def test_the_old_form_and_a_group_whose_server_is_away() -> None:
    assert asyncio.run(discovered(Server(OLD))) == {
        ("", "Service"): KNOWN["", "Service"],
        ("", "Node"): KNOWN["", "Node"],
        ("g.io", "Thing"): Resource("g.io", "v1", "things", "Thing"),
    }


def test_discovery_that_fails_is_no_empty_cluster() -> None:
    with pytest.raises(ServerFailure):
        asyncio.run(discovered(Server({"/api": ServerFailure("x", status=500)})))
    with pytest.raises(BadAnswer):
        asyncio.run(discovered(Server({"/api": ["?"]})))
