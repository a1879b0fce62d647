"""One neutral route to Envoy's: match, action, edits, and which optional filters it switches on. The hot path of translation.

A route that cannot be translated as wished never lets a request through: it answers by itself.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, assert_never

import msgspec
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as rc

from weirkeeper.model.filters import (
    BasicAuth,
    ConnectionLimit,
    CookieAffinity,
    Deny,
    ExternalAuth,
    GlobalRateLimit,
    HashOn,
    HeaderSession,
    Jwt,
    LocalRateLimit,
    Timeouts,
)
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Redirect, Respond, Route, WeightedBackend
from weirkeeper.model.text import Id, Timestamp
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.affinity import hash_policies, session_config
from weirkeeper.providers.envoy.translate.answers import change_answers
from weirkeeper.providers.envoy.translate.basic_auth import basic_auth_config
from weirkeeper.providers.envoy.translate.bodies import buffer_config
from weirkeeper.providers.envoy.translate.cors import cors_config
from weirkeeper.providers.envoy.translate.external_auth import external_auth_config
from weirkeeper.providers.envoy.translate.filter_matcher import switched_off
from weirkeeper.providers.envoy.translate.headers import edit_request, edit_response, header, host_of
from weirkeeper.providers.envoy.translate.ip_rules import ip_rules_config
from weirkeeper.providers.envoy.translate.matchers import route_match
from weirkeeper.providers.envoy.translate.mirrors import mirror_policy
from weirkeeper.providers.envoy.translate.rate_limits import rate_limit_config
from weirkeeper.providers.envoy.translate.redirects import redirect_action
from weirkeeper.providers.envoy.translate.retries import limit_time, retry_policy
from weirkeeper.providers.envoy.translate.rewrites import rewrite_url
from weirkeeper.providers.envoy.translate.values import duration
from weirkeeper.providers.envoy.translate.wire import fields, nested

ROUTE_NAME, ROUTE_MATCH, ROUTE_ACTION = fields(rc.Route, "name", "match", "route")
(ACTION_CLUSTER,) = fields(rc.RouteAction, "cluster")
SOMEWHERE = Forward(backends=(WeightedBackend(backend=Id("-")),))
EVERYTHING, NEVER, NOBODY = RouteMatch(), Timestamp(""), Origin(ref=Ref(kind="", name=""))
REFUSED = 500
NO_BACKEND = 503
NOWHERE = "weir.nowhere"
"""A cluster that is never there: ids of backends have a slash."""


def routes(route: Route, defaults: Timeouts, hostname: str) -> Iterator[Any]:
    """The route; twice where bodies are buffered, because an upgraded connection has no end to wait for."""
    made = _route(route, defaults, hostname)
    if names.BUFFER in made.typed_per_filter_config and "websocket" in route.upgrades:
        upgrade = rc.Route()
        upgrade.CopyFrom(made)
        upgrade.match.headers.append(
            rc.HeaderMatcher(name="upgrade", string_match={"exact": "websocket", "ignore_case": True})
        )
        del upgrade.typed_per_filter_config[names.BUFFER]
        _tell_key_filter(upgrade)
        yield upgrade
    yield made


def route_bytes(route: Route, defaults: Timeouts, hostname: str) -> list[bytes]:
    """The same, serialised. Most routes differ from others by name, match and backend alone: the rest is made once."""
    backend = _lone_backend(route)
    if backend is None:
        return [made.SerializeToString(deterministic=True) for made in routes(route, defaults, hostname)]
    alike = msgspec.structs.replace(
        route,
        id=SOMEWHERE.backends[0].backend,
        match=EVERYTHING,
        action=SOMEWHERE,
        priority=0,
        created_at=NEVER,
        also=(),
        origin=NOBODY,
    )
    action, rest = _manner(alike, defaults)
    head = nested(ROUTE_NAME, route.id.encode()) + nested(ROUTE_MATCH, _match_bytes(route.match))
    if action is None:
        return [head + rest]
    return [head + nested(ROUTE_ACTION, nested(ACTION_CLUSTER, backend.encode()) + action) + rest]


def _lone_backend(route: Route) -> Id | None:
    """The backend of a route that has just one and nothing that depends on its own name or path."""
    action = route.action
    if not isinstance(action, Forward) or len(action.backends) != 1 or action.refused or route.rewrite is not None:
        return None
    share = action.backends[0]
    if share.weight <= 0 or share.request_headers or share.response_headers:
        return None
    # what is remembered of one route for others holds no password
    return None if route.body_limit is not None or route.buffer_requests or route.auth else share.backend


@lru_cache(maxsize=256)
def _manner(route: Route, defaults: Timeouts) -> tuple[bytes | None, bytes]:
    """The action without its cluster, and what else a route has without its name and match."""
    made = _route(route, defaults, "")
    action = None
    if made.WhichOneof("action") == "route":
        made.route.ClearField("cluster")
        action = made.route.SerializeToString(deterministic=True)
        made.ClearField("route")
    made.ClearField("name")
    made.ClearField("match")
    return action, made.SerializeToString(deterministic=True)


@lru_cache(maxsize=1024)
def _match_bytes(match: RouteMatch) -> bytes:
    body: bytes = route_match(match).SerializeToString(deterministic=True)
    return body


def backends_of(route: Route) -> Iterator[str]:
    """The backends that a route needs."""
    if isinstance(route.action, Forward):
        yield from (backend.backend for backend in route.action.backends if backend.weight > 0)
        yield from (mirror.backend for mirror in route.mirrors)
    for auth in route.auth:
        if isinstance(auth, ExternalAuth):
            yield auth.backend
    if route.error_pages is not None:
        yield route.error_pages.backend


def _route(route: Route, defaults: Timeouts, hostname: str) -> Any:
    made = rc.Route(name=route.id, match=route_match(route.match))
    match route.action:
        case Forward() as forward:
            _forward(made, route, forward, defaults)
        case Redirect() as redirect:
            made.redirect.CopyFrom(redirect_action(redirect, route.match.path, hostname))
        case Respond() as respond:
            _respond(made, respond)
        case _:
            assert_never(route.action)
    if route.request_headers:
        edit_request(made, route.request_headers)
    if route.response_headers:
        edit_response(made, route.response_headers)
    if route.forwarded_prefix is not None:
        made.request_headers_to_add.append(header("x-forwarded-prefix", route.forwarded_prefix))
    change_answers(made, route)
    _guards(made, route)
    return made


def _forward(made: Any, route: Route, forward: Forward, defaults: Timeouts) -> None:
    shares = [backend for backend in forward.backends if backend.weight > 0]
    if not shares:
        made.direct_response.status = NO_BACKEND
        return
    action = made.route
    if len(shares) == 1 and not (shares[0].request_headers or shares[0].response_headers or forward.refused):
        action.cluster = shares[0].backend
    else:
        for share in shares:
            weighted = action.weighted_clusters.clusters.add(name=share.backend)
            weighted.weight.value = share.weight
            if share.request_headers:
                edit_request(weighted, share.request_headers)
            if share.response_headers:
                edit_response(weighted, share.response_headers)
        if forward.refused:
            action.weighted_clusters.clusters.add(name=NOWHERE).weight.value = forward.refused
            action.cluster_not_found_response_code = rc.RouteAction.INTERNAL_SERVER_ERROR
    limit_time(action, route.timeouts, defaults)
    per_try = route.timeouts.backend_request or defaults.backend_request
    if retry := retry_policy(route.retry, per_try):
        action.retry_policy.CopyFrom(retry)
    if route.rewrite:
        rewrite_url(action, route.rewrite, route.match.path)
    if (host := host_of(route.request_headers)) and not (route.rewrite and route.rewrite.host):
        action.host_rewrite_literal = host
    for mirror in route.mirrors:
        action.request_mirror_policies.append(mirror_policy(mirror))
    if isinstance(route.affinity, HashOn):
        action.hash_policy.extend(hash_policies(route.affinity))
    if "websocket" not in route.upgrades:
        action.upgrade_configs.add(upgrade_type="websocket").enabled.value = False
    if route.protocol == "grpc":
        action.max_stream_duration.max_stream_duration.CopyFrom(duration(0))


def _respond(made: Any, respond: Respond) -> None:
    answer = rc.DirectResponseAction(status=respond.status)
    if respond.body:
        answer.body.CopyFrom(base_pb2.DataSource(inline_string=respond.body))
        if respond.content_type != "text/plain":
            made.response_headers_to_add.append(header("content-type", respond.content_type))
    made.direct_response.CopyFrom(answer)


def _guards(made: Any, route: Route) -> None:
    """Switches on the optional filters of the route."""
    on = made.typed_per_filter_config
    if route.cors:
        on[names.CORS].CopyFrom(cors_config(route.cors))
    if route.ip_rules:
        on[names.IP_RULES].CopyFrom(ip_rules_config(route.ip_rules))
    if isinstance(route.affinity, CookieAffinity | HeaderSession):
        on[names.SESSION].CopyFrom(session_config(route.affinity))
    if route.rate_limits:
        _rate_limits(made, route)
    if route.body_limit is not None or route.buffer_requests:
        on[names.BUFFER].CopyFrom(buffer_config(route.body_limit))
    _auth(made, route)
    if any(name in on for name in names.DEMANDING):
        _tell_key_filter(made)


def _tell_key_filter(made: Any) -> None:
    """Which demanding filters an oddly written host of this route does without; a route without such a note has none of them."""
    made.metadata.filter_metadata[names.KEYS].fields["off"].string_value = switched_off(made.typed_per_filter_config)


def _rate_limits(made: Any, route: Route) -> None:
    local: list[LocalRateLimit] = []
    for limit in route.rate_limits:
        match limit:
            case LocalRateLimit():
                local.append(limit)
            case ConnectionLimit() | GlobalRateLimit():
                return _refuse(made, REFUSED)
            case _:
                assert_never(limit)
    return made.typed_per_filter_config[names.RATE].CopyFrom(rate_limit_config(local))


def _auth(made: Any, route: Route) -> None:
    on = made.typed_per_filter_config
    for auth in route.auth:
        match auth:
            case Deny(status=status):
                return _refuse(made, status)
            case BasicAuth() if names.BASIC not in on and (basic := basic_auth_config(auth)) is not None:
                on[names.BASIC].CopyFrom(basic)
            case ExternalAuth() if (asking := names.JUDGE if auth.grpc else names.AUTH) not in on:
                on[asking].CopyFrom(external_auth_config(auth))
            case BasicAuth() | ExternalAuth() | Jwt():
                return _refuse(made, REFUSED)
            case _:
                assert_never(auth)
    return None


def _refuse(made: Any, status: int) -> None:
    """The route keeps its match and lets nobody through."""
    made.direct_response.CopyFrom(rc.DirectResponseAction(status=status))
    for name in (names.BASIC, names.AUTH, names.JUDGE):
        if name in made.typed_per_filter_config:
            del made.typed_per_filter_config[name]
