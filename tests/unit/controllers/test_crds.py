"""The schemas in deploy/crds say the same as the structs that read them."""

from pathlib import Path

import msgspec
import pytest
import yaml

from weirkeeper.controllers.manifests.types import LoadBalancerManifest
from weirkeeper.controllers.shared.parameters import LoadBalancerClassParameters

CRDS = Path(__file__).parents[3] / "deploy" / "crds"


def fields(kind):
    """All fields of a struct with those below them, by their names on the wire."""
    found = {}
    for field in msgspec.structs.fields(kind):
        inner = [t for t in _types(field.type) if isinstance(t, type) and issubclass(t, msgspec.Struct)]
        found[field.encode_name] = fields(inner[0]) if inner else {}
    return found


def _types(annotation):
    args = getattr(annotation, "__args__", ())
    return [annotation, *(t for a in args for t in _types(a))]


def properties(schema):
    schema = schema.get("items", schema)
    return {name: properties(inner) for name, inner in schema.get("properties", {}).items()}


@pytest.mark.parametrize(
    ("file", "kind"),
    [("loadbalancerclassparameters.yaml", LoadBalancerClassParameters), ("loadbalancers.yaml", LoadBalancerManifest)],
)
def test_the_schema_has_the_fields_of_the_struct(file, kind):
    crd = yaml.safe_load((CRDS / file).read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert properties(schema["properties"]["spec"]) == fields(kind)["spec"]
    assert crd["metadata"]["name"] == f"{crd['spec']['names']['plural']}.{crd['spec']['group']}"
    assert (crd["spec"]["scope"] == "Cluster") is (kind is LoadBalancerClassParameters)
