-- Who may pass, and how often. In: a route, a request. Out: a refusal as a table (status and headers), or nothing. What is not known refuses everybody.
local addresses = require("weir.addresses")
local asking = require("weir.asking")
local bodies = require("weir.bodies")
local cors = require("weir.cors")
local lru = require("resty.lrucache")
local passwords = require("weir.passwords")
local limits = ngx.shared.weir_limits
local REFUSED, LONGEST, NONE = 500, 3600, {}
local guards = {}
local verified = lru.new(1000)

local function by_address(rules, request)
  if not rules then return nil end
  if addresses.within(request.client, rules.denied) then return { status = rules.status or 403 } end
  if rules.allow and not addresses.within(request.client, rules.allowed) then return { status = rules.status or 403 } end
end

-- A bucket that holds ``amount + burst`` and is filled with ``amount`` in each period (GCRA): one number for each client.
local function rate(one, request)
  local key = one.zone .. request.client
  local each, now = one.per / math.max(one.amount, 1e-9), ngx.now() * 1000
  local most = math.max((one.amount + one.burst - 1) * each, 0)
  local due = math.max(limits:get(key) or 0, now)
  if one.amount <= 0 or due - now > most then return { status = one.status or 503 } end
  local ok = limits:set(key, due + each, (due + each - now) / 1000 + 1)
  return not ok and { status = one.status or 503 } or nil
end

local function under_way(one, request, whose)
  local key = one.zone .. (whose or request.client)
  local number = limits:incr(key, 1, 0, LONGEST)
  if not number then return { status = one.status or 503 } end
  request.counted = request.counted or {}
  request.counted[#request.counted + 1] = key
  if number > one.amount then return { status = one.status or 503 } end
end

local KINDS = { ["local"] = rate, connections = under_way }

local function limited(route, request)
  for _, one in ipairs(route.rate_limits or NONE) do
    if not KINDS[one.type] or (one.key or "ip") ~= "ip" then return { status = REFUSED } end
    if not addresses.within(request.client, one.excepted) then
      local refusal = KINDS[one.type](one, request)
      if refusal then return refusal end
    end
  end
end

-- Whether a backend has as many requests under way as it may have.
function guards.crowded(request, backend)
  return backend.most ~= nil and under_way({ zone = "backend:", amount = backend.most }, request, backend.name_of) ~= nil
end

function guards.ended(request)
  if not request.counted then return end
  for _, key in ipairs(request.counted) do
    if (limits:incr(key, -1) or 0) <= 0 then limits:delete(key) end
  end
end

local function basic(one, request)
  local given = request:header("authorization") or ""
  local login = given:match("^[Bb][Aa][Ss][Ii][Cc] +([%w+/=]+)$")
  login = login and ngx.decode_base64(login)
  local user, password = (login or ""):match("^([^:]*):(.*)$")
  local hash = user and one.hashes[user]
  if hash then
    local key = ngx.md5(hash .. "\0" .. password)
    local fits = verified:get(key)
    if fits == nil then
      fits = passwords.fits(password, hash)
      if fits then verified:set(key, true, 300) end
    end
    if fits then return nil end
  end
  local realm = one.realm ~= nil and one.realm ~= "" and one.realm or "Authentication required"
  return { status = 401, headers = { ["www-authenticate"] = 'Basic realm="' .. realm:gsub('["\\]', "\\%0") .. '"' } }
end

local AUTH = {
  deny = function(one) return { status = one.status or 503 } end,
  basic = basic,
  external = asking.authorized,
}

local function authorized(route, request)
  for _, one in ipairs(route.auth or NONE) do
    local check = AUTH[one.type]
    local refusal = not check and { status = REFUSED } or check(one, request)
    if refusal then return refusal end
  end
end

-- A body that says its length is judged by that. Any other is judged by NGINX while it is passed on (``ways``), unless it is read whole here.
local function body(route, request)
  local limit = route.body_limit
  if not limit then return nil end
  local length = tonumber(request:header("content-length"))
  if length then return length > limit and { status = 413 } or nil end
  if not route.buffer_requests and (not route.mirrors or bodies.lasts(request)) then return nil end
  local held = bodies.read()
  bodies.let_go(held)
  return (not held or held.size > limit) and { status = 413 } or nil
end

-- Makes the guards of a route ready.
function guards.ready(route)
  route.guarded = (route.ip_rules or route.rate_limits or route.cors or route.body_limit or route.auth) ~= nil
  local rules = route.ip_rules
  if rules then rules.denied, rules.allowed = addresses.ranges(rules.deny), addresses.ranges(rules.allow) end
  for number, one in ipairs(route.rate_limits or {}) do
    one.excepted = addresses.ranges(one.except_from)
    one.zone = one.type .. ":" .. route.id .. "#" .. number .. ":"
  end
  for _, one in ipairs(route.auth or {}) do
    if one.type == "basic" then
      one.hashes = {}
      for _, user in ipairs(one.users) do one.hashes[user.user] = user.hash end
    end
  end
end

-- In the order: address, rate, origin, size, password or whoever is asked.
function guards.refusal(route, request)
  if not route.guarded then return nil end
  return by_address(route.ip_rules, request) or limited(route, request) or cors.preflight(route.cors, request)
    or body(route, request) or authorized(route, request)
end

return guards
