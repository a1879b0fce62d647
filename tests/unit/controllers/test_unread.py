"""An object that is read by name and cannot be read, or may still come: nobody passes, and it is not called missing."""

import pytest
from build import SHOP, World, ingress, notes

from weirkeeper.feeds.kube.problems import not_listed, part
from weirkeeper.kube.errors import Forbidden
from weirkeeper.model.filters import Deny
from weirkeeper.model.finding import Effect, Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.route import Respond

REFUSED = Forbidden('secrets "users" is forbidden: User "x" cannot list it', status=403, reason="Forbidden")
ASKS = {
    "basic auth": ("Secret", "users", Reason.SECRET_NOT_FOUND, notes(auth_type="basic", auth_secret="users")),
    "client certificates": ("Secret", "users", Reason.SECRET_NOT_FOUND, notes(auth_tls_secret="users")),
    "headers of the question": (
        "ConfigMap", "users", Reason.CONFIGMAP_NOT_FOUND, notes(auth_url="http://shop.d.svc.cluster.local/", auth_proxy_set_headers="users"),
    ),
}  # fmt: skip


def world(kind, annotations, *, answered, refused):
    made = World(SHOP, ingress(annotations=annotations))
    ref = Ref(kind=kind, namespace="d", name="users")
    if not answered:
        for one in ("Secret", "ConfigMap"):
            made.graph.put(made.inputs.complete, one, None)
    if refused:
        seen = not_listed(part(f"{kind} users", namespace="d"), f"the {ref}", REFUSED, ref)
        made.graph.put(made.inputs.problems, seen.ref, (seen.problem,))
    made.graph.settle()
    return made, made.intents()["i"]


def closed(intent):
    return all(hosted.route.auth == (Deny(),) or isinstance(hosted.route.action, Respond) for hosted in intent.routes)


def said(intent):
    return [one for one in intent.findings if one.severity is not Severity.INFO]


@pytest.mark.parametrize("asks", ASKS)
def test_forbidden_is_said_with_the_server_s_words_pending_is_not_said_and_absent_is(asks):
    kind, _, absent, annotations = ASKS[asks]
    _, found = world(kind, annotations, answered=False, refused=False)
    assert closed(found)
    assert said(found) == []
    made, found = world(kind, annotations, answered=False, refused=True)
    assert closed(found)
    [finding] = said(found)
    assert (finding.reason, finding.effect) == (Reason.NOT_LISTED, Effect.FAILS_CLOSED)
    assert "is forbidden" in finding.for_user
    assert "namespace d" in finding.remedy
    assert finding.origin.ref.kind == "Ingress"
    made.graph.put(made.inputs.problems, part(f"{kind} users", namespace="d"), None)
    made.graph.put(made.inputs.complete, kind, True)
    made.graph.settle()
    assert [one.reason for one in said(made.intents()["i"])] == [absent]


def test_headers_of_answers_are_left_out_and_that_is_said():
    _, found = world("ConfigMap", notes(custom_headers="users"), answered=False, refused=True)
    assert [(one.reason, one.effect) for one in found.findings] == [(Reason.NOT_LISTED, Effect.IGNORED)]
    assert not closed(found)
