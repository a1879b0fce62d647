"""The fields that we say a kind of Kubernetes has are those that a real API server knows."""

import json
from typing import Any

import pytest

from weirkeeper.feeds.known_fields import METADATA, TEXTS
from weirkeeper.feeds.schema import fields_text, kind_text
from weirkeeper.testing.apiserver_real import ApiServer

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize(("group", "kind"), TEXTS, ids=lambda one: one or "core")
def test_known_fields_are_those_of_the_server(real: ApiServer, group: str, kind: str) -> None:
    path = f"/openapi/v3/apis/{group}/v1" if group else "/openapi/v3/api/v1"
    definitions: dict[str, Any] = json.loads(real.kubectl("get", "--raw", path))["components"]["schemas"]
    wanted = {"group": group, "version": "v1", "kind": kind}
    schema = next(d for d in definitions.values() if wanted in d.get("x-kubernetes-group-version-kind", ()))
    assert TEXTS[(group, kind)] == kind_text(schema, definitions)
    metadata = next(d for name, d in definitions.items() if name.endswith(".meta.v1.ObjectMeta"))
    assert fields_text(metadata, definitions) == METADATA
