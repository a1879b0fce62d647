"""The Ingress spec: hosts, paths, backends, classes, TLS, default backends."""

import pytest
from build import SHOP, World, codes, ingress, intent, notes, path, routes

from weirkeeper.controllers.ingress import IngressSettings
from weirkeeper.controllers.ingress.paths import path_match
from weirkeeper.kube.types import IngressPath
from weirkeeper.model.finding import Reason
from weirkeeper.model.match import ExactPath, RegexPath, SegmentPrefix
from weirkeeper.model.route import Forward, Redirect, Respond


@pytest.mark.parametrize(
    ("kind", "text", "match"),
    [
        ("Exact", "/a/", ExactPath(value="/a/")),
        ("Prefix", "/a/", SegmentPrefix(value="/a")),
        ("Prefix", "/", SegmentPrefix(value="/")),
        ("ImplementationSpecific", "", SegmentPrefix(value="/")),
        ("ImplementationSpecific", "/x", SegmentPrefix(value="/x")),
    ],
)
def test_a_path_type_says_what_matches(kind, text, match):
    assert routes(ingress(path(text, kind)))[0].match.path == match


@pytest.mark.parametrize("text", ["a", "/a b", "/a//b", "/../b", "/a%2Fb", "/ä", "/a?b", "/%zz"])
def test_a_path_that_no_request_has_is_left_out_with_a_finding(text):
    found = intent(ingress(path(text), path("/ok")))
    assert [r.route.match.path.value for r in found.routes] == ["/ok"]
    [told] = [f for f in found.findings if f.reason == Reason.INVALID_PATH]
    assert told.origin.path == "spec.rules[0].http.paths[0].path"
    assert told.remedy


@pytest.mark.parametrize(
    ("host", "kept", "labels"),
    [("Shop.EXAMPLE.com", "shop.example.com", None), ("*.Example.com", "*.example.com", 1), ("", "*", None)],
)
def test_hosts_are_kept_in_lower_case_and_a_wildcard_stands_for_one_label(host, kept, labels):
    [hosted] = intent(ingress(host=host)).routes
    assert (hosted.hostname, hosted.wildcard_labels) == (kept, labels)


@pytest.mark.parametrize("host", ["10.0.0.1", "a..b", "*.*.b", "a_b.c", "*", "x" * 64 + ".c", "a.b\\n"])
def test_a_wrong_host_is_told(host):
    found = intent(ingress(host=host))
    assert found.routes == ()
    assert codes(found) == [Reason.INVALID_HOST]


def test_ports_are_found_by_name_and_by_number_and_share_one_backend():
    found = intent(ingress(path("/a"), path("/b", port="{name: http}"), path("/c", port="{name: rpc}")))
    assert [b.id for b in found.backends] == ["d/shop/80", "d/shop/90"]
    assert found.backends[1].protocol == "h2c"
    assert [(w.id, w.port_name) for w in found.endpoint_sets] == [("d/shop/80", "http"), ("d/shop/90", "rpc")]


@pytest.mark.parametrize(
    ("bad", "reason", "field"),
    [
        (path(service="gone"), Reason.SERVICE_NOT_FOUND, "spec.rules[0].http.paths[0].backend.service.name"),
        (path(port="{name: gone}"), Reason.PORT_NOT_FOUND, "spec.rules[0].http.paths[0].backend.service.port.name"),
        (path(port="{number: 1}"), Reason.PORT_NOT_FOUND, "spec.rules[0].http.paths[0].backend.service.port.number"),
    ],
)
def test_a_backend_that_is_not_there_answers_503_and_is_told(bad, reason, field):
    found = intent(ingress(bad))
    assert found.routes[0].route.action == Respond(status=503)
    [told] = [f for f in found.findings if f.reason == reason]
    assert told.origin.path == field
    assert told.remedy


