"""Users with a hash that Envoy cannot compare are kept out, and everybody else of the same list comes in."""

import base64
import hashlib
from typing import Any

import pytest
from served import GROUP, LB, World, answering, route, served

from weirkeeper.compose.fit import fit_virtual_host
from weirkeeper.model.filters import BasicAuth, Credentials
from weirkeeper.model.route import VirtualHost
from weirkeeper.model.secret import Secret
from weirkeeper.providers.envoy import EnvoyOptions
from weirkeeper.providers.envoy.capabilities import CAPABILITIES
from weirkeeper.testing.client import get
from weirkeeper.testing.echo import echo_thread
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

PASSWORD = "secret"
HASHES = {
    "sha": "{SHA}" + base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode(),
    "apr1": "$apr1$abcdefgh$3vlWhZ2WBQ2tLMnSmYuBJ1",
    "bcrypt": "$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC",
    "sha512": "$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6WouIL9AjRbLCelDCy.g.",
    "crypt": "rqXexS6ZhobKA",
    "plain": PASSWORD,
}


def demanding(hostname: Any, *users: str) -> VirtualHost:
    """The host as composed, then fitted to Envoy, with the findings of that."""
    listed: Any = tuple(Credentials(user=user, hash=Secret(HASHES[user])) for user in users)  # type: ignore[arg-type]
    routes = (route("r", auth=(BasicAuth(users=listed),)),)
    host = VirtualHost(id=hostname, load_balancer=LB, group=GROUP, hostname=hostname, routes=routes)
    return fit_virtual_host(host, CAPABILITIES)


def test_only_users_whose_hash_envoy_compares_come_in() -> None:
    world, port = World(EnvoyOptions(ipv6=False, access_log=None)), free_port()
    world.listener("http", port)
    hosts = demanding("mixed.example", *HASHES), demanding("shut.example", "apr1", "plain")
    assert [len(host.findings) for host in hosts] == [len(HASHES) - 1, 2]
    with echo_thread(name="a") as a:
        world.backend("a", a.port)
        world.host("open.example", route())
        for host in hosts:
            world.host(host.hostname, *host.routes)
        with served(world) as (_, told):
            answering(port, "http://open.example/", told)
            assert told.refusals == []
            assert {user: login(port, "mixed.example", user) for user in HASHES} == {
                user: 200 if user == "sha" else 401 for user in HASHES
            }
            assert {login(port, "shut.example", user) for user in HASHES} == {500}
            assert {login(port, "SHUT.example", user) for user in HASHES} == {500}


def login(port: int, host: str, user: str) -> int:
    token = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    return get("http://x/", via=port, host=host, headers=[("Authorization", "Basic " + token)]).status
