"""A host with many paths: Envoy's generic prefix map in place of the route list.

Theory. The map only narrows: its keys are the literal paths of the routes, and the leaf of a key holds, in order, every route that could match
a request whose path begins with that key and with no longer one: those whose own path is a beginning of the key, and those that match by
expression. Each keeps its full match. So whatever the list would choose is in the leaf, and it comes first there too.
"""

from collections.abc import Sequence
from typing import Any

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.type.matcher.v3 import http_inputs_pb2
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2

from weirkeeper.providers.envoy.translate.values import packed

Matcher = matcher_pb2.Matcher
MOST = 8
"""Leaves may hold this many times as many routes as there are; a host with more (many expressions) keeps the list."""


def path_trie(routes: Sequence[Any]) -> bytes | None:
    """The serialised matcher; ``None`` where the list is better."""
    literals = [_literal(route.match) for route in routes]
    free = [n for n, literal in enumerate(literals) if literal is None]
    by_path: dict[str, list[int]] = {}
    for n, literal in enumerate(literals):
        if literal is not None:
            by_path.setdefault(literal, []).append(n)
    leaves = {key: _leaf(key, by_path, free) for key in sorted(by_path)}
    if sum(map(len, leaves.values())) > MOST * len(routes):
        return None
    path = extension_pb2.TypedExtensionConfig(
        name="path", typed_config=packed(http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=":path"))
    )
    tree = Matcher.MatcherTree(input=path)
    for key, members in leaves.items():
        tree.prefix_match_map.map[key].CopyFrom(_answer([routes[n] for n in members]))
    made = Matcher(matcher_tree=tree, on_no_match=_answer([routes[n] for n in free]))
    body: bytes = made.SerializeToString(deterministic=True)
    return body


def _leaf(key: str, by_path: dict[str, list[int]], free: list[int]) -> list[int]:
    found = list(free)
    for length in range(1, len(key) + 1):
        found.extend(by_path.get(key[:length], ()))
    return sorted(found)


def _literal(match: Any) -> str | None:
    kind = match.WhichOneof("path_specifier")
    return None if kind == "safe_regex" else getattr(match, kind) or None


def _answer(members: list[Any]) -> Any:
    listed = rc.RouteList(routes=[*members, NOT_FOUND])
    return Matcher.OnMatch(action=extension_pb2.TypedExtensionConfig(name="routes", typed_config=packed(listed)))


NOT_FOUND = rc.Route(name="-", match={"prefix": ""}, direct_response={"status": 404})
