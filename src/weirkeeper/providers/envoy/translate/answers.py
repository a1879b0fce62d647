"""Answers that a route replaces or rewrites: its wishes as typed values for the constant script, and nothing where it has none.

Envoy makes the filter only for routes with such wishes, so all others pay nothing. The mark of the router tells the script which answers came by the route.
"""

from typing import Any

from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from google.protobuf import struct_pb2

from weirkeeper.model.filters import CookieRewrite, ErrorPages, ExternalAuth
from weirkeeper.model.route import Route
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.answer_script import LARGEST, LUA
from weirkeeper.providers.envoy.translate.external_auth import claimable
from weirkeeper.providers.envoy.translate.headers import formatted
from weirkeeper.providers.envoy.translate.newer import share_machine
from weirkeeper.providers.envoy.translate.values import packed

SCRIPT = "answers"


def answers_filter() -> bytes:
    """The extension, the same for every load balancer; without effect where a route does not name the script."""
    source = base_pb2.DataSource(inline_string=LUA)
    lua = lua_pb2.Lua(source_codes={SCRIPT: source}, stat_prefix="answers")
    lua.clear_route_cache.value = False
    share_machine(lua, SCRIPT, LUA)
    made = extension_pb2.TypedExtensionConfig(name=names.ANSWERS, typed_config=packed(lua))
    body: bytes = made.SerializeToString(deterministic=True)
    return body


def change_answers(made: Any, route: Route) -> None:
    """Switches the filter on for an Envoy route where it wishes something of its answers."""
    wished = _wishes(route)
    if not wished:
        return
    context = struct_pb2.Struct()
    context.update(wished)
    made.typed_per_filter_config[names.ANSWERS].CopyFrom(
        packed(lua_pb2.LuaPerRoute(name=SCRIPT, filter_context=context))
    )
    if "pages" in wished or "sign_in" in wished:
        made.request_body_buffer_limit.value = LARGEST
        made.response_headers_to_add.append(formatted(names.DETAILS_HEADER, "%RESPONSE_CODE_DETAILS%"))


def _wishes(route: Route) -> dict[str, Any]:
    wished: dict[str, Any] = {}
    if (auth := _signs_in(route)) is not None:
        wished["sign_in"] = {"url": auth.sign_in, "parameter": auth.sign_in_parameter}
    if claims := [name for auth in route.auth if isinstance(auth, ExternalAuth) for name in claimable(auth)]:
        wished["claims"] = claims
    if route.error_pages is not None:
        wished["pages"] = _pages(route.error_pages)
    if route.cookie_rewrites:
        wished["cookies"] = [_cookie(one) for one in route.cookie_rewrites]
    if route.location_rewrites:
        wished["locations"] = [{"old": one.old, "new": one.new} for one in route.location_rewrites]
    return wished


def _signs_in(route: Route) -> ExternalAuth | None:
    return next((auth for auth in route.auth if isinstance(auth, ExternalAuth) and auth.sign_in is not None), None)


def _pages(pages: ErrorPages) -> dict[str, Any]:
    return {
        "cluster": pages.backend,
        "codes": {str(code): True for code in pages.codes},
        "own": {str(code): True for code in pages.own_codes},
        "headers": {pair.name.lower(): pair.value for pair in pages.headers},
    }


def _cookie(one: CookieRewrite) -> dict[str, str]:
    old = one.old if one.attribute == "path" else one.old.lower().removeprefix(".")
    return {"attribute": one.attribute, "old": old, "new": one.new}
