"""Streams of a LoadBalancer manifest: what they come to, and what is wrong with others."""

import pytest
from build import World

from weirkeeper.controllers.manifests import ManifestController
from weirkeeper.model.finding import Reason

DNS = "kind: Service\nmetadata: {name: dns, namespace: d}\nspec: {ports: [{name: u, port: 53, protocol: UDP}, {name: t, port: 53, appProtocol: https}]}"
BACKENDS = """
  - {name: one, addresses: ["10.0.0.1:80"], proxyProtocol: v2}
  - {name: https, service: {name: dns, port: {number: 53}}}
  - {name: datagrams, service: {name: dns, port: {number: 53}}, protocol: udp}
"""


def meaning(listeners, streams):
    text = f"""
kind: LoadBalancer
metadata: {{name: edge, namespace: d}}
spec:
  listeners: [{listeners}]
  backends: {BACKENDS}
  streams: [{streams}]
"""
    return World(DNS, text, controller=ManifestController()).intents()["edge"]


def test_names_of_tls_go_on_unopened() -> None:
    found = meaning("{name: t, port: 8443, protocol: tls, passthrough: true, proxyProtocol: either}",
                    "{listener: t, hostnames: [a.example, '*.b.example'], forward: [{backend: one, weight: 2}, {backend: https}], idleTimeoutSeconds: 5}")  # fmt: skip
    [listener], [route] = found.listeners, found.l4_routes
    assert (listener.tls.mode, listener.accept_proxy_protocol) == ("passthrough", "either")
    assert (route.tls, route.sni, route.idle, route.listener) == (
        "passthrough",
        ("a.example", "*.b.example"),
        5000,
        listener.id,
    )
    backends = {one.id: one for one in found.backends}
    led = [(backends[share.backend], share.weight) for share in route.forward.backends]
    assert [(one.protocol, one.tls, one.send_proxy_protocol, weight) for one, weight in led] == [
        ("tcp", None, "v2", 2),
        ("tcp", None, None, 1),
    ]
    assert not found.findings


def test_datagrams_go_to_a_port_of_udp() -> None:
    found = meaning("{name: u, port: 53, protocol: udp}", "{listener: u, forward: [{backend: datagrams}]}")
    [route] = found.l4_routes
    [wish] = [one for one in found.endpoint_sets if one.transport == "UDP"]
    [backend] = [one for one in found.backends if one.id == route.forward.backends[0].backend]
    assert (backend.protocol, backend.source.id, route.tls) == ("udp", wish.id, None)
    assert not found.findings


@pytest.mark.parametrize(
    ("listener", "stream", "place", "reason"),
    [
        ("{name: x, port: 1, protocol: sctp}", "", "spec.listeners[0].protocol", Reason.INVALID_OBJECT),
        ("{name: x, port: 1, protocol: tcp, passthrough: true}", "", "spec.listeners[0].passthrough", Reason.INVALID_OBJECT),
        ("{name: x, port: 1, protocol: udp, proxyProtocol: v1}", "", "spec.listeners[0].proxyProtocol", Reason.INVALID_OBJECT),
        ("{name: x, port: 1, protocol: tcp, proxyProtocol: v9}", "", "spec.listeners[0].proxyProtocol", Reason.INVALID_OBJECT),
        ("{name: x, port: 1}", "{listener: x, forward: [{backend: one}]}", "spec.streams[0].listener", Reason.INVALID_OBJECT),
        ("{name: x, port: 1, protocol: tcp}", "{listener: y, forward: [{backend: one}]}", "spec.streams[0].listener", Reason.INVALID_OBJECT),
        ("{name: x, port: 1, protocol: tcp}", "{listener: x, hostnames: [a.example], forward: []}", "spec.streams[0].hostnames", Reason.INVALID_OBJECT),
        ("{name: x, port: 1, protocol: tls, passthrough: true}", "{listener: x, hostnames: ['a_b'], forward: []}", "spec.streams[0].hostnames", Reason.INVALID_OBJECT),
        ("{name: x, port: 1, protocol: tcp}", "{listener: x, forward: [{backend: nobody}]}", "spec.streams[0].forward", Reason.SERVICE_NOT_FOUND),
        ("{name: x, port: 1, protocol: udp}", "{listener: x, forward: [{backend: one}]}", "spec.streams[0].forward", Reason.SERVICE_NOT_FOUND),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field(listener: str, stream: str, place: str, reason: Reason) -> None:
    found = meaning(listener, stream)
    assert [(one.origin.path, one.reason) for one in found.findings] == [(place, reason)]
    known = {backend.id for backend in found.backends}
    assert not [share for route in found.l4_routes for share in route.forward.backends if share.backend in known]
