-- Which endpoints of a backend may be chosen now, and with what weight: none that probes find dead, none that failed too often of late, new ones with a part of their weight.
-- In: a backend, its endpoints; what workers tell of answers. Out: endpoints as ``balance`` chooses among. What is known lies in a dictionary of all workers, by backend and endpoint:
-- "d:" dead, "o:" left out (until when), "f:" failures in a row, "w:" backends that are watched, "version" of all verdicts.
local store = require("weir.store")
local config, health = ngx.shared.weir_config, ngx.shared.weir_health
local LEAST, STEPS, LONGEST = 0.1, 10, 3600
local members = {}

-- A backend made ready; its name is that of its entry.
store.ready["b:"] = function(backend, before, name)
  backend.name_of, backend.seen = name, before and before.seen
  if backend.dns then backend.source = name end
  backend.watched = backend.health ~= nil or backend.passive ~= nil or backend.slow ~= nil
  return backend
end

-- To be called as a backend's entry is put (or, as nothing, taken away): whoever probes and resolves learns of it.
function members.wished(name, backend)
  local wished = backend and (backend.health or backend.dns) and true or nil
  if not wished then config:delete("r:" .. name) end
  if health:get("w:" .. name) ~= wished then
    health:set("w:" .. name, wished)
    health:incr("wishes", 1, 0)
  end
end

function members.wishes()
  return health:get("wishes") or 0
end

-- The names of backends that are probed or resolved.
function members.listed()
  local found = {}
  for _, key in ipairs(health:get_keys(0)) do
    if key:sub(1, 2) == "w:" then found[#found + 1] = key:sub(3) end
  end
  return found
end

local function of(backend, one)
  return backend.name_of .. " " .. one.name
end

function members.dead(backend, one)
  return health:get("d:" .. of(backend, one)) or false
end

-- What a probe found; to be told again and again, or it is forgotten.
function members.judged(backend, one, dead, seconds)
  local before = members.dead(backend, one)
  if dead then health:set("d:" .. of(backend, one), true, seconds) else health:delete("d:" .. of(backend, one)) end
  if before ~= dead then health:incr("version", 1, 0) end
end

-- How an endpoint answered a request.
function members.told(backend, one, good)
  local key, wished = of(backend, one), backend.passive
  if good then
    if health:get("f:" .. key) then health:delete("f:" .. key) end
    return
  end
  local failed = health:incr("f:" .. key, 1, 0, LONGEST)
  if failed and failed >= wished.errors then
    local seconds = wished.ejection / 1000
    health:delete("f:" .. key)
    health:set("o:" .. key, ngx.now() + seconds, seconds)
    health:incr("version", 1, 0)
  end
end

-- Those that are left out for a time: no more than the share that may be, and never all.
local function left_out(backend, servers)
  local found, ends, number = {}, math.huge, 0
  if not backend.passive then return found, ends end
  local most = math.min(math.floor(#servers * backend.passive.percent / 100), #servers - 1)
  for _, one in ipairs(servers) do
    local till = number < most and health:get("o:" .. of(backend, one))
    if till and till > ngx.now() then
      found[one.name], number, ends = true, number + 1, math.min(ends, till)
    end
  end
  return found, ends
end

-- The part of its weight that an endpoint has, and when to look again.
local function part(backend, since, now)
  local long = (backend.slow or 0) / 1000
  if long <= 0 or now - since >= long then return 1, math.huge end
  return math.max((now - since) / long, LEAST), now + long / STEPS
end

local function looked(backend, set, before)
  local now = ngx.now()
  local out, ends = left_out(backend, set.servers)
  local found = { servers = {}, at = {}, sum = 0, equal = true, turn = before and before.turn or set.turn }
  for _, one in ipairs(set.servers) do
    if not out[one.name] and not (backend.health and members.dead(backend, one)) then
      local last = before and before.at[one.name]
      local since = last and last.since or before and now or 0
      local share, again = part(backend, since, now)
      local member = { one[1], one[2], name = one.name, address = one.address, weight = one.weight * share, full = one.weight, since = since, turn = last and last.turn or 0 }
      found.servers[#found.servers + 1], found.at[one.name] = member, member
      found.sum, found.equal, ends = found.sum + member.weight, found.equal and member.weight == found.servers[1].weight, math.min(ends, again)
    end
  end
  return found, ends
end

-- The endpoints of a backend that is watched.
function members.of(backend, set)
  local seen, version = backend.seen, health:get("version") or 0
  if seen and seen.whole == set and seen.version == version and ngx.now() < seen.ends then return seen.set end
  local found, ends = looked(backend, set, seen and seen.set)
  backend.seen = { whole = set, version = version, ends = ends, set = found }
  return found
end

return members
