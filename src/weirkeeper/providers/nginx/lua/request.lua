-- A request, as the rest reads it. In: what NGINX knows of it, and what its listener says of clients. Out: a table.
local addresses, matching, paths = require("weir.addresses"), require("weir.matching"), require("weir.paths")
local find, sub = string.find, string.sub
local NONE = {}
local SCHEMES = { http = "http", https = "https" }
local Request = {}
Request.__index = Request

function Request:headers()
  if not self.given then self.given = ngx.req.get_headers(0) end
  return self.given
end

function Request:header(name)
  local found = self:headers()[name]
  if type(found) == "table" then return table.concat(found, name == "cookie" and "; " or ",") end
  return found
end

function Request:cookie(name)
  return matching.cookie(self:header("cookie"), name)
end

-- What consistent hashing looks at; nothing where the request has it not.
function Request:hashed(wished)
  local on = wished.on
  if on == "ip" then return self.client end
  if on == "header" then return self:header((wished.name or ""):lower()) end
  if on == "cookie" then return self:cookie(wished.name) end
  if on == "query" then return matching.parameter(self.query, wished.name) end
  if on == "host" then return self.host end
  if on == "path-only" then return self.path end
  return self.query and self.path .. "?" .. self.query or self.path
end

-- The client's address, as trusted hops in front tell it; else whoever is connected.
local function client(request, wished, peer)
  if not (wished.header or wished.trusted_hops or wished.trusted) then return peer, false end
  local trusted = wished.trusted and addresses.within(peer, wished.ranges)
  if wished.header then
    local told = request:header(wished.header:lower())
    return told and addresses.bytes(told) and told or peer, true
  end
  if wished.trusted and not trusted then return peer, false end
  local hops, found = {}, request:header("x-forwarded-for")
  for one in (found or ""):gmatch("[^,%s]+") do hops[#hops + 1] = one end
  local at = #hops - math.max(wished.trusted_hops or 1, 1) + 1
  while trusted and not wished.trusted_hops and at > 1 and addresses.within(hops[at], wished.ranges) do at = at - 1 end
  local told = hops[at]
  return told and addresses.bytes(told) and told or peer, true
end

-- Whether the target of the request line names another scheme than the one that it came by.
local function elsewhere(line, secure)
  if find(line, "^%S+ /") then return false end
  local scheme = (line:match("^%S+%s+(%a[%w+.-]*)://") or "http"):lower()
  return scheme ~= "http" and not (secure and scheme == "https")
end

-- What a request line means at a port; nothing where it must be refused.
local function read_line(line, port)
  local raw = ngx.var.request_uri
  local at = find(raw, "?", 1, true)
  local path = at and sub(raw, 1, at - 1) or raw
  if sub(path, 1, 1) ~= "/" or find(raw, "[^!-~]") or find(raw, "#", 1, true) or elsewhere(line, port.tls) then return nil end
  path = paths.normal(path, port.http or {})
  local query = at and sub(raw, at + 1) or nil
  return path and { raw = raw, path = path, query = query, target = query and path .. "?" .. query or path, method = ngx.req.get_method() }
end

-- The host as backends are told it: as it was written, without the dot of the root; a host in the target goes before the header.
local function authority_of(given, host)
  local name, port = given:match("^([^:]*)(:?%d*)$")
  if not name or name:lower() == host then return given end
  return name:lower() == host .. "." and sub(name, 1, -2) .. port or host
end

-- What a header of the host means beside the name that NGINX has; ``authority`` is nothing where it must be refused.
local function read_host(given, host)
  local refused = host == "" or find(host, "[/?*]") or find(given, "^[^[].*:.*:")
  return { host = host, authority = not refused and authority_of(given, host) or nil }
end

-- The same lines and hosts come again and again: so many are remembered, if they are not long.
local LONGEST, MOST = 512, 1000

local function line_of(port, line)
  local lines = port.lines
  if not lines or lines.number >= MOST then
    lines = { number = 0, known = {} }
    port.lines = lines
  end
  local found = lines.known[line]
  if found == nil then
    found = read_line(line, port) or false
    if #line <= LONGEST then lines.known[line], lines.number = found, lines.number + 1 end
  end
  return found
end

local hosts, held = {}, 0

local function named(given, host)
  local found = hosts[given]
  if found and found.host == host then return found end
  found = read_host(given, host)
  if #given <= LONGEST then
    if held >= MOST then hosts, held = {}, 0 end
    hosts[given], held = found, held + 1
  end
  return found
end

-- The request; nil where it must be refused with 400. What comes to be known of each is in the table from the first, so that it never grows.
function Request.of(port)
  local var = ngx.var
  local line = line_of(port, var.request or "")
  if not line then return nil end
  local given, host = var.http_host, var.host
  local authority = named(given or host, host).authority
  if not authority then return nil end
  local peer = port.proxied and var.proxy_protocol_addr or var.remote_addr
  local self = setmetatable({
    path = line.path, query = line.query, target = line.target, raw = line.raw, method = line.method, scheme = port.tls and "https" or "http",
    host = host, authority = authority, given_host = given, sent_host = authority, peer = peer, client = peer, believed = false, forwarded_for = false,
    route = false, share = false, backend = false, set = false, endpoint = false, session_given = false, tries = false, forwarded = false, sent_target = false,
  }, Request)
  if port.client then self.client, self.believed = client(self, port.client, peer) end
  if self.believed then self.scheme = SCHEMES[(self:header("x-forwarded-proto") or ""):lower()] or self.scheme end
  return self
end

-- One that this NGINX asks by itself.
function Request.own()
  local var = ngx.var
  return setmetatable({
    target = var.request_uri, path = var.request_uri, host = var.host, authority = var.http_host, method = ngx.req.get_method(), scheme = "http",
    client = "127.0.0.1",
  }, Request)
end

-- What backends are told of the way that a request came.
function Request:tell(port)
  local set, clear = ngx.req.set_header, ngx.req.clear_header
  if self.believed then
    local before = self:header("x-forwarded-for")
    self.forwarded_for = before and before .. ", " .. self.peer or self.client
    if not self:header("x-forwarded-proto") then set("x-forwarded-proto", self.scheme) end
    if not self:header("x-forwarded-port") then set("x-forwarded-port", port.port) end
  else
    self.forwarded_for = self.client
    clear("x-forwarded-prefix")
    clear("forwarded")
    clear("x-real-ip")
    set("x-forwarded-host", self.authority)
    set("x-forwarded-proto", self.scheme)
    set("x-forwarded-port", port.port)
  end
  clear("x-forwarded-client-cert")
  set("x-forwarded-for", self.forwarded_for)
end

-- Remove, set, add: in this order.
function Request:edit(wished)
  if not wished then return end
  for _, name in ipairs(wished.remove or NONE) do ngx.req.clear_header(name) end
  for _, pair in ipairs(wished.set or NONE) do
    if pair.name:lower() == "host" then self.sent_host = pair.value else ngx.req.set_header(pair.name, pair.value) end
  end
  for _, pair in ipairs(wished.add or NONE) do
    local values = ngx.req.get_headers(0)[pair.name:lower()]
    if type(values) == "table" then values[#values + 1] = pair.value end
    ngx.req.set_header(pair.name, type(values) == "table" and values or values and { values, pair.value } or pair.value)
  end
end

return Request
