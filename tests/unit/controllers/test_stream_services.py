"""Ports that ConfigMaps list: what an entry comes to, and what is said of a wrong one."""

import json

import pytest
from build import SHOP, World, ingress

from weirkeeper.controllers.ingress import IngressSettings
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Ref

DNS = """
kind: Service
metadata: {name: dns, namespace: d}
spec: {ports: [{name: udp, port: 53, protocol: UDP}, {name: tcp, port: 53}]}
"""
SETTINGS = IngressSettings(
    tcp_services=Ref(kind="ConfigMap", namespace="w", name="tcp"),
    udp_services=Ref(kind="ConfigMap", namespace="w", name="udp"),
)


def listed(name, **entries):
    data = json.dumps({key.lstrip("p"): text for key, text in entries.items()})
    return f"kind: ConfigMap\nmetadata: {{name: {name}, namespace: w}}\ndata: {data}"


def of_class(*documents):
    return World(SHOP, DNS, ingress(), *documents, settings=SETTINGS).classes()["weirkeeper"]


def test_each_entry_is_a_listener_with_a_backend():
    found = of_class(listed("tcp", p9000="d/shop:80", p53="d/dns:tcp"), listed("udp", p53="d/dns:53"))
    ports = {(one.protocol, one.port): one for one in found.listeners if one.protocol in {"tcp", "udp"}}
    assert set(ports) == {("tcp", 9000), ("tcp", 53), ("udp", 53)}
    backends = {one.id: one for one in found.backends}
    led = {route.listener: backends[route.forward.backends[0].backend] for route in found.l4_routes}
    assert {led[one.id].protocol for (kind, _), one in ports.items() if kind == "tcp"} == {"tcp"}
    assert led[ports["udp", 53].id].protocol == "udp"
    wishes = {wish.id: wish for wish in found.endpoint_sets}
    assert wishes[led[ports["udp", 53].id].source.id].transport == "UDP"
    assert [one.reason for one in found.findings] == []


@pytest.mark.parametrize(
    ("flags", "accepts", "sends"),
    [("", None, None), (":PROXY", "either", None), (":PROXY:PROXY", "either", "v1"), ("::proxy", None, "v1")],
)
def test_the_proxy_protocol_is_taken_and_spoken(flags, accepts, sends):
    found = of_class(listed("tcp", p9000=f"d/shop:80{flags}"), listed("udp"))
    [listener] = [one for one in found.listeners if one.protocol == "tcp"]
    [backend] = [one for one in found.backends if one.protocol == "tcp"]
    assert (listener.accept_proxy_protocol, backend.send_proxy_protocol) == (accepts, sends)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"p9000": "shop:80"}, Reason.INVALID_OBJECT),
        ({"p9000": "d/shop"}, Reason.INVALID_OBJECT),
        ({"p9000": "d/shop:80:PROXI"}, Reason.INVALID_OBJECT),
        ({"p9000": "d/shop:80:PROXY:PROXY:PROXY"}, Reason.INVALID_OBJECT),
        ({"p70000": "d/shop:80"}, Reason.INVALID_OBJECT),
        ({"pweb": "d/shop:80"}, Reason.INVALID_OBJECT),
        ({"p443": "d/shop:80"}, Reason.LISTENER_CONFLICT),
        ({"p9000": "d/nobody:80"}, Reason.SERVICE_NOT_FOUND),
        ({"p9000": "d/shop:81"}, Reason.PORT_NOT_FOUND),
    ],
)
def test_a_wrong_entry_is_said_on_the_config_map(entry, reason):
    found = of_class(listed("tcp", **entry), listed("udp"))
    assert [(one.reason, one.origin.ref.name) for one in found.findings] == [(reason, "tcp")]


def test_udp_has_no_proxy_protocol():
    found = of_class(listed("tcp"), listed("udp", p53="d/dns:53:PROXY"))
    assert [one.reason for one in found.findings] == [Reason.INVALID_OBJECT]


def test_a_config_map_that_is_not_there_is_said():
    found = of_class(listed("tcp"))
    assert [one.reason for one in found.findings] == [Reason.CONFIGMAP_NOT_FOUND]
