"""Values to objects: what is wrong is said of the field, and what is none of ours is left alone."""

import pytest

from weirkeeper.controllers.base import COMMON_KINDS, Kind
from weirkeeper.feeds.decode import Decoder, finding, printed
from weirkeeper.kube.types import Ingress, IngressClass, Service
from weirkeeper.model.finding import Reason, Severity

INGRESS = Kind(group="networking.k8s.io", version="v1", kind="Ingress", type=Ingress)
CLASS = Kind(group="networking.k8s.io", version="v1", kind="IngressClass", namespaced=False, type=IngressClass)
KINDS = {(k.group, k.kind): k for k in (*COMMON_KINDS, INGRESS, CLASS)}


def decoded(*documents):
    return [one for document in documents for one in Decoder(KINDS).objects(document)]


def ingress(**more):
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop"}, **more}


def test_namespace_defaults_for_namespaced_kinds_only():
    (one,) = decoded(ingress())
    assert one.ref.namespace == one.object.metadata.namespace == "default"
    assert one.object.ref == one.ref
    (other,) = decoded(
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "c", "namespace": "x"}}
    )
    assert other.ref.namespace == other.object.metadata.namespace == ""


def test_lists_hold_objects():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
    found = decoded(
        {"apiVersion": "v1", "kind": "List", "items": [service, ingress()]},
        {"apiVersion": "v1", "kind": "ServiceList", "items": [{"metadata": {"name": "b"}}]},
        [service],
    )
    assert [(one.ref.kind, one.ref.name, one.item) for one in found] == [
        ("Service", "a", ("items", 0)),
        ("Ingress", "shop", ("items", 1)),
        ("Service", "b", ("items", 0)),
        ("Service", "a", (0,)),
    ]
    assert isinstance(found[0].object, Service)


@pytest.mark.parametrize(
    ("document", "path", "remedy"),
    [
        (ingress(metadata={"name": "shop", "annotations": {"a": "x", "b/c": True}}), 'metadata.annotations["b/c"]', '"true"'),
        (ingress(metadata={"name": "shop", "annotations": {"a": 8}}), "metadata.annotations.a", '"8"'),
        (ingress(spec={"rules": [{"host": 5}]}), "spec.rules[0].host", '"5"'),
        (ingress(spec={"rules": "x"}), "spec.rules", "a list"),
        (ingress(spec={"rules": [{"http": {"paths": [{"backend": {"service": {"name": "a", "port": {"number": "80"}}}}]}}]}),
         "spec.rules[0].http.paths[0].backend.service.port.number", "a whole number"),
    ],
)  # fmt: skip
def test_a_wrong_type_is_said_of_its_field(document, path, remedy):
    (one,) = decoded(document)
    assert one.object is None
    assert one.ref.name == "shop"
    (trouble,) = one.troubles
    assert trouble.reason is Reason.INVALID_OBJECT
    assert printed(trouble.path) == path
    assert remedy in trouble.remedy


@pytest.mark.parametrize("name", ["Shop", "a/b", "", None, 5, "a\n", "-a", "a" * 254])
def test_names_are_checked(name):
    (one,) = decoded(ingress(metadata={"name": name}))
    assert one.ref is None
    assert one.troubles[0].reason is Reason.INVALID_NAME


def test_what_is_no_manifest_makes_no_noise():
    assert (
        decoded({"replicas": 3}, None, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}) == []
    )


def test_what_should_be_a_manifest_is_told():
    (one,) = decoded({"kind": "Ingress", "metadata": {"name": "a"}, "spec": {}})
    assert "apiVersion is missing" in one.troubles[0].why
    (other,) = decoded("words")
    assert other.troubles


def test_kinds_near_ours_are_mentioned():
    (one,) = decoded({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "a"}})
    assert one.troubles[0].severity is Severity.INFO
    assert one.troubles[0].reason is Reason.UNKNOWN_KIND


def test_another_version_of_a_known_kind_is_refused_with_the_right_one():
    (one,) = decoded({"apiVersion": "networking.k8s.io/v9", "kind": "Ingress", "metadata": {"name": "a"}})
    assert one.object is None
    assert "networking.k8s.io/v1" in one.troubles[0].remedy


def test_old_forms_come_in_their_new_form():
    old = {"apiVersion": "networking.k8s.io/v1beta1", "kind": "Ingress", "metadata": {"name": "a"}, "spec": {}}
    (one,) = decoded(old)
    assert one.object.api_version == "networking.k8s.io/v1"
    assert [(f.reason, f.origin.ref) for f in one.findings] == [(Reason.OLD_FORM, one.ref)]


def test_old_endpoints_come_as_slices():
    subsets = [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]
    found = decoded({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "a"}, "subsets": subsets})
    assert {one.ref.kind for one in found} == {"EndpointSlice"}
    assert all(one.object is not None for one in found)
    assert sum(len(one.findings) for one in found) == 1


def test_a_document_cannot_choose_its_cluster_and_forges_no_line():
    (one,) = decoded(ingress(cluster="other"))
    assert one.object.cluster == "local"
    (bad,) = decoded(ingress(metadata={"name": "shop", "annotations": {"a\x1b[2J\nb": 1}}))
    said = finding(bad.troubles[0], bad.ref, "f.yaml:1")
    assert said.for_user.isprintable()
    assert said.origin.path.isprintable()


def test_misspelt_kind_is_told_what_was_meant():
    (one,) = decoded({"apiVersion": "networking.k8s.io/v1", "kind": "Ingres", "metadata": {"name": "a"}})
    assert one.object is None
    assert [(t.severity, t.remedy) for t in one.troubles] == [(Severity.WARNING, "did you mean Ingress?")]
