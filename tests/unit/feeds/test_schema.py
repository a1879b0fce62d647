"""Fields that a kind does not have: found at any depth, in lists and maps; our own kinds' structs agree with what ships for an API server."""

from pathlib import Path

import pytest
import yaml

from weirkeeper.controllers.base import COMMON_KINDS, Kind
from weirkeeper.controllers.ingress import IngressController, IngressSettings
from weirkeeper.controllers.manifests import ManifestController
from weirkeeper.feeds.decode import Decoder, finding, printed
from weirkeeper.feeds.known_fields import OWN, TEXTS, known_fields
from weirkeeper.feeds.schema import fields_text, kind_text, own_fields, parsed, unknown
from weirkeeper.model.finding import Effect, Reason, Severity

CONTROLLERS = (IngressController(IngressSettings()), ManifestController())
KINDS = {(k.group, k.kind): k for k in (*COMMON_KINDS, *(k for c in CONTROLLERS for k in c.kinds))}
SHIPPED = [yaml.safe_load(path.read_text()) for path in (Path(__file__).parents[3] / "deploy" / "crds").glob("*.yaml")]
DEFINITIONS = {one["spec"]["names"]["kind"]: one["spec"] for one in SHIPPED}

INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, lables: {a: b}, annotations: {any/thing: x}}
spec:
  ingressclassname: weirkeeper
  rules:
  - host: shop.example
    http:
      paths:
      - {path: /, pathtype: Prefix, backend: {service: {name: web, port: {number: 80}, weight: 3}}}
status: {loadBalancer: {}}
"""


def strange(text):
    (found,) = Decoder(KINDS).objects(yaml.safe_load(text))
    return found, [(printed(one.path), one.remedy) for one in found.strange]


def test_slips_of_the_pen_are_said_with_the_right_name():
    found, said = strange(INGRESS)
    assert found.object is not None
    assert found.troubles == ()
    assert said == [
        ("metadata.lables", "did you mean labels?"),
        ("spec.ingressclassname", "did you mean ingressClassName?"),
        ("spec.rules[0].http.paths[0].pathtype", "did you mean pathType?"),
        ("spec.rules[0].http.paths[0].backend.service.weight", "take it out; known here are: name, port"),
    ]
    assert all((one.reason, one.severity) == (Reason.UNKNOWN_FIELD, Severity.WARNING) for one in found.strange)


@pytest.mark.parametrize(
    "text",
    [
        "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {any.key: ''}, stringData: {b: c}, type: Opaque}",
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: {a: b}, ports: [{port: 1, targetPort: web}]}}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, managedFields: [{fieldsV1: {'f:a': {}}}]}, data: {a: b}}",
    ],
)
def test_maps_and_fields_that_nobody_reads_are_left_alone(text):
    assert strange(text)[1] == []


def test_an_old_form_is_not_measured_by_todays_fields():
    old = "{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: a}, spec: {backend: {serviceName: a, servicePort: 80}}}"
    assert strange(old)[1] == []


def test_many_slips_are_not_all_said():
    fields = ", ".join(f"x{n}: 1" for n in range(1000))
    found, _ = strange(f"{{apiVersion: v1, kind: Secret, metadata: {{name: a}}, {fields}}}")
    assert len(found.strange) == 20


def test_every_common_kind_is_known():
    others = ["Node", "Deployment", "StatefulSet", "DaemonSet", "Pod"]  # read for what we need of them: their spelling is not our business
    assert [kind.kind for kind in KINDS.values() if known_fields(kind) is None] == others
    assert known_fields(Kind(group="x.example", version="v1", kind="X", type=COMMON_KINDS[0].type)) is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.group == OWN], ids=lambda kind: kind.kind)
def test_our_structs_have_the_fields_of_our_definitions(kind):
    definition = DEFINITIONS[kind.kind]
    (version,) = definition["versions"]
    shipped = parsed(kind_text(version["schema"]["openAPIV3Schema"], {}))
    assert {name: own_fields(kind.type)[name] for name in shipped} == shipped


def test_texts_are_read_back():
    schema = {
        "properties": {
            "b": {"$ref": "#/components/schemas/B"},
            "a": {"type": "array", "items": {"allOf": [{"$ref": "#/x/B"}]}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "n": {"type": "integer"},
        }
    }
    definitions = {"B": {"type": "object", "properties": {"x": {"type": "string"}}}}
    text = fields_text(schema, definitions)
    assert text == "a{x},b{x},m*,n"
    assert parsed(text) == {"a": {"x": {}}, "b": {"x": {}}, "m": None, "n": {}}
    document = {"a": [{"x": 1}, {"y": 1}], "m": {"any": {"thing": 1}}, "n": {"z": 1}, "c": 1}
    assert [path for path, _ in unknown(document, parsed(text))] == [("a", 1, "y"), ("c",)]


def test_texts_are_sorted_and_whole():
    for text in TEXTS.values():
        assert text.count("{") == text.count("}")
        assert " " not in text


def test_the_effect_is_that_it_is_ignored():
    found, _ = strange(INGRESS)
    assert finding(found.strange[0], found.ref, "a.yaml:1").effect is Effect.IGNORED
