"""Virtual hosts, and what holds them: a scope for each exact host, one fallback scope of a group for all wildcards, or one table for a group.

Each host ends with a route that answers 404, so a missing path never falls through to another host, and a request without any route is
told apart (421 where the group has a TLS policy). A wildcard that stands for one label (Ingress) demands that of the host by expression;
deeper names go on to the routes of the host ``*``, which are appended.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2

from weirkeeper.model.filters import Timeouts
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import VirtualHost
from weirkeeper.model.text import Id
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.filter_matcher import always_skipped
from weirkeeper.providers.envoy.translate.matchers import authority_matcher
from weirkeeper.providers.envoy.translate.pieces import DEEPEST
from weirkeeper.providers.envoy.translate.retries import default_retry
from weirkeeper.providers.envoy.translate.routes import backends_of, route_bytes, routes
from weirkeeper.providers.envoy.translate.trie import path_trie
from weirkeeper.providers.envoy.translate.values import packed, quoted
from weirkeeper.providers.envoy.translate.wire import fields, nested

MISDIRECTED = 421
_Scope = scoped_route_pb2.ScopedRouteConfiguration
VIRTUAL_HOST_NAME, VIRTUAL_HOST_DOMAINS, VIRTUAL_HOST_ROUTES, VIRTUAL_HOST_MATCHER = fields(
    rc.VirtualHost, "name", "domains", "routes", "matcher"
)
CONFIG_NAME, CONFIG_HOSTS = fields(route_pb2.RouteConfiguration, "name", "virtual_hosts")
SCOPE_NAME, SCOPE_KEY, SCOPE_CONFIGURATION = fields(_Scope, "name", "key", "route_configuration")
(SCOPE_FRAGMENTS,) = fields(_Scope.Key, "fragments")
(FRAGMENT_TEXT,) = fields(_Scope.Key.Fragment, "string_key")


class HostPart(NamedTuple):
    """One host, serialised: ``routes`` are fields of a virtual host; ``tail`` ends the names that the routes are for."""

    hostname: str
    head: bytes
    routes: bytes
    tail: bytes
    needs: tuple[tuple[str, str], ...]
    origins: tuple[Origin, ...]


def host_part(host: VirtualHost, defaults: Timeouts, trie_from: int) -> HostPart:
    """The host's own bytes."""
    one_label = host.wildcard_labels == 1 and host.hostname.startswith("*.")
    demanded = authority_matcher("[^.]+" + quoted(host.hostname[1:])) if one_label else None
    trie = None
    if demanded is None and (len(host.routes) < trie_from or host.hostname.startswith("*")):
        listed = [body for route in host.routes for body in route_bytes(route, defaults, host.hostname)]
    else:
        made = [made for route in host.routes for made in routes(route, defaults, host.hostname)]
        if demanded is not None:
            for route in made:
                route.match.headers.append(demanded)
        trie = None if host.hostname.startswith("*") else path_trie(made)
        listed = [] if trie is not None else [one.SerializeToString(deterministic=True) for one in made]
    body = nested(VIRTUAL_HOST_MATCHER, trie) if trie is not None else _each(VIRTUAL_HOST_ROUTES, listed)
    return HostPart(
        hostname=host.hostname,
        head=_head(host.hostname),
        routes=body,
        tail=b"" if trie is not None else NOT_FOUND if demanded is None else _not_found_where(demanded),
        needs=tuple(sorted({(names.CLUSTER, b) for route in host.routes for b in backends_of(route)})),
        origins=host.origins or tuple(dict.fromkeys(route.origin for route in host.routes)),
    )


def _each(field: int, bodies: Iterable[bytes]) -> bytes:
    return b"".join([nested(field, body) for body in bodies])


def refusing_part(hostname: str, status: int) -> HostPart:
    """A host that is not there (404), or belongs to another TLS policy (421), as whoever asks for it is told."""
    name = "misdirected" if status == MISDIRECTED else "-"
    route = rc.Route(name=name, match={"prefix": ""}, direct_response={"status": status})
    body = nested(VIRTUAL_HOST_ROUTES, route.SerializeToString(deterministic=True))
    return HostPart(hostname, _head(hostname), body, b"", (), ())


def exact_scope(group: str, part: HostPart) -> tuple[str, bytes]:
    """Name and bytes of the scope of one exact host. No filter is made for it but those that its routes switch on."""
    key = f"{group}|{part.hostname}"
    return key, _scope(key, nested(CONFIG_HOSTS, part.head + part.routes + part.tail) + EXACT)


