"""`weir bootstrap` prints what an Envoy anywhere needs, and says which option is wrong."""

import json

import pytest
from typer.testing import CliRunner

from weirkeeper.cli.main import app
from weirkeeper.distribute.authority import SERVER_NAME

GOOD = ("--load-balancer", "ingress/public", "--control-plane", "weirkeeper.system.svc:18000")


def test_it_names_the_node_its_addresses_and_every_way_to_the_control_plane() -> None:
    more = ("--control-plane", "[2001:db8::1]:18000", "--instance", "pod-1", "--address", "192.0.2.1", "--address", "::1")
    found = CliRunner().invoke(app, ["bootstrap", *GOOD, *more, "--folder", "/tls", "--admin-socket", "/run/a.sock"])
    assert found.exit_code == 0, found.output
    document = json.loads(found.output)
    assert document["node"]["id"] == "ingress/public/pod-1"
    assert document["node"]["metadata"] == {"weirkeeper.addresses": ["192.0.2.1", "::1"]}
    assert document["admin"]["address"] == {"pipe": {"path": "/run/a.sock", "mode": 0o600}}
    (cluster,) = document["static_resources"]["clusters"]
    assert cluster["type"] == "STRICT_DNS"
    ends = [end["endpoint"]["address"]["socket_address"] for end in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]]
    assert ends == [
        {"address": "weirkeeper.system.svc", "port_value": 18000},
        {"address": "2001:db8::1", "port_value": 18000},
    ]
    tls = cluster["transport_socket"]["typed_config"]
    assert tls["sni"] == SERVER_NAME
    assert "PRIVATE" not in found.output
    back_off = document["dynamic_resources"]["ads_config"]["grpc_services"][0]["envoy_grpc"]["retry_policy"]
    assert back_off["retry_back_off"]["max_interval"] == "0.5s"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--load-balancer", "web"), "--control-plane"),
        ((*GOOD, "--control-plane", "nowhere"), "is not host:port"),
        ((*GOOD, "--control-plane", "a:70000"), "is not host:port"),
        ((*GOOD, "--address", "localhost"), "is no IP address"),
        (("--load-balancer", "a b", "--control-plane", "a:1"), "--load-balancer"),
    ],
)
def test_a_wrong_option_is_named(arguments: tuple[str, ...], said: str) -> None:
    found = CliRunner().invoke(app, ["bootstrap", *arguments])
    assert found.exit_code == 2
    assert said in found.output


def test_sidecar_takes_the_same_names_and_refuses_the_same_mistakes() -> None:
    found = CliRunner().invoke(app, ["sidecar", *GOOD, "--control-plane", "nowhere"])
    assert found.exit_code == 2
    assert "is not host:port" in found.output
