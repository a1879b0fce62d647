"""The path trie and the route list both choose what a plain reference matcher chooses, for 10^5 generated requests each, asked of a real Envoy.

The tables mix exact paths, segment prefixes, string prefixes and expressions with methods and headers, over names that look alike; the requests are made of the
same parts and of parts that no rule has. What a table answers is the name of the rule, so an answer tells which rule was chosen.
"""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from envoy.config.route.v3 import scoped_route_pb2
from lockstep import in_lockstep
from served import World, answering, route, served

from weirkeeper.compose.precedence import precedence_key
from weirkeeper.model.match import (
    BeginsWith,
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
    PathMatch,
    Present,
    RegexPath,
    RouteMatch,
    SegmentPrefix,
    StringPrefix,
)
from weirkeeper.model.route import Respond, Route
from weirkeeper.providers.envoy import EnvoyOptions, names
from weirkeeper.providers.envoy.translate import pieces
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

NEVER = 10_000
TABLES, RULES, REQUESTS, PATHS = 20, 100, 5_000, 400
SEGMENTS = ("a", "b", "ab", "abc", "a.b", "A", "b%20", "c-b", "~b", "c", "d", "de", "x.y", "~")
METHODS = ("GET", "POST", "PUT", "DELETE")
VALUES = ("", "v", "v1", "v22", "w", "v1x", "1")
EXPRESSIONS = ("/a/[ab]+", "/(a|b)/.*", "/.*b", "/ab(c)?/[^/]+/?", "/A.*", "/a\\.b/(a|ab)")
Request = tuple[str, str, str | None]


def path(chance: random.Random) -> Any:
    if chance.random() < 0.01:
        return "/"
    return "/" + "/".join(chance.choice(SEGMENTS) for _ in range(chance.choice((1, 2, 2, 2, 3, 3, 3, 4))))


def path_match(chance: random.Random) -> PathMatch:
    kind = chance.randrange(100)
    if kind < 50:
        return SegmentPrefix(value=path(chance))
    if kind < 80:
        return ExactPath(value=path(chance) + chance.choice(("", "", "/")))
    if kind < 98:
        return StringPrefix(value=path(chance))
    expression: Any = chance.choice(EXPRESSIONS)
    return RegexPath(value=expression, prefix=chance.random() < 0.3, case_sensitive=chance.random() < 0.7)


def header_match(chance: random.Random) -> HeaderMatch:
    value: Any = chance.choice(VALUES[1:])
    kinds: Any = (Exactly(value=value), BeginsWith(value=value), Matches(value="v[0-9]+"), Present())  # type: ignore[arg-type]
    match = chance.choice(kinds)
    return HeaderMatch(name="X-V", match=match, inverted=chance.random() < 0.2 and isinstance(match, Exactly))  # type: ignore[arg-type]


def rule(chance: random.Random, name: int) -> Route:
    methods: Any = tuple(sorted(chance.sample(METHODS, chance.choice((1, 2))))) if chance.random() < 0.3 else ()
    headers = (header_match(chance),) if chance.random() < 0.3 else ()
    match = RouteMatch(path=path_match(chance), methods=methods, headers=headers)
    return route(f"r{name}", match=match, action=Respond(status=200, body=str(name)))  # type: ignore[arg-type]


def table(chance: random.Random) -> list[Route]:
    return sorted((rule(chance, name) for name in range(RULES)), key=precedence_key)


def takes_path(match: PathMatch, asked: str) -> bool:
    match match:
        case ExactPath(value=value):
            return asked == value
        case SegmentPrefix(value=value):
            return value == "/" or asked == value or asked.startswith(value + "/")
        case StringPrefix(value=value):
            return asked.startswith(value)
        case RegexPath(value=value, prefix=prefix, case_sensitive=case_sensitive):
            flags = 0 if case_sensitive else re.IGNORECASE
            return re.fullmatch(f"(?:{value}).*" if prefix else value, asked, flags) is not None


def takes_value(wished: HeaderMatch, value: str | None) -> bool:
    match wished.match:
        case Present():
            return value is not None
        case Exactly(value=text):
            return (value == text) != wished.inverted
        case BeginsWith(value=text):
            return value is not None and value.startswith(text)
        case Matches(value=text):
            return value is not None and re.fullmatch(text, value) is not None
        case _:
            raise AssertionError(wished)