def piece_scope(group: str, part: HostPart, place: str) -> tuple[str, bytes]:
    """Name and bytes of one piece of a host. The key filter chooses it, so every filter is made, as behind the fallback scope."""
    key = f"{group}|{part.hostname}|{place}"
    return key, _scope(key, nested(CONFIG_HOSTS, part.head + part.routes + part.tail) + FALLBACK)


def split_scope(group: str, hostname: str, depth: int) -> tuple[str, bytes]:
    """Name and bytes of the scope of an exact host that is in pieces: it only says so to the key filter. If that fails, nobody gets through."""
    key = f"{group}|{hostname}"
    route = rc.Route(name="pieces", match={"prefix": ""}, direct_response={"status": 500})
    route.metadata.filter_metadata[names.KEYS].fields["pieces"].number_value = depth
    made = nested(VIRTUAL_HOST_ROUTES, route.SerializeToString(deterministic=True))
    return key, _scope(key, nested(CONFIG_HOSTS, _head(hostname) + made) + SPLIT[depth])


def fallback_scope(group: str, parts: Sequence[HostPart]) -> tuple[str, bytes]:
    """Name and bytes of the scope of all wildcards of a group; Envoy chooses among them by the longest suffix."""
    key = f"{group}|*"
    return key, _scope(key, _hosts(parts) + FALLBACK)


def route_table(group: str, parts: Sequence[HostPart]) -> bytes:
    """All hosts of a group in one route configuration."""
    name: bytes = route_pb2.RouteConfiguration(name=group).SerializeToString()
    return name + _hosts(parts) + COMMON


def _hosts(parts: Sequence[HostPart]) -> bytes:
    everything = next((part for part in parts if part.hostname == "*"), None)
    bodies = []
    for part in parts:
        body = part.head + part.routes + part.tail
        if everything is not None and part.tail not in (b"", NOT_FOUND):
            body += everything.routes + everything.tail
        bodies.append(nested(CONFIG_HOSTS, body))
    return b"".join(bodies)


def _scope(key: str, config: bytes) -> bytes:
    text = key.encode()
    fragment = nested(SCOPE_FRAGMENTS, nested(FRAGMENT_TEXT, text))
    return (
        nested(SCOPE_NAME, text)
        + nested(SCOPE_KEY, fragment)
        + nested(SCOPE_CONFIGURATION, nested(CONFIG_NAME, text) + config)
    )


def _head(hostname: str) -> bytes:
    text = hostname.encode()
    return nested(VIRTUAL_HOST_NAME, text) + nested(VIRTUAL_HOST_DOMAINS, text) + RETRY


def _not_found_where(demanded: object) -> bytes:
    return nested(VIRTUAL_HOST_ROUTES, _not_found(demanded))


def _not_found(demanded: object) -> bytes:
    match = rc.RouteMatch(prefix="")
    if demanded is not None:
        match.headers.append(demanded)
    made: bytes = rc.Route(name="-", match=match, direct_response={"status": 404}).SerializeToString(deterministic=True)
    return made


def _common(off: tuple[str, ...] = (), skipped: tuple[str, ...] = ()) -> bytes:
    made = route_pb2.RouteConfiguration(
        ignore_port_in_host_matching=True,
        validate_clusters={"value": False},
        request_headers_to_remove=names.INTERNAL_HEADERS,
        max_direct_response_body_size_bytes={"value": 16384},
    )
    for name in off:
        made.typed_per_filter_config[name].CopyFrom(packed(rc.FilterConfig(disabled=True)))
    for name in skipped:
        made.typed_per_filter_config[name].CopyFrom(always_skipped())
    body: bytes = made.SerializeToString(deterministic=True)
    return body


def _scripted(script: str) -> bytes:
    """The part of a route configuration that gives the key filter another of its scripts."""
    made = route_pb2.RouteConfiguration()
    made.typed_per_filter_config[names.KEYS].CopyFrom(packed(lua_pb2.LuaPerRoute(name=script)))
    body: bytes = made.SerializeToString(deterministic=True)
    return body


NOT_FOUND = nested(VIRTUAL_HOST_ROUTES, _not_found(None))
RETRY: bytes = rc.VirtualHost(retry_policy=default_retry()).SerializeToString(deterministic=True)
COMMON = _common()
EXACT = _common(off=(names.KEYS, *names.OPTIONAL))
FALLBACK = _common(skipped=names.DEMANDING)
SPLIT = {depth: FALLBACK + _scripted(names.PIECES.format(depth)) for depth in range(1, DEEPEST + 1)}


def group_token(group: Id) -> str:
    """The group as it stands in a scope key and in a format string: nothing in it is cut or interpreted."""
    return "".join(c if c.isalnum() or c in "._/-" else f"~{ord(c):02x}" for c in group)
