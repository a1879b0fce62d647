"""TLSRoutes, TCPRoutes and UDPRoutes: where they hang, where they lead, and what is said of them."""

import pytest
import yaml
from test_gateway import World, gateway

DNS = "kind: Service\nmetadata: {name: dns, namespace: d}\nspec: {ports: [{name: u, port: 53, protocol: UDP}, {name: t, port: 53}]}"
THROUGH = "{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}"
TCP, UDP = "{name: tcp, port: 53, protocol: TCP}", "{name: udp, port: 53, protocol: UDP}"


def stream(kind, *backends, name="r", parent="{name: g}", hosts=None, namespace="d"):
    refs = ", ".join(backends or ("{name: shop, port: 80}",))
    names = f"hostnames: {hosts}, " if hosts else ""
    return f"kind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}, generation: 2}}\nspec: {{parentRefs: [{parent}], {names}rules: [{{backendRefs: [{refs}]}}]}}"


def led(world):
    return {route.id: route for one in world.intents().values() for route in one.l4_routes}


def listeners(world):
    found = (listener for one in world.intents().values() for listener in one.listeners)
    return {(one.protocol, one.port, one.hostname): one for one in found}


def test_a_name_goes_through_unopened() -> None:
    world = World(gateway(THROUGH), stream("TLSRoute", hosts="[a.example, '*.b.example']"))
    [route] = led(world).values()
    [listener] = listeners(world).values()
    assert (route.tls, route.sni, route.listener) == ("passthrough", ("a.example", "*.b.example"), listener.id)
    assert (listener.protocol, listener.tls.mode) == ("tls", "passthrough")
    assert route.forward.backends[0].backend == "d/shop/80~tcp"
    assert world.said("TLSRoute") == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    assert world.said_of("tls") == (
        {
            "Accepted": ("True", "Accepted"),
            "Conflicted": ("False", "NoConflicts"),
            "ResolvedRefs": ("True", "ResolvedRefs"),
        },
        1,
    )


def test_names_of_listener_and_route_meet_and_the_narrowest_listener_has_them() -> None:
    wide = THROUGH.replace("name: tls", "name: wide, hostname: '*.example'")
    narrow = THROUGH.replace("name: tls", "name: narrow, hostname: a.example")
    world = World(gateway(wide, narrow), stream("TLSRoute", hosts="[a.example, b.example, c.other]"))
    assert {route.listener.rpartition("/")[2]: route.sni for route in led(world).values()} == {
        "wide": ("b.example",),
        "narrow": ("a.example",),
    }
    none = World(gateway(wide), stream("TLSRoute", hosts="[c.other]"))
    assert not [route for route in led(none).values() if route.sni]
    assert none.said("TLSRoute")["Accepted"] == ("False", "NoMatchingListenerHostname")


def test_udp_and_tcp_are_different_ports() -> None:
    world = World(
        gateway(TCP, UDP), DNS, stream("TCPRoute", "{name: dns, port: 53}"), stream("UDPRoute", "{name: dns, port: 53}")
    )
    assert set(listeners(world)) == {("tcp", 53, None), ("udp", 53, None)}
    assert sorted(route.forward.backends[0].backend for route in led(world).values()) == [
        "d/dns/53~tcp",
        "d/dns/udp/53",
    ]
    assert world.said_of("tcp")[0]["Conflicted"] == world.said_of("udp")[0]["Conflicted"] == ("False", "NoConflicts")
    assert world.said_of("tcp")[1] == world.said_of("udp")[1] == 1


def test_weights_and_references_that_lead_nowhere_keep_their_shares() -> None:
    refs = (
        "{name: shop, port: 80, weight: 3}",
        "{name: nobody, port: 80, weight: 1}",
        "{name: shop, port: 90, weight: 0}",
    )
    world = World(gateway(TCP), stream("TCPRoute", *refs))
    [route] = led(world).values()
    known = {backend.id for one in world.intents().values() for backend in one.backends}
    assert [(share.backend in known, share.weight) for share in route.forward.backends] == [
        (True, 3),
        (False, 1),
        (True, 0),
    ]
    assert world.said("TCPRoute")["ResolvedRefs"] == ("False", "BackendNotFound")


@pytest.mark.parametrize(
    ("kind", "listener"), [("TLSRoute", TCP), ("TCPRoute", THROUGH), ("UDPRoute", TCP), ("TCPRoute", UDP)]
)
def test_a_kind_that_the_protocol_does_not_take(kind: str, listener: str) -> None:
    world = World(gateway(listener), stream(kind, hosts="[a.example]" if kind == "TLSRoute" else None))
    assert not led(world)
    assert world.said(kind)["Accepted"] == ("False", "NotAllowedByListeners")


@pytest.mark.parametrize("kind", ["TLSRoute", "TCPRoute", "UDPRoute"])
def test_no_reference_leads_into_another_namespace_without_a_grant(kind: str) -> None:
    listener = {"TLSRoute": THROUGH, "TCPRoute": TCP, "UDPRoute": UDP}[kind]
    hosts = "[a.example]" if kind == "TLSRoute" else None
    world = World(gateway(listener), stream(kind, "{name: dns, namespace: e, port: 53}", hosts=hosts))
    world.put(DNS.replace("namespace: d", "namespace: e"))
    assert world.said(kind)["ResolvedRefs"] == ("False", "RefNotPermitted")
    assert not [backend for one in world.intents().values() for backend in one.backends]
    grant = yaml.safe_dump({
        "kind": "ReferenceGrant",
        "metadata": {"name": "g", "namespace": "e"},
        "spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "d"}], "to": [{"kind": "Service"}]},
    })  # fmt: skip
    world.put(grant)
    assert world.said(kind)["ResolvedRefs"] == ("True", "ResolvedRefs")
    world.drop(grant)
    assert world.said(kind)["ResolvedRefs"] == ("False", "RefNotPermitted")


def test_tls_that_ends_here_needs_a_certificate() -> None:
    world = World(gateway("{name: tls, port: 443, protocol: TLS}"), stream("TLSRoute", hosts="[a.example]"))
    assert world.said_of("tls")[0]["ResolvedRefs"] == ("False", "InvalidCertificateRef")
    assert not listeners(world)


def test_a_mode_that_nobody_knows_is_not_accepted() -> None:
    world = World(gateway(THROUGH.replace("Passthrough", "Sometimes")))
    assert world.said_of("tls")[0]["Accepted"] == ("False", "UnsupportedValue")


def test_https_and_unopened_names_share_a_port() -> None:
    https = "{name: https, port: 443, protocol: HTTPS, hostname: own.example, tls: {certificateRefs: [{name: nobody}]}}"
    world = World(gateway(https, THROUGH), stream("TLSRoute", hosts="[a.example]"))
    assert world.said_of("https")[0]["Conflicted"] == ("False", "NoConflicts")
    assert world.said_of("tls")[0]["Conflicted"] == ("False", "NoConflicts")
    [route] = led(world).values()
    assert route.sni == ("a.example",)