def reference(rules: list[Route]) -> Callable[[Request], int | None]:
    """The first rule that takes a request, one after the other; which rules take a path is remembered."""
    by_path: dict[str, list[Route]] = {}

    def choose(request: Request) -> int | None:
        method, target, value = request
        asked = target.partition("?")[0]
        if asked not in by_path:
            by_path[asked] = [rule for rule in rules if takes_path(rule.match.path, asked)]
        for candidate in by_path[asked]:
            match = candidate.match
            if (not match.methods or method in match.methods) and all(takes_value(h, value) for h in match.headers):
                return int(candidate.id[1:])
        return None

    return choose


def requests(chance: random.Random, rules: list[Route]) -> list[Request]:
    """Requests for paths of the rules, for paths below, beside and above them, and for others."""
    literals = [rule.match.path.value for rule in rules if not isinstance(rule.match.path, RegexPath)]
    tails = ("", "", "", "/", "/a", "b", "/ab/b", "?q=/a", "/?a")
    paths = [(chance.choice(literals) if chance.random() < 0.7 else path(chance)) for _ in range(PATHS)]
    targets = [re.sub("/+", "/", text + chance.choice(tails)) for text in paths]
    values = (None, *VALUES)
    return [(chance.choice(METHODS), chance.choice(targets), chance.choice(values)) for _ in range(REQUESTS)]


def raw(host: str, request: Request) -> bytes:
    method, target, value = request
    sent = "" if value is None else f"X-V: {value}\r\n"
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{sent}\r\n".encode()


def world_of(tables: list[list[Route]], trie_from: int, port: int, pieces_from: int) -> World:
    world = World(EnvoyOptions(ipv6=False, access_log=None, trie_from=trie_from, pieces_from=pieces_from))
    world.listener("http", port)
    world.host("ready.example", route(action=Respond(status=200)))
    for number, rules in enumerate(tables):
        world.host(f"h{number}.example", *rules)
    return world


def tries(world: World) -> int:
    scopes = (
        item.whole for key, item in world.settled().items() if key.kind == names.SCOPE and key.name.endswith(".example")
    )
    hosts = [
        scoped_route_pb2.ScopedRouteConfiguration.FromString(body).route_configuration.virtual_hosts[0]
        for body in scopes
    ]
    return sum(host.HasField("matcher") for host in hosts)


def hosts_in_pieces(world: World) -> int:
    found = [key.name for key in world.settled() if key.kind == names.SCOPE and key.name.count("|") == 2]
    return len(found) // pieces.PIECES


LAYOUTS = [
    pytest.param(10, NEVER, TABLES, id="trie"),
    pytest.param(NEVER, NEVER, 0, id="list"),
    pytest.param(30, 30, 0, id="pieces"),
]


@pytest.mark.parametrize(("trie_from", "pieces_from", "number_of_tries"), LAYOUTS)
def test_envoy_chooses_what_the_reference_chooses(
    trie_from: int, pieces_from: int, number_of_tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "WORTH", 0)  # however little it is worth with so few segments
    chance = random.Random(20261121)
    tables, port = [table(chance) for _ in range(TABLES)], free_port()
    world = world_of(tables, trie_from, port, pieces_from)
    assert hosts_in_pieces(world) == (TABLES if pieces_from < NEVER else 0)
    assert tries(world) == number_of_tries
    chosen: set[tuple[int, int | None]] = set()
    with served(world) as (_, told):
        answering(port, "http://ready.example/", told)
        for number, rules in enumerate(tables):
            host, choose, asked = f"h{number}.example", reference(rules), requests(chance, rules)
            answers = in_lockstep(port, [raw(host, request) for request in asked])
            wished = [choose(request) for request in asked]
            got = [int(body) if status == 200 else None for status, body in answers]
            assert {status for status, _ in answers} <= {200, 404}
            assert [(r, w, g) for r, w, g in zip(asked, wished, got, strict=True) if w != g] == []
            chosen |= {(number, name) for name in wished}
        assert told.refusals == []
    assert TABLES * REQUESTS >= 100_000
    assert len(chosen) > TABLES * RULES * 0.3, "the requests reach many rules"
    assert sum(name is None for _, name in chosen) > TABLES / 2, "and some reach none"
