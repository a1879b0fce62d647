"""Which endpoint a client goes back to: a cookie or a header that names it, or a hash of something in the request."""

from typing import Any, assert_never

from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_components_pb2 as rc
from envoy.extensions.filters.http.stateful_session.v3 import stateful_session_pb2
from envoy.extensions.http.stateful_session.cookie.v3 import cookie_pb2 as session
from envoy.extensions.http.stateful_session.header.v3 import header_pb2
from envoy.type.http.v3 import cookie_pb2

from weirkeeper.model.filters import CookieAffinity, HashOn, HeaderSession
from weirkeeper.providers.envoy.translate.rewrites import substitution
from weirkeeper.providers.envoy.translate.values import duration, packed


def session_config(wished: CookieAffinity | HeaderSession) -> Any:
    """The filter's configuration for one route. An endpoint that is gone is replaced, and the cookie or header with it."""
    state = _by_cookie(wished) if isinstance(wished, CookieAffinity) else _by_header(wished)
    made = stateful_session_pb2.StatefulSession(session_state=state, strict=False)
    return packed(stateful_session_pb2.StatefulSessionPerRoute(stateful_session=made))


def _by_cookie(wished: CookieAffinity) -> Any:
    """Envoy always adds ``HttpOnly``."""
    cookie = cookie_pb2.Cookie(name=wished.name, path=wished.path or "/", attributes=_attributes(wished))
    if wished.ttl is not None:
        cookie.ttl.CopyFrom(duration(wished.ttl))
    state = session.CookieBasedSessionState(cookie=cookie)
    return extension_pb2.TypedExtensionConfig(name="envoy.http.stateful_session.cookie", typed_config=packed(state))


def _by_header(wished: HeaderSession) -> Any:
    state = header_pb2.HeaderBasedSessionState(name=wished.name)
    return extension_pb2.TypedExtensionConfig(name="envoy.http.stateful_session.header", typed_config=packed(state))


def _attributes(wished: CookieAffinity) -> list[Any]:
    pairs = [("Domain", wished.domain or ""), ("SameSite", wished.same_site or "")]
    named = [cookie_pb2.CookieAttribute(name=name, value=value) for name, value in pairs if value]
    return named + ([cookie_pb2.CookieAttribute(name="Secure")] if wished.secure else [])


def hash_policies(wished: HashOn) -> list[Any]:
    """What is hashed, for clusters that balance by hash."""
    policy = rc.RouteAction.HashPolicy
    match wished.on:
        case "ip":
            return [policy(connection_properties=policy.ConnectionProperties(source_ip=True))]
        case "header":
            return [policy(header=policy.Header(header_name=wished.name or ""))]
        case "cookie":
            return [policy(cookie=policy.Cookie(name=wished.name or ""))]
        case "query":
            return [policy(query_parameter=policy.QueryParameter(name=wished.name or ""))]
        case "host":
            return [policy(header=policy.Header(header_name=":authority"))]
        case "path" | "uri":
            return [policy(header=policy.Header(header_name=":path"))]
        case "path-only":
            rewrite = substitution(r"\?.*$", "")
            return [policy(header=policy.Header(header_name=":path", regex_rewrite=rewrite))]
        case _:
            assert_never(wished.on)
