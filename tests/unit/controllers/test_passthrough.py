"""Hosts whose TLS goes unopened: whose they are, where they lead, and when TLS ends here after all."""

import pytest
from build import SHOP, World, codes, ingress, intent, notes, path

from weirkeeper.controllers.ingress import IngressSettings
from weirkeeper.model.finding import Reason
from weirkeeper.model.route import Redirect

ROOT = path("/")


def passing(*paths, name="i", host="a.example", created="2026-01-02T00:00:00Z", **more):
    asked = notes(ssl_passthrough="true", **more)
    return ingress(*(paths or (ROOT,)), name=name, host=host, created=created, annotations=asked)


def test_a_host_passes_to_the_service_of_its_root():
    found = intent(SHOP, passing())
    [route] = found.l4_routes
    assert (route.listener, route.tls, route.sni) == ("ingress/weirkeeper/https", "passthrough", ("a.example",))
    [backend] = [one for one in found.backends if one.id == route.forward.backends[0].backend]
    assert (backend.protocol, backend.tls) == ("tcp", None)
    assert [type(hosted.route.action) for hosted in found.routes] == [Redirect], "HTTP is sent to HTTPS"


def test_http_is_served_where_nobody_redirects():
    found = intent(SHOP, passing(ssl_redirect="false"))
    assert [hosted.route.match.scheme for hosted in found.routes] == ["http"]
    assert found.l4_routes


@pytest.mark.parametrize(
    "given",
    [
        passing(host="*.a.example"),
        passing(path("/elsewhere")),
        passing(whitelist_source_range="10.0.0.0/8"),
        passing(auth_type="basic", auth_secret="users"),
        passing(auth_tls_secret="clients"),
    ],
    ids=["wildcard", "no root", "addresses", "password", "certificates"],
)
def test_tls_ends_here_where_it_cannot_pass(given):
    found = intent(SHOP, given)
    assert not found.l4_routes
    assert Reason.ANNOTATION_CONFLICT in codes(found)


def test_a_host_belongs_to_its_oldest_ingress():
    older = ingress(ROOT, name="older", host="a.example", created="2026-01-01T00:00:00Z")
    late = World(SHOP, older, passing(name="late")).intents()["late"]
    assert not late.l4_routes
    assert "belongs to the older Ingress" in late.findings[0].for_user
    first = World(SHOP, passing(name="first", created="2025-01-01T00:00:00Z"), older).intents()["first"]
    assert first.l4_routes


def test_without_a_port_for_https_nothing_passes():
    found = intent(SHOP, passing(), settings=IngressSettings(https_port=0))
    assert not found.l4_routes


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        ({"limit_rps": "5", "proxy_body_size": "8m"}, "limits of rates, limits of bodies"),
        ({"upstream_hash_by": "$remote_addr"}, "session affinity and hashing"),
        ({"enable_cors": "true", "x_forwarded_prefix": "/x"}, "the policy for cross-origin requests, headers"),
    ],
    ids=["limits", "hash", "others"],
)
def test_wishes_about_requests_that_nobody_reads_are_told(wishes, said):
    found = intent(SHOP, passing(**wishes))
    assert found.l4_routes
    [told] = [one for one in found.findings if one.reason is Reason.ANNOTATION_WITHOUT_EFFECT]
    assert told.for_user.endswith(said)


def test_without_such_wishes_nothing_is_told():
    assert not codes(intent(SHOP, passing()))
