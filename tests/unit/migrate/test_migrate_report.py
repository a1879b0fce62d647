"""What a migration makes and says: each annotation has a word, guards close, references have consents, limits of the kinds are kept."""

import pytest
from round_trip import as_json, migration

from weirkeeper.controllers.ingress.annotations.row import Answer
from weirkeeper.controllers.ingress.annotations.table import TABLE
from weirkeeper.migrate import Channel, Choices, Per
from weirkeeper.migrate.annotations import ASPECT_OF
from weirkeeper.migrate.notes import Outcome

PREFIX = "nginx.ingress.kubernetes.io/"


def ingress(notes: dict[str, str] | None = None, name: str = "shop", namespace: str = "shop", host: str = "shop.example", path: str = "/", **spec: object) -> dict:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rules = [{"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}]
    annotations = {PREFIX + key: text for key, text in (notes or {}).items()}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"ingressClassName": "nginx", "rules": rules, **spec},
    }  # fmt: skip


def of_kind(kind: str, *documents: dict, **choices: object) -> list[dict]:
    return [one for one in as_json(migration(documents, Choices(**choices)))["manifests"] if one["kind"] == kind]


def only(kind: str, *documents: dict, **choices: object) -> dict:
    (found,) = of_kind(kind, *documents, **choices)
    return found


def outcomes(notes: dict[str, str], **choices: object) -> dict[str, Outcome]:
    return {one.field.removeprefix(PREFIX): one.outcome for one in migration([ingress(notes)], Choices(**choices)).report.entries}


def rule(notes: dict[str, str], **choices: object) -> dict:
    return only("HTTPRoute", ingress(notes), **choices)["spec"]["rules"][0]


def test_every_annotation_that_is_applied_has_an_aspect() -> None:
    assert {row.name for row in TABLE.values() if row.answer in {Answer.APPLIED, Answer.DEGRADED}} == set(ASPECT_OF)


def test_every_annotation_has_a_word() -> None:
    notes = {name: "true" for name in TABLE}
    assert set(notes) <= set(outcomes(notes))


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ({"enable-cors": "true", "cors-allow-origin": "https://a.example"}, Outcome.TRANSLATED),
        ({"proxy-body-size": "8m"}, Outcome.LOST),
        ({"limit-rps": "5"}, Outcome.LOST),
        ({"proxy-read-timeout": "120"}, Outcome.LOST),
        ({"allowlist-source-range": "10.0.0.0/8"}, Outcome.CLOSED),
        ({"auth-type": "basic", "auth-secret": "users"}, Outcome.CLOSED),
        ({"configuration-snippet": "return 200;"}, Outcome.LOST),
        ({"proxy-buffering": "on"}, Outcome.NOTHING),
        ({"ssl-redirect": "false"}, Outcome.NOTHING),
        ({"backend-protocol": "GRPC"}, Outcome.BY_HAND),
        ({"no-such-name": "x"}, Outcome.LOST),
        ({"upstream-vhost": "inner.example"}, Outcome.TRANSLATED),
        ({"proxy-next-upstream-tries": "nine"}, Outcome.LOST),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_annotation_has_its_outcome(notes: dict[str, str], said: Outcome) -> None:
    assert outcomes(notes)[next(iter(notes))] == said


@pytest.mark.parametrize("notes", [{"allowlist-source-range": "10.0.0.0/8"}, {"denylist-source-range": "10.0.0.0/8"}, {"auth-type": "digest", "auth-secret": "x"}, {"auth-url": "http://auth.shop.svc:80/"}])
def test_a_guard_without_equivalent_lets_nobody_in(notes: dict[str, str]) -> None:
    assert set(rule(notes)) == {"matches"}, "a rule without backends and filters is answered 500"


def test_the_experimental_channel_says_more() -> None:
    notes = {"affinity": "cookie", "session-cookie-name": "kept", "session-cookie-max-age": "172800", "proxy-next-upstream": "http_503 non_idempotent", "auth-url": "http://auth.shop.svc:80/ask"}
    made = rule(notes, channel=Channel.EXPERIMENTAL)
    assert made["sessionPersistence"] == {"sessionName": "kept", "type": "Cookie", "cookieConfig": {"lifetimeType": "Permanent"}, "absoluteTimeout": "48h"}
    assert made["retry"] == {"attempts": 2, "codes": [503]}
    assert made["filters"] == [{"type": "ExternalAuth", "externalAuth": {"protocol": "HTTP", "backendRef": {"name": "auth", "port": 80}, "http": {"path": "/ask"}}}]
    told = outcomes(notes)
    assert {told["affinity"], told["proxy-next-upstream"]} == {Outcome.NOTHING}, "nobody passes in the standard channel"
    assert told["auth-url"] == Outcome.CLOSED


