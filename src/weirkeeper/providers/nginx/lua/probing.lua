-- Endpoints are asked whether they live, by HTTP, gRPC or whether they take a connection; names are resolved. One worker does it for all, a round for each backend at its time.
-- In: backends that are watched (``members``). Out: verdicts of endpoints, addresses of names.
local members, names, store = require("weir.members"), require("weir.names"), require("weir.store")
local BUSY, IDLE, MOST, KEPT = 0.1, 1, 64, 3
local probing = {}
local rounds, seen = {}, -1
local waiting, first, last, running = {}, 1, 0, 0

-- gRPC's health service (grpc.health.v1) says how it is with these bytes and one more; 1 is SERVING.
local SAID, SERVING = "\0\0\0\0\2\8", 1

local function by_http(socket, wished)
  local host = wished.host or "localhost"
  socket:send("GET " .. wished.path .. " HTTP/1.1\r\nhost: " .. host .. "\r\nuser-agent: weirkeeper\r\nconnection: close\r\n\r\n")
  local status = tonumber((socket:receive("*l") or ""):match("^HTTP/1%.[01] (%d%d%d)"))
  return status ~= nil and status >= 200 and status < 400
end

local function by_grpc(socket, wished)
  socket:send((wished.question:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)))
  local got = ""
  while #got < 65536 do
    local more = socket:receiveany(4096)
    if not more then return false end
    got = got .. more
    local _, at = got:find(SAID, 1, true)
    if at and #got > at then return got:byte(at + 1) == SERVING end
  end
  return false
end

local WAYS = { http = by_http, grpc = by_grpc, tcp = function() return true end }

local function lives(backend, one)
  local wished, socket = backend.health, ngx.socket.tcp()
  socket:settimeout(math.max(wished.timeout, 1))
  local ok = socket:connect(one.address, wished.port or one[2])
  if ok and wished.tls then ok = socket:sslhandshake(nil, backend.name, false) end
  local found = ok and WAYS[wished.kind](socket, wished) or false
  socket:close()
  return found
end

-- One probe. Endpoints change their verdict after so many of the other kind in a row.
local function ask(backend, one, round)
  local wished, good = backend.health, lives(backend, one)
  local streak = round.streaks[one.name] or 0
  streak = good and math.max(streak, 0) + 1 or math.min(streak, 0) - 1
  round.streaks[one.name] = streak
  local dead = members.dead(backend, one)
  if dead and streak >= wished.healthy or not dead and -streak >= wished.unhealthy then dead = not dead end
  members.judged(backend, one, dead, (wished.interval + wished.timeout) / 1000 * KEPT + KEPT)
end

local function work(ends)
  while first <= last and not ends do
    local job = waiting[first]
    waiting[first], first = nil, first + 1
    local ok, why = pcall(ask, job[1], job[2], job[3])
    if not ok then ngx.log(ngx.ERR, "an endpoint cannot be probed: ", why) end
    job[3].left = job[3].left - 1
  end
  running = running - 1
end

-- A round begins once the one before is through.
local function probed(backend, round)
  local set = store.get(backend.dns and "r:" or "e:", backend.source)
  if not set or round.left > 0 then return end
  local kept = {}
  for number, one in ipairs(set.servers) do
    kept[one.name], waiting[last + number] = round.streaks[one.name], { backend, one, round }
  end
  round.streaks, round.left, last = kept, #set.servers, last + #set.servers
end

local function next_round(name, round, now)
  local backend = store.get("b:", name)
  local every = backend and backend.health and backend.health.interval / 1000 or names.EVERY
  round.due = now + math.max(every, BUSY) * (0.95 + math.random() * 0.1)
  if backend and backend.health then probed(backend, round) end
  if backend and backend.dns then names.resolved(name, backend.dns) end
end

local function begun(wishes)
  local before = rounds
  rounds, seen = {}, wishes
  for _, name in ipairs(members.listed()) do rounds[name] = before[name] or { due = 0, streaks = {}, left = 0 } end
end

local function tick(ends)
  if ends or ngx.worker.exiting() then return end
  store.refresh()
  local now, wishes = ngx.now(), members.wishes()
  if wishes ~= seen then begun(wishes) end
  for name, round in pairs(rounds) do
    if now >= round.due then next_round(name, round, now) end
  end
  while running < MOST and running < last - first + 1 and ngx.timer.at(0, work) do running = running + 1 end
  ngx.timer.at(next(rounds) and BUSY or IDLE, tick)
end

-- To be called as a worker begins.
function probing.begin()
  if ngx.worker.id() == 0 then ngx.timer.at(0, tick) end
end

return probing
