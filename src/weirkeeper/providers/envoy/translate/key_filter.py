"""The key filter: constant Lua for requests that hit no exact scope. No text of a tenant ever stands in it.

Theory of operation (decision 0001). An exact lower-case host finds its scope before any filter is made, and that scope switches this filter and
all optional ones off, so plain traffic never pays. All other requests find no route at first; Envoy then makes every filter. This one
sets the scope key to the normalised host, asks for a route, and where there is none sets it to the group's fallback scope. Then
it reads from the route that was found which of the filters without a harmless default are wished, and switches the others off by
header. If it fails, nothing is switched off: those filters refuse.

Lua can look at a route once per run. Where it had to ask twice (an odd host that has no exact scope) the filter's second copy in the chain looks at the
second route; a matcher skips that copy everywhere else.
"""

import json

from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2

from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.filter_matcher import unless
from weirkeeper.providers.envoy.translate.values import packed

LUA = (
    f"local SCOPE, STATE = {json.dumps(names.SCOPE_HEADER)}, {json.dumps(names.STATE_HEADER)}\n"
    f"local DEMANDING = {{{', '.join(map(json.dumps, names.DEMANDING))}}}\n"
    r"""
local function host_of(raw)
  local host = string.lower(raw)
  if string.byte(host, 1) == 91 then return "" end
  local colon = string.find(host, ":", 1, true)
  if colon then host = string.sub(host, 1, colon - 1) end
  if string.byte(host, -1) == 46 then host = string.sub(host, 1, -2) end
  return host
end

local function finish(headers, wished)
  local state = "done"
  for _, name in ipairs(DEMANDING) do
    if not wished:get(name) then state = state .. " " .. name end
  end
  headers:replace(STATE, state)
end

function envoy_on_request(h)
  local headers = h:headers()
  if headers:get(STATE) == "again" then return finish(headers, h:metadata()) end
  local scope = headers:get(SCOPE)
  local bar = string.find(scope, "|", 1, true)
  local group, sent = string.sub(scope, 1, bar), string.sub(scope, bar + 1)
  local colon = string.find(sent, ":", 1, true)
  if colon then sent = string.sub(sent, 1, colon - 1) end
  local host = host_of(headers:get(":authority") or "")
  local asked = host ~= "" and host ~= sent
  if asked then
    headers:replace(SCOPE, group .. host)
    h:clearRouteCache()
    local wished = h:metadata()
    if h:streamInfo():routeName() ~= "" then return finish(headers, wished) end
  end
  headers:replace(SCOPE, group .. "*")
  h:clearRouteCache()
  if asked then headers:replace(STATE, "again") else finish(headers, h:metadata()) end
end
"""
)


def key_filter() -> bytes:
    """The extension, the same for every load balancer."""
    lua = lua_pb2.Lua(default_source_code=base_pb2.DataSource(inline_string=LUA))
    lua.clear_route_cache.value = False
    config = unless("done", names.KEYS, lua)
    made = extension_pb2.TypedExtensionConfig(name=names.KEYS, typed_config=packed(config))
    body: bytes = made.SerializeToString(deterministic=True)
    return body
