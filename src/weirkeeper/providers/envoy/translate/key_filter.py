"""The key filter: constant Lua for requests that hit no exact scope. No text of a tenant ever stands in it.

Theory of operation (decision 0001). An exact lower-case host finds its scope before any filter is made, and that scope switches this filter and
all optional ones off, so plain traffic never pays. All other requests find no route at first; Envoy then makes every filter. This one
sets the scope key to the group's fallback scope, which every group has, and is done: that scope itself says which filters are skipped.

A host in pieces (decision 0011) has an exact scope that leaves this filter on and gives it another script, which puts the piece behind the scope key.

Only where the host is written oddly (upper case, a trailing dot) it first asks for the exact scope of the host as it should be written. If there is
one, the filters without a harmless default that its route does not wish are switched off by header. If this filter fails, nothing is switched off: those
filters refuse. Each call from Lua into Envoy costs about as much as a small native filter, hence as few as can be.
"""

import json

from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2

from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.filter_matcher import switched_off
from weirkeeper.providers.envoy.translate.newer import share_machine
from weirkeeper.providers.envoy.translate.pieces import DEEPEST, MODULUS, MULTIPLIER, PIECES
from weirkeeper.providers.envoy.translate.values import packed

PIECE = (
    f"local MULTIPLIER, MODULUS, PIECES = {MULTIPLIER}, {MODULUS}, {PIECES}\n"
    r"""
local find, sub, byte = string.find, string.sub, string.byte

local function place(path, depth)
  local n, left = 0, depth + 1
  for i = 1, #path do
    local c = byte(path, i)
    if c == 63 or c == 35 then break end
    if c == 47 and i > 1 or i == 1 then
      left = left - 1
      if left == 0 then break end
    end
    n = (n * MULTIPLIER + c) % MODULUS
  end
  return "|" .. depth .. "." .. n % PIECES
end
"""
)

PIECES_LUA = (
    PIECE.replace("{", "{{").replace("}", "}}")
    + f"local SCOPE = {json.dumps(names.SCOPE_HEADER)}\n"
    + r"""
function envoy_on_request(h)
  local headers = h:headers()
  local scope = headers:get(SCOPE)
  local colon = find(scope, ":", 1, true)
  if colon then scope = sub(scope, 1, colon - 1) end
  headers:replace(SCOPE, scope .. place(headers:get(":path"), {depth}))
  h:clearRouteCache()
end
"""
)

LUA = PIECE + (
    f"local SCOPE, STATE = {json.dumps(names.SCOPE_HEADER)}, {json.dumps(names.STATE_HEADER)}\n"
    f"local ALL = {json.dumps(switched_off(()))}\n"
    r"""
local lower = string.lower

local function host_of(scope, bar)
  local colon = find(scope, ":", bar + 1, true)
  local sent = sub(scope, bar + 1, colon and colon - 1)
  local host = lower(sent)
  if byte(host, 1) == 91 then return nil end
  if byte(host, -1) == 46 then host = sub(host, 1, -2) end
  if host ~= sent and host ~= "" then return host end
end

function envoy_on_request(h)
  local headers = h:headers()
  local scope = headers:get(SCOPE)
  local bar = find(scope, "|", 1, true)
  local group, host = sub(scope, 1, bar), host_of(scope, bar)
  if host then
    headers:replace(SCOPE, group .. host)
    h:clearRouteCache()
    local said = h:metadata()
    local off, depth = said:get("off") or ALL, said:get("pieces")
    if depth then
      headers:replace(SCOPE, group .. host .. place(headers:get(":path"), depth))
      return h:clearRouteCache()
    end
    if h:streamInfo():routeName() ~= "" then return headers:replace(STATE, off) end
  end
  headers:replace(SCOPE, group .. "*")
  h:clearRouteCache()
end
"""
)


def key_filter() -> bytes:
    """The extension, the same for every load balancer."""
    lua = lua_pb2.Lua(default_source_code=base_pb2.DataSource(inline_string=LUA))
    for depth in range(1, DEEPEST + 1):
        lua.source_codes[names.PIECES.format(depth)].inline_string = PIECES_LUA.format(depth=depth)
    lua.clear_route_cache.value = False
    share_machine(lua, "keys", LUA + PIECES_LUA)
    made = extension_pb2.TypedExtensionConfig(name=names.KEYS, typed_config=packed(lua))
    body: bytes = made.SerializeToString(deterministic=True)
    return body
