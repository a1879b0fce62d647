"""Values kept small: as bytes, and with equal parts held once."""

import msgspec

from weirkeeper.kube.types import EndpointSlice, Ingress, Service
from weirkeeper.model.endpoint import Endpoint, EndpointSet, EndpointState
from weirkeeper.model.packed import Packed
from weirkeeper.model.sharing import shared

SLICE = msgspec.convert(
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "a-1", "namespace": "d", "labels": {"kubernetes.io/service-name": "a", "x": ""}},
        "addressType": "IPv6",
        "ports": [{"name": None, "port": 1}, {"port": 2, "appProtocol": "h2c"}],
        "endpoints": [
            {"addresses": ["fd00::1"], "conditions": {"ready": False, "serving": True}, "zone": "z", "nodeName": "n"},
            {"addresses": []},
        ],
    },
    EndpointSlice,
)
SERVICE = msgspec.convert(
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081}], "clusterIP": "None"},
    },
    Service,
)
SET = EndpointSet(
    id="x",
    endpoints=(
        Endpoint(address="10.0.0.1", port=1, state=EndpointState.SERVING, via="a.example"),
        Endpoint(address="::1", port=2),
    ),
)


def test_what_is_unpacked_equals_what_was_packed() -> None:
    for value in (SLICE, SERVICE, SET):
        packing = Packed(type(value))
        body = packing.pack(value)
        assert isinstance(body, bytes)
        assert packing.unpack(body) == value
        assert type(packing.unpack(body)) is type(value)


def ingress() -> Ingress:
    def path(text: str) -> dict:
        backend = {"service": {"name": "s1", "port": {"number": 80}}}
        return {"path": text, "pathType": "Prefix", "backend": backend}

    raw = msgspec.json.encode(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "i", "namespace": "d", "annotations": {"a": "b"}},
            "spec": {"rules": [{"host": "h.example", "http": {"paths": [path("/"), path("/api"), path("/api")]}}]},
        }
    )
    return msgspec.json.decode(raw, type=Ingress)


def test_equal_parts_are_held_once_and_nothing_else_changes() -> None:
    plain = ingress()
    small = shared(plain)
    assert small == plain
    assert type(small) is Ingress
    first, second, third = small.spec.rules[0].http.paths
    assert first.backend is second.backend
    assert second is third
    assert plain == ingress()
    assert shared(ingress()).metadata.namespace is small.metadata.namespace
