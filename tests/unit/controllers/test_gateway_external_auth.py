"""The filter that asks a service first: what it comes to, and that nobody passes where it cannot be used."""

import pytest
from test_gateway import World, gateway, route

from weirkeeper.model.filters import Deny, ExternalAuth

BACKEND = "backendRefs: [{name: shop, port: 80}]"
TO = "backendRef: {name: shop, port: 80}"


def world(wished, backend=BACKEND, *others):
    return World(gateway(), route(f"filters: [{{type: ExternalAuth, externalAuth: {{{wished}}}}}], {backend}"), *others)


def found(wished, backend=BACKEND, *others):
    (one,) = [
        hosted.route
        for intent in world(wished, backend, *others).intents().values()
        for hosted in intent.routes
        if hosted.route.priority == 0
    ]
    return one


def test_by_http() -> None:
    (auth,) = found(
        f"protocol: HTTP, {TO}, http: {{path: /check, allowedHeaders: [x-user], allowedResponseHeaders: [x-id]}}, forwardBody: {{maxSize: 100}}"
    ).auth
    assert auth == ExternalAuth(
        backend="d/shop/80",
        original=True,
        path="/check",
        request_headers=("x-user",),
        response_headers=("x-id",),
        body_bytes=100,
    )


def test_by_http_without_more_said() -> None:
    (auth,) = found(f"protocol: HTTP, {TO}").auth
    assert auth == ExternalAuth(backend="d/shop/80", original=True, path="/", any_response_header=True)


def test_by_grpc() -> None:
    one = found(f"protocol: GRPC, {TO}, grpc: {{}}")
    assert one.auth == (ExternalAuth(backend="d/shop/80~grpc", grpc=True, original=True),)


def test_redirects_are_asked_about_too() -> None:
    rules = f"filters: [{{type: ExternalAuth, externalAuth: {{protocol: HTTP, {TO}}}}}, {{type: RequestRedirect, requestRedirect: {{hostname: b.example}}}}]"
    (one,) = [
        h.route for i in World(gateway(), route(rules)).intents().values() for h in i.routes if h.route.priority == 0
    ]
    assert isinstance(one.auth[0], ExternalAuth)


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("{name: nobody, port: 80}", "BackendNotFound"),
        ("{name: shop, namespace: other, port: 80}", "RefNotPermitted"),
        ("{kind: Secret, name: shop, port: 80}", "InvalidKind"),
    ],
)
def test_a_service_that_cannot_be_asked_lets_nobody_pass(to: str, reason: str) -> None:
    wished = f"protocol: HTTP, backendRef: {to}"
    assert found(wished).auth == (Deny(status=500),)
    assert world(wished).said("HTTPRoute")["ResolvedRefs"] == ("False", reason)


GRANT = """kind: ReferenceGrant
metadata: {name: g, namespace: other}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: d}], to: [{group: '', kind: Service}]}"""
OTHER = "kind: Service\nmetadata: {name: shop, namespace: other}\nspec: {ports: [{port: 80}]}"


def test_a_service_of_another_namespace_with_its_grant() -> None:
    (auth,) = found(
        "protocol: HTTP, backendRef: {name: shop, namespace: other, port: 80}", BACKEND, GRANT, OTHER
    ).auth
    assert auth.backend == "other/shop/80"


@pytest.mark.parametrize(
    "wished",
    [
        f"protocol: MAGIC, {TO}",
        TO,
        f"protocol: GRPC, {TO}, grpc: {{allowedHeaders: [x-user]}}",
        f"protocol: HTTP, {TO}, http: {{allowedHeaders: ['x user']}}",
        f'protocol: HTTP, {TO}, http: {{path: "/a\\nb"}}',
        f"protocol: HTTP, {TO}, forwardBody: {{maxSize: 60000000}}",
    ],
)
def test_what_cannot_be_asked_so_is_refused(wished: str) -> None:
    assert found(wished).action.status == 500
    assert world(wished).said("HTTPRoute")["Accepted"] == ("False", "UnsupportedValue")


def test_a_backend_of_a_rule_has_no_service_of_its_own() -> None:
    ref = f"backendRefs: [{{name: shop, port: 80, filters: [{{type: ExternalAuth, externalAuth: {{protocol: HTTP, {TO}}}}}]}}]"
    assert World(gateway(), route(ref)).said("HTTPRoute")["Accepted"] == ("False", "UnsupportedValue")