def test_a_service_that_comes_makes_the_route_forward():
    world = World(ingress())
    assert isinstance(world.intents()["i"].routes[0].route.action, Respond)
    world.put(SHOP)
    assert isinstance(world.intents()["i"].routes[0].route.action, Forward)


def external(name):
    return f"kind: Service\nmetadata: {{name: out, namespace: d}}\nspec: {{type: ExternalName, externalName: '{name}', ports: [{{port: 80}}]}}"


ALLOWING = """
kind: IngressClass
metadata: {name: c, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec: {controller: weirkeeper.io/ingress, parameters: {apiGroup: weirkeeper.io, kind: LoadBalancerClassParameters, name: p}}
---
kind: LoadBalancerClassParameters
metadata: {name: p}
spec: {allowExternalName: true}
"""


def test_external_names_are_off_by_default():
    found = intent(external("api.example.org"), ingress(path(service="out")))
    assert codes(found) == [Reason.EXTERNAL_NAME_REFUSED]


@pytest.mark.parametrize(
    "name",
    ["localhost", "x.localhost", "127.0.0.1", "127.1", "::1", "169.254.169.254", "kubernetes.default.svc", "0x7f000001", "2130706433",
     "kubernetes", "10.96.0.1", "metadata.google.internal", "0.0.0.0", "fe80::1", "::ffff:127.0.0.1"],
)  # fmt: skip
def test_external_names_never_lead_to_this_machine_or_the_api_server(name):
    settings = IngressSettings(api_server=("10.96.0.1",))
    found = intent(ALLOWING, external(name), ingress(path(service="out")), settings=settings)
    assert codes(found) == [Reason.EXTERNAL_NAME_REFUSED]


def test_an_external_name_is_served_where_the_class_allows_it():
    found = intent(ALLOWING, external("api.example.org"), ingress(path(service="out")))
    assert found.backends[0].source.name == "api.example.org"
    assert codes(found) == []


def a_class(name, controller="weirkeeper.io/ingress", default="false", created="2026-01-01T00:00:00Z"):
    return f"kind: IngressClass\nmetadata: {{name: {name}, creationTimestamp: '{created}', annotations: {{ingressclass.kubernetes.io/is-default-class: '{default}'}}}}\nspec: {{controller: {controller}}}"


@pytest.mark.parametrize(
    ("classes", "wish", "legacy", "claimed_by"),
    [
        ([], "", "", "ingress/weirkeeper"),
        ([], "nginx", "", "ingress/weirkeeper"),
        ([a_class("c")], "c", "", "ingress/c"),
        ([a_class("c")], "", "c", "ingress/c"),
        ([a_class("c")], "", "", None),
        ([a_class("c")], "other", "", None),
        ([a_class("c", default="true")], "", "", "ingress/c"),
        ([a_class("c", "traefik.io/ingress", "true")], "", "", None),
        ([a_class("nginx", "k8s.io/ingress-nginx")], "nginx", "", "ingress/nginx"),
        ([a_class("c"), a_class("o")], "c", "o", "ingress/c"),
    ],
)
def test_whose_an_ingress_is(classes, wish, legacy, claimed_by):
    extra = f", ingressClassName: {wish}" if wish else ""
    annotations = f"{{kubernetes.io/ingress.class: {legacy}}}" if legacy else "{}"
    found = World(SHOP, *classes, ingress(extra=extra, annotations=annotations)).intents().get("i")
    assert (found.load_balancer if found else None) == claimed_by


def test_of_several_default_classes_the_oldest_is_taken_and_it_is_told():
    old, new = a_class("z", default="true", created="2025-01-01T00:00:00Z"), a_class("a", default="true")
    found = World(SHOP, new, old, ingress()).intents()["i"]
    assert found.load_balancer == "ingress/z"
    assert codes(found) == [Reason.SEVERAL_DEFAULT_CLASSES]


def test_the_built_in_class_goes_when_a_class_object_comes():
    world = World(SHOP, ingress())
    assert list(world.classes()) == ["weirkeeper"]
    world.put(a_class("c"))
    assert list(world.classes()) == ["c"]
    assert world.intents() == {}


