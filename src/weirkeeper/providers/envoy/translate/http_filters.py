"""The HTTP filters of every connection manager: always the same, so no route change ever rewrites a listener.

Theory of operation. Envoy decides at the beginning of a stream which filters it makes, by the route that it knows then. Where an exact scope was
found, that scope's configuration switches the optional filters off and a route switches on what it wishes. Where none was found yet (wildcards,
unknown hosts, letter case), all are made, and each looks at the route that the key filter has found since. Most do nothing without
settings from a route. Some cannot: basic auth, external auth and buffering. They refuse by default. The fallback scope skips them where a route has no
settings for them; and they are skipped where the key filter, which alone can set that header, has read from an exact route that it does not wish them.
"""

from collections.abc import Iterator
from typing import Any

from envoy.config.core.v3 import base_pb2, config_source_pb2, http_uri_pb2
from envoy.extensions.filters.http.basic_auth.v3 import basic_auth_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.http.stateful_session.v3 import stateful_session_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.basic_auth import NOBODY
from weirkeeper.providers.envoy.translate.filter_matcher import unless
from weirkeeper.providers.envoy.translate.values import duration, from_ads, number, packed

LUA = names.TYPE + "envoy.extensions.filters.http.lua.v3.Lua"


def http_filters(*, scoped: bool) -> Iterator[Any]:
    """All filters in order. Without scopes Envoy knows the route at once, so the optional ones are simply off by default."""
    if scoped:
        yield hcm.HttpFilter(name=names.KEYS, config_discovery=discovered())
    yield hcm.HttpFilter(name=names.ANSWERS, config_discovery=discovered(), disabled=not scoped)
    for name, config in OPTIONAL.items():
        made = unless(name, name, config) if name in names.DEMANDING else config
        yield hcm.HttpFilter(name=name, typed_config=packed(made), disabled=not scoped)
    yield hcm.HttpFilter(name="router", typed_config=packed(router_pb2.Router(suppress_envoy_headers=True)))


def discovered() -> Any:
    """Where a filter that is a script comes from."""
    return config_source_pb2.ExtensionConfigSource(config_source=from_ads(), type_urls=[LUA])


def _nobody_decides() -> Any:
    """An external authorisation that always fails: its cluster does not exist."""
    uri = http_uri_pb2.HttpUri(uri="http://nobody/", cluster="-", timeout=duration(1000))
    made = ext_authz_pb2.ExtAuthz(http_service=ext_authz_pb2.HttpService(server_uri=uri), transport_api_version="V3")
    made.status_on_error.code = 500
    return made


def _no_judge() -> Any:
    """The same for services that are asked by gRPC: which headers they get is a matter of the filter, not of a route, and they get all."""
    made = _nobody_decides()
    made.allowed_headers.patterns.add().safe_regex.regex = ".*"
    return made


OPTIONAL: dict[str, Any] = {
    names.CORS: cors_pb2.Cors(),
    names.IP_RULES: rbac_pb2.RBAC(),
    names.RATE: local_rate_limit_pb2.LocalRateLimit(stat_prefix="rate"),
    names.BASIC: basic_auth_pb2.BasicAuth(users=base_pb2.DataSource(inline_string=NOBODY + "\n")),
    names.AUTH: _nobody_decides(),
    names.JUDGE: _no_judge(),
    names.BUFFER: buffer_pb2.Buffer(max_request_bytes=number(1)),
    names.SESSION: stateful_session_pb2.StatefulSession(),
}
