-- Which endpoint takes a request: in turn by weight, by chance, the less busy or the faster of two, by hash, by cookie. What is learned of an endpoint outlives changes of its set.
-- In: a backend, its endpoints, what a route wishes. Out: an endpoint, or nothing where there is none.
local store = require("weir.store")
local state = ngx.shared.weir_state
local POINTS, DECAY = 100, 10
local balance = {}
local under_way = {}

local function total(servers)
  local sum, equal = 0, true
  for _, one in ipairs(servers) do
    one.weight = one[3] or 1
    sum = sum + one.weight
    equal = equal and one.weight == servers[1].weight
  end
  return sum, equal
end

-- Endpoints made ready: a weight of nothing gets nothing, save where all have it. Turns go on from where they were.
store.ready["e:"] = function(value, before)
  local found = { servers = {}, at = {}, turn = before and before.turn or math.random(0, 65535) }
  local sum = total(value.servers or {})
  for _, one in ipairs(value.servers or {}) do
    if one.weight > 0 or sum == 0 then
      one.weight = math.max(one.weight, 1)
      one.name = one[1] .. " " .. one[2]
      one.address = one[1]:find(":", 1, true) and "[" .. one[1] .. "]" or one[1]
      one.turn = before and before.at[one.name] and before.at[one.name].turn or 0
      found.servers[#found.servers + 1], found.at[one.name] = one, one
    end
  end
  found.sum, found.equal = total(found.servers)
  return found
end

store.ready["r:"] = store.ready["e:"]

local function in_turn(set)
  local servers = set.servers
  if set.equal then
    set.turn = (set.turn + 1) % #servers
    return servers[set.turn + 1]
  end
  local best
  for _, one in ipairs(servers) do -- smooth weighted round robin, as NGINX itself has it
    one.turn = one.turn + one.weight
    if not best or one.turn > best.turn then best = one end
  end
  best.turn = best.turn - set.sum
  return best
end

local function by_chance(set)
  local number = math.random() * set.sum
  for _, one in ipairs(set.servers) do
    number = number - one.weight
    if number < 0 then return one end
  end
  return set.servers[#set.servers]
end

local function two(set)
  local servers = set.servers
  local first = math.random(#servers)
  local second = math.random(#servers - 1)
  return servers[first], servers[second >= first and second + 1 or second]
end

local function less_busy(set)
  if #set.servers == 1 then return set.servers[1] end
  local one, other = two(set)
  return (under_way[other.name] or 0) / other.weight < (under_way[one.name] or 0) / one.weight and other or one
end

-- Seconds that an endpoint took of late, forgotten with the time that passes (peak EWMA, as ingress-nginx has it).
local function latency(name)
  local score, when = state:get("latency:" .. name), state:get("when:" .. name)
  if not score then return nil end
  return score * math.exp(-math.max(ngx.now() - (when or 0), 0) / DECAY)
end

-- What a request would cost there: how long answers took, times those that wait. Differences that are chance decide nothing.
local LEAST, ALIKE = 0.005, 2
local function cost(one)
  return ((latency(one.name) or 0) + LEAST) * ((under_way[one.name] or 0) / one.weight + 1)
end

local function faster(set)
  if #set.servers == 1 then return set.servers[1] end
  local one, other = two(set)
  return cost(one) > cost(other) * ALIKE and other or one
end

local function learn(name, took)
  local now = ngx.now()
  local score, when = state:get("latency:" .. name), state:get("when:" .. name)
  local weight = score and math.exp(-math.max(now - (when or 0), 0) / DECAY) or 0
  state:set("latency:" .. name, (score or 0) * weight + took * (1 - weight), 3600)
  state:set("when:" .. name, now, 3600)
end

local function ring(set)
  if set.ring then return set.ring end
  local found = {}
  for _, one in ipairs(set.servers) do
    for number = 1, POINTS * math.min(one.full or one.weight, 16) do
      found[#found + 1] = { ngx.crc32_long(one.name .. " " .. number), one }
    end
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  set.ring = found
  return found
end

local function on_ring(set, key)
  local points, wanted = ring(set), ngx.crc32_long(key)
  local low, high = 1, #points + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if points[middle][1] < wanted then low = middle + 1 else high = middle end
  end
  return (points[low] or points[1])[2]
end

local function in_subset(set, key, size)
  local many = math.max(math.ceil(#set.servers / size), 1)
  local first = (ngx.crc32_long(key) % many) * size
  return set.servers[math.min(first + math.random(size), #set.servers)]
end

local CHOICES = { random = by_chance, ["least-request"] = less_busy, ewma = faster }

-- Who a client was told of before, by a cookie or a header.
local function of_told(set, wished, persistent, request)
  local told
  if wished.type == "cookie" then told = request:cookie(wished.name) else told = request:header(wished.name:lower()) end
  if not told or told == "" then return nil end
  if not persistent then return on_ring(set, told) end
  for _, one in ipairs(set.servers) do
    if ngx.md5(one.name) == told then return one end
  end
end

-- The endpoint for a request; for one that is to be kept there, also the cookie or header that it must be given.
function balance.choose(set, backend, wished, request)
  if #set.servers == 0 then return nil end
  if wished and wished.type ~= "hash" then
    local persistent = wished.type == "session-header" or wished.persistent
    local found = of_told(set, wished, persistent, request)
    if found then return found end
    local key = persistent and "" or ngx.md5(math.random() .. ngx.now() .. ngx.worker.pid() .. ngx.var.connection)
    local chosen = persistent and in_turn(set) or on_ring(set, key)
    return chosen, persistent and ngx.md5(chosen.name) or key
  end
  if backend.balancing == "consistent-hash" and wished then
    local key = request:hashed(wished) or ""
    if wished.subset then return in_subset(set, key, wished.subset) end
    return on_ring(set, key)
  end
  return (CHOICES[backend.balancing] or in_turn)(set)
end

-- Another one than those that were tried, where there is another.
function balance.other(set, tried)
  for _ = 1, #set.servers do
    local found = in_turn(set)
    if not tried[found.name] then return found end
  end
  return in_turn(set)
end

function balance.begun(name)
  under_way[name] = (under_way[name] or 0) + 1
end

function balance.ended(name, took)
  local left = (under_way[name] or 1) - 1
  under_way[name] = left > 0 and left or nil
  if took then learn(name, took) end
end

return balance
