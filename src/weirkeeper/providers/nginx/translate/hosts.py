"""A virtual host as an entry: its routes in the order of matching, as the model has them, with what Lua cannot know: ways, limits of time, patterns in its dialect. Pure.

Comes in: a host with its routes, the backends that they lead to, default limits of time. Goes out: JSON values, hashes of passwords among them. What only tells people where a route comes from is left out.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from weirkeeper.model.backend import Backend
from weirkeeper.model.filters import Timeouts
from weirkeeper.model.route import Route, VirtualHost
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Id
from weirkeeper.providers.items import digest
from weirkeeper.providers.nginx.translate.backends import Revoked, way_of
from weirkeeper.providers.nginx.translate.items import ORDINARY, Way
from weirkeeper.providers.waits import ends_tries, shortest

WAIT = 60_000
TOLD_TO_PEOPLE = (
    "rule_name",
    "origin",
    "also",
    "created_at",
    "priority",
    "native",
    "protocol",
    "timeouts",
)
BackendOf = Callable[[Id], Backend | None]


def host(wished: VirtualHost, backend_of: BackendOf, defaults: Timeouts, revoked: Revoked) -> dict[str, object]:
    """The entry of a host."""
    ways: dict[str, Way] = {}
    routes = [_route(one, backend_of, defaults, revoked, ways) for one in wished.routes]
    found: dict[str, object] = {"routes": routes}
    if wished.wildcard_labels is not None:
        found["labels"] = wished.wildcard_labels
    if ways:
        found["ways"] = [way for _, way in sorted(ways.items())]
    return found


def host_name(group: str, hostname: str) -> str:
    """The name of a host's entry."""
    return f"{group_token(group)}/{hostname}"


def group_token(group: str) -> str:
    """A short name for a route group; no host name can run into it."""
    return digest(group)


def _route(
    route: Route, backend_of: BackendOf, defaults: Timeouts, revoked: Revoked, ways: dict[str, Way]
) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(route, enc_hook=_opened)
    found = {name: value for name, value in found.items() if name not in TOLD_TO_PEOPLE}
    found["id"] = digest(route.id)
    wait = shortest(route.timeouts, defaults) or WAIT
    late = ends_tries(route.timeouts, defaults, route.retry)
    limit = route.timeouts.request if route.timeouts.request is not None else defaults.request
    if limit:
        found["limit"] = limit
    if wait != WAIT:
        found["wait"] = wait
    for share in found["action"].get("backends", ()):
        backend = backend_of(Id(share["backend"]))
        way = way_of(backend, revoked, route.retry, route.error_pages, route.body_limit, late=late, timed=bool(limit))
        if way != ORDINARY:
            ways[way.name] = way
            share["via"] = way.name
    for one in found.get("auth", ()):
        backend = backend_of(Id(one["backend"])) if one["type"] == "external" else None
        if backend is not None and backend.requests_as is not None:
            one["as"] = msgspec.to_builtins(backend.requests_as)
    return found


def _opened(value: object) -> object:
    if isinstance(value, Secret):
        return value.open()
    raise NotImplementedError(type(value).__name__)