def test_a_certificate_in_another_namespace_needs_a_grant() -> None:
    two = [ingress(tls=[{"hosts": ["shop.example"], "secretName": "held"}]), ingress(name="blog", namespace="blog", host="blog.example")]
    grant = only("ReferenceGrant", *two)
    assert grant["metadata"]["namespace"] == "shop"
    assert grant["spec"] == {"from": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "default"}], "to": [{"group": "", "kind": "Secret", "name": "held"}]}
    gateway = only("Gateway", *two)
    selector = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["blog", "shop"]}]}
    assert [one["allowedRoutes"]["namespaces"] for one in gateway["spec"]["listeners"]] == [{"from": "Selector", "selector": selector}] * 2
    assert of_kind("ReferenceGrant", *two, per=Per.NAMESPACE) == []
    assert {one["metadata"]["namespace"] for one in of_kind("Gateway", *two, per=Per.NAMESPACE)} == {"shop", "blog"}


def test_what_a_gateway_has_no_room_for_goes_into_listener_sets() -> None:
    hosts = [f"h{number}.example" for number in range(70)]
    many = [ingress(name=f"i{i}", host=host, tls=[{"hosts": [host], "secretName": "held"}]) for i, host in enumerate(hosts)]
    gateway, more = only("Gateway", *many), only("ListenerSet", *many)
    assert (len(gateway["spec"]["listeners"]), len(more["spec"]["listeners"])) == (64, 7)
    assert gateway["spec"]["allowedListeners"] == {"namespaces": {"from": "Same"}}
    parents = [parent["name"] for route in of_kind("HTTPRoute", *many) for parent in route["spec"]["parentRefs"] if parent.get("kind") == "ListenerSet"]
    assert parents == [more["metadata"]["name"]] * 7


def test_many_paths_become_several_routes() -> None:
    services = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{i}", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}} for i in range(40)]
    one = ingress()
    one["spec"]["rules"][0]["http"]["paths"] = [{"path": f"/p{i:02}", "pathType": "Prefix", "backend": {"service": {"name": f"s{i}", "port": {"number": 80}}}} for i in range(40)]
    routes = of_kind("HTTPRoute", one, *services)
    assert [(route["metadata"]["name"], len(route["spec"]["rules"])) for route in routes] == [("shop-01", 16), ("shop-02", 16), ("shop-03", 8)]


def test_tls_to_backends_becomes_a_policy() -> None:
    from weirkeeper.testing.certificates import Authority  # noqa: PLC0415 - only here is an authority made

    pem = Authority("backends").pem().decode()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "trust", "namespace": "shop"}, "stringData": {"ca.crt": pem}}
    notes = {"backend-protocol": "HTTPS", "proxy-ssl-secret": "trust", "proxy-ssl-verify": "on", "proxy-ssl-name": "web.internal"}
    found = migration([ingress(notes), secret])
    policy = next(one for one in found.manifests if one["kind"] == "BackendTLSPolicy")
    held = next(one for one in found.manifests if one["kind"] == "ConfigMap")
    assert policy["spec"]["targetRefs"] == [{"group": "", "kind": "Service", "name": "web", "sectionName": "port-80"}]
    assert policy["spec"]["validation"] == {"hostname": "web.internal", "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": held["metadata"]["name"]}]}
    assert held["data"] == {"ca.crt": pem}
    assert found.report.undone == []


def test_a_class_of_somebody_else_is_said() -> None:
    theirs = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "example.com/other"}}
    found = migration([theirs, ingress()])
    assert found.manifests == ()
    assert [one.field for one in found.report.undone] == ["spec.ingressClassName"]


def test_a_port_by_name_needs_its_service() -> None:
    one = ingress()
    one["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = {"name": "web"}
    assert any("is not among the manifests" in why for entry in migration([one]).report.undone for why in entry.why)
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"name": "web", "port": 8081}]}}
    assert only("HTTPRoute", one, service)["spec"]["rules"][0]["backendRefs"] == [{"name": "web", "port": 8081}]


def test_a_path_that_is_too_long_is_left_out_and_told() -> None:
    long = ingress(path="/" + "a" * 1024)
    assert of_kind("HTTPRoute", long) == []
    assert [one.field for one in migration([long]).report.undone] == ["paths"]
    assert of_kind("HTTPRoute", ingress(path="/" + "a" * 1023))
