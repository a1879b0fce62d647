"""Envoy takes every kind of cluster and a path trie chooses what the list would choose; asked of a real Envoy."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from served import World, answering, route, served

from weirkeeper.compose.precedence import precedence_key
from weirkeeper.model import backend as b
from weirkeeper.model.match import ExactPath, PathMatch, RegexPath, RouteMatch, SegmentPrefix, StringPrefix
from weirkeeper.model.route import Respond, Route
from weirkeeper.providers.envoy import EnvoyOptions
from weirkeeper.testing.client import get
from weirkeeper.testing.echo import EchoServer, echo_thread
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

BACKENDS: dict[str, dict[str, Any]] = {
    "least": {"balancing": b.LeastRequest(), "slow_start": 1000},
    "random": {"balancing": b.RandomChoice()},
    "ewma": {"balancing": b.PeakEwma()},
    "hash": {"balancing": b.ConsistentHash()},
    "limits": {
        "limits": b.Limits(connections=5, pending=5, requests=5, retries=1, requests_per_connection=3, buffer=65536)
    },
    "checked": {"health": b.HealthCheck(interval=100)},  # type: ignore[arg-type]
    "tcp-checked": {"health": b.HealthCheck(kind="tcp", interval=100)},  # type: ignore[arg-type]
    "ejecting": {"passive_health": b.PassiveHealth()},
    "h2c": {"protocol": "h2c"},
    "named": {"stats_name": "shop", "idle_timeout": 1000, "max_connection_age": 60000},
    "zones": {"prefer_local_zone": True},
    "dns": {"source": b.FromDns(name="localhost", port=1)},  # type: ignore[arg-type]
}


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with echo_thread(name="a") as server:
        yield server


def test_every_kind_of_backend_answers(echo: EchoServer) -> None:
    world, port = World(EnvoyOptions(ipv6=False, access_log=None)), free_port()
    world.listener("http", port)
    dns = {"dns": {"source": b.FromDns(name="localhost", port=echo.port)}}  # type: ignore[arg-type]
    for name, more in {**BACKENDS, **dns}.items():
        world.backend(name, echo.port, **more)
        world.host(f"{name}.example", route(to=name))
    with served(world) as (_, told):
        for name in BACKENDS:
            answering(port, f"http://{name}.example/", told)
        assert told.refusals == []


SEGMENTS = ("a", "b", "ab", "a%20", "a.b", "A")


def paths(chance: random.Random) -> str:
    return "/" + "/".join(chance.choice(SEGMENTS) for _ in range(chance.randrange(4)))


def matches(chance: random.Random) -> PathMatch:
    path: Any = paths(chance) if chance.random() < 0.9 else "/only"
    kind = chance.randrange(10)
    if kind < 4:
        return SegmentPrefix(value=path)
    if kind < 7:
        return ExactPath(value=path + chance.choice(("", "/")))
    if kind < 9:
        return StringPrefix(value=path)
    return RegexPath(value=chance.choice(("/a/[ab]+", "/(a|b)/.*", "/.*b")), prefix=chance.random() < 0.5)  # type: ignore[arg-type]


def ordered(chance: random.Random, count: int) -> list[Route]:
    kinds = {match: None for match in (matches(chance) for _ in range(count)) if getattr(match, "value", "") != "/"}
    answers = [
        route(f"r{n}", match=RouteMatch(path=match), action=Respond(status=200, body=str(n)))
        for n, match in enumerate(kinds)  # type: ignore[arg-type]
    ]
    return sorted(answers, key=precedence_key)


def test_trie_and_list_agree() -> None:
    chance = random.Random(20261121)
    tables = [ordered(chance, 40) for _ in range(6)]
    answers: dict[int, list[tuple[int, str]]] = {}
    asked = [paths(chance) + chance.choice(("", "/", "?q=/a", "/x", "b")) for _ in range(150)]
    for trie_from in (1, 10_000):
        world, port = World(EnvoyOptions(ipv6=False, access_log=None, trie_from=trie_from)), free_port()
        world.listener("http", port)
        world.host("ready.example", route(action=Respond(status=200)))
        for n, table in enumerate(tables):
            world.host(f"h{n}.example", *table)
        with served(world) as (_, told):
            answering(port, "http://ready.example/", told)
            got = [get(f"http://h{n}.example{path}", via=port) for n in range(len(tables)) for path in asked]
            assert told.refusals == []
            answers[trie_from] = [(answer.status, answer.text) for answer in got]
    assert answers[1] == answers[10_000]
    assert {status for status, _ in answers[1]} == {200, 404}
    assert len({text for _, text in answers[1]}) > 20