def test_a_class_defines_its_load_balancer_and_both_listeners_share_their_hosts():
    made = World(ALLOWING).classes()["c"]
    assert made.defines.id == "ingress/c"
    assert [(x.protocol, x.port, x.group) for x in made.listeners] == [
        ("http", 80, "ingress/c/main"),
        ("https", 443, "ingress/c/main"),
    ]


def test_tls_brings_certificates_for_its_hosts_and_a_redirect_with_308():
    found = intent(ingress(extra=", tls: [{hosts: [A.example], secretName: s}]"))
    assert [(c.id, c.hosts) for c in found.certificates] == [("d/s", ("a.example",))]
    redirect, plain = (hosted.route for hosted in found.routes)
    assert redirect.match.scheme == "http"
    assert redirect.action == Redirect(scheme="https", status=308)
    assert plain.match.scheme is None


@pytest.mark.parametrize(
    ("annotations", "tls", "at", "redirected"),
    [
        ({}, "a.example", "/", True),
        ({}, "*.example", "/", True),
        ({}, "b.example", "/", False),
        ({"ssl_redirect": "false"}, "a.example", "/", False),
        ({"force_ssl_redirect": "true"}, "b.example", "/", True),
        ({}, "a.example", "/.well-known/acme-challenge/token", False),
    ],
)
def test_when_http_is_redirected_to_https(annotations, tls, at, redirected):
    found = routes(
        ingress(path(at), annotations=notes(**annotations), extra=f", tls: [{{hosts: ['{tls}'], secretName: s}}]")
    )
    assert any(r.match.scheme == "http" for r in found) is redirected


def test_a_default_backend_takes_what_is_left_on_its_own_hosts_and_everywhere():
    found = intent(ingress(path("/a"), extra=", defaultBackend: {service: {name: shop, port: {number: 80}}}"))
    assert [(h.hostname, h.route.priority) for h in found.routes] == [
        ("a.example", 0),
        ("a.example", -1000),
        ("*", -1000),
    ]


def test_a_path_twice_in_one_ingress_is_told():
    found = intent(ingress(path("/a"), path("/a/")))
    assert len(found.routes) == 1
    assert codes(found) == [Reason.DUPLICATE_ROUTE]


def test_ids_are_injective_and_short():
    paths = [path("/a/b"), path("/a%2db"), path("/" + "x" * 900), path("/" + "x" * 901), path("/a/b", "Exact")]
    ids = [r.id for r in routes(ingress(*paths))]
    assert len(set(ids)) == 5
    assert max(map(len, ids)) <= 512


def test_expressions_on_a_host_change_the_paths_of_other_ingresses():
    other = ingress(path("/api(/|$)(.*)", "ImplementationSpecific"), name="o", annotations=notes(use_regex="true"))
    found = intent(ingress(path("/x.y", "Exact")), other)
    assert found.routes[0].route.match.path == RegexPath(value="/x\\.y", prefix=True, case_sensitive=False)
    assert codes(found) == [Reason.DEGRADED]


def test_wrong_path_type_is_told_the_types():
    (finding,) = [f for f in intent(ingress(path(kind="Prfix"))).findings if f.reason.name == "INVALID_PATH"]
    assert "Exact, Prefix, ImplementationSpecific" in finding.for_user
    assert finding.remedy == "write one of them"


@pytest.mark.parametrize(
    ("written", "matched"),
    [("/%7Eb", "/~b"), ("/%7eb/%41", "/~b/A"), ("/a%20b", "/a%20b"), ("/100%25", "/100%25"), ("/%2Ex", "/.x")],
)
def test_paths_are_written_as_requests_come_after_normalisation(written: str, matched: str) -> None:
    path = IngressPath(path=written, path_type="Exact")
    assert path_match(path, own_regex=False, host_regex=False) == ExactPath(value=matched)
