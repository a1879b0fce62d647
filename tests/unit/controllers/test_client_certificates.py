"""Hosts whose clients must show a certificate: who decides, where routes go, and that nobody passes where it cannot be demanded."""

import json

import pytest
from build import SHOP, World, codes, ingress, intent, notes, path

from weirkeeper.controllers.ingress import IngressSettings
from weirkeeper.model.filters import Deny
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.route import Redirect, Respond

PEM = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
MAIN, OWN = "ingress/weirkeeper/main", "ingress/weirkeeper/tls/a.example"
ACME = path("/.well-known/acme-challenge/x", "Exact")


def authorities(namespace="d", text=PEM, name="clients"):
    data = json.dumps({"ca.crt": text})
    return f"kind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData: {data}"


def guarded(
    *paths, secret="clients", name="i", host="a.example", namespace="d", created="2026-01-02T00:00:00Z", **more
):
    asked = notes(auth_tls_secret=secret, **more)
    return ingress(*paths, name=name, host=host, namespace=namespace, created=created, annotations=asked)


def groups(found):
    return [(str(hosted.group), hosted.route.match.path.value) for hosted in found.routes]


def denied(found):
    return all(hosted.route.auth == (Deny(),) for hosted in found.routes)


def test_the_host_has_a_listener_and_a_group_of_its_own():
    found = intent(authorities(), guarded(auth_tls_verify_depth="3", auth_tls_pass_certificate_to_upstream="true"))
    [listener] = found.listeners
    assert (listener.hostname, listener.group, listener.protocol) == ("a.example", OWN, "https")
    validation = listener.tls.client_validation
    assert (validation.mode, validation.depth, validation.forward_certificate) == ("require", 3, True)
    assert [bundle.id for bundle in found.trust_bundles] == [validation.trust]
    own, to_https, misdirected = found.routes
    assert (own.group, own.route.auth) == (OWN, ())
    assert (to_https.group, to_https.route.match.scheme) == (MAIN, "http")
    assert isinstance(to_https.route.action, Redirect)
    assert (misdirected.group, misdirected.route.action) == (MAIN, Respond(status=421))


@pytest.mark.parametrize(
    ("verify", "mode"), [("on", "require"), ("optional", "optional"), ("optional_no_ca", "allow-insecure-fallback")]
)
def test_how_much_is_demanded(verify, mode):
    [listener] = intent(authorities(), guarded(auth_tls_verify_client=verify)).listeners
    assert listener.tls.client_validation.mode == mode


def test_off_demands_nothing():
    found = intent(authorities(), guarded(auth_tls_verify_client="off"))
    assert (found.listeners, groups(found)) == ((), [(MAIN, "/")])


def test_neighbours_of_the_host_are_guarded_too_save_a_challenge_of_acme():
    neighbour = ingress(path("/b"), ACME, name="n", created="2026-01-01T00:00:00Z")
    found = World(SHOP, authorities(), guarded(), neighbour).intents()
    assert found["n"].listeners == ()
    assert groups(found["n"]) == [(OWN, "/b"), (MAIN, "/.well-known/acme-challenge/x")]
    assert found["n"].routes[1].route.match.scheme == "http"


def test_a_stranger_cannot_lock_a_host():
    world = World(SHOP, authorities("e"), ingress(name="n"), guarded(namespace="e"))
    found = world.intents()
    assert groups(found["n"]) == [(MAIN, "/")]
    assert denied(found["i"])
    assert Reason.INVALID_HOST in codes(found["i"])


def test_a_neighbour_of_one_namespace_that_wishes_others_is_closed():
    other = guarded(path("/b"), secret="others", name="j", created="2026-01-03T00:00:00Z")
    found = World(SHOP, authorities(), authorities(name="others"), guarded(), other).intents()
    assert denied(found["j"])
    assert Reason.ANNOTATION_CONFLICT in codes(found["j"])
    assert found["i"].routes[0].route.auth == ()


BROKEN = [
    ((), {}, Reason.SECRET_NOT_FOUND),
    ((authorities(text="nonsense"),), {}, Reason.INVALID_SECRET),
    ((authorities("e"),), {"secret": "e/clients"}, Reason.CROSS_NAMESPACE),
    ((authorities(),), {"auth_tls_verify_client": "perhaps"}, Reason.INVALID_ANNOTATION),
    ((authorities(),), {"auth_tls_verify_depth": "deep"}, Reason.INVALID_ANNOTATION),
    ((authorities(),), {"host": "*.a.example"}, Reason.INVALID_HOST),
    ((authorities(),), {"host": ""}, Reason.INVALID_HOST),
]


@pytest.mark.parametrize(("there", "asked", "reason"), BROKEN)
def test_a_demand_that_cannot_be_met_lets_nobody_through(there, asked, reason):
    found = intent(*there, guarded(**asked))
    served = [hosted for hosted in found.routes if not isinstance(hosted.route.action, Redirect | Respond)]
    assert served
    assert all(hosted.route.auth == (Deny(),) for hosted in served)
    assert any(f.reason == reason and f.effect == Effect.FAILS_CLOSED for f in found.findings)


def test_neighbours_are_closed_with_it():
    found = World(SHOP, guarded(), ingress(path("/b"), name="n")).intents()
    assert denied(found["n"])


def test_a_class_without_https_cannot_demand_it():
    found = intent(authorities(), guarded(), settings=IngressSettings(https_port=0))
    assert denied(found)
