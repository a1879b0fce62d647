-- A request's way: which host and route take it, who may pass, where it is led; and what is done with its answer. In: what NGINX calls in each phase. Out: an answer, or a backend.
--
-- Theory of operation. The file that NGINX is started from is constant but for listeners. Everything else is an entry of the shared dictionary (``store``). A request is led
-- from the location "/": by ``proxy_pass`` there, or by a named location of the file where a wish needs one (``via``). Such a jump clears ``ngx.ctx``, so a request that
-- jumps is kept under a number of its own until it is logged.
local answers, asking, balance = require("weir.answers"), require("weir.asking"), require("weir.balance")
local addresses, balancer, members = require("weir.addresses"), require("ngx.balancer"), require("weir.members")
local guards, matching, paths = require("weir.guards"), require("weir.matching"), require("weir.paths")
local ports, Request, store = require("weir.ports"), require("weir.request"), require("weir.store")
local lead = {}
local kept, number = {}, 0
local PLAIN = { match = matching.ready({}) }
local MISSING, MISDIRECTED, REFUSED, UNAVAILABLE = 404, 421, 500, 503
local NONE = {}
local CONNECT, WAIT = 5000, 60000 -- as the file has them
local LEAST, LATE = 0.001, 504
local WATCHED = { ["least-request"] = true, ewma = true }

store.ready["h:"] = function(host)
  for _, route in ipairs(host.routes or {}) do
    route.match = matching.ready(route.match or {})
    guards.ready(route)
    answers.ready(route)
    local action = route.action
    if action.type == "forward" then
      action.sum = action.refused or 0
      for _, share in ipairs(action.backends or {}) do
        share.weight = share.weight or 1
        action.sum = action.sum + share.weight
      end
    end
    for _, pattern in ipairs({ (route.rewrite or {}).path or {}, action.type == "redirect" and action.path or {} }) do
      if pattern.type == "regex" then
        local _, _, why = ngx.re.find("", pattern.pattern, "jo")
        if why then return nil, why end
      end
    end
  end
  return host
end

store.ready["p:"] = function(port)
  local wished = port.client
  if wished then wished.ranges = addresses.ranges(wished.trusted) end
  port.client = wished and (wished.header or wished.trusted_hops or wished.trusted) and wished or nil
  return port
end

-- The request that a phase belongs to; one without a route is none of ours.
local function current()
  local found = ngx.ctx
  if found.route then return found end
  return kept[tonumber(ngx.var.weir_key)]
end

local function found_host(group, host)
  local found = store.get("h:", group .. "/" .. host)
  local level, rest = 1, host:match("^[^.]*%.(.+)$")
  while not found and rest do
    found = store.get("h:", group .. "/*." .. rest)
    if found and found.labels and found.labels ~= level then found = nil end
    level, rest = level + 1, rest:match("^[^.]*%.(.+)$")
  end
  return found or store.get("h:", group .. "/*")
end

-- The host that a name is at a port, remembered until there is a change of any: so many of them, if they may be names at all.
local LONGEST, MOST = 253, 2000
local hosts, held, since = {}, 0, 0

local function host_of(group, name)
  if since ~= store.epoch or held >= MOST then hosts, held, since = {}, 0, store.epoch end
  local known = hosts[group]
  if not known then
    known = {}
    hosts[group] = known
  end
  local found = known[name]
  if found == nil then
    found = found_host(group, name) or false
    if #name <= LONGEST then known[name], held = found, held + 1 end
  end
  return found
end

local function share_of(action)
  local shares = action.backends or {}
  if #shares == 1 and shares[1].weight > 0 and not action.refused then return shares[1] end
  local at = math.random() * action.sum
  for _, share in ipairs(shares) do
    at = at - share.weight
    if at < 0 then return share end
  end
end

local function jump(request, via)
  if not request.number then
    number = number + 1
    ngx.var.weir_key = number
    kept[number], request.number = request, number
  end
  return ngx.exec(via)
end

-- What endpoints that were tried answered: the last of what NGINX says are theirs.
local function judged(request)
  local codes = {}
  for code in (ngx.var.upstream_status or ""):gmatch("[%d-]+") do codes[#codes + 1] = tonumber(code) or 0 end
  local before = #codes - #request.order
  for number, endpoint in ipairs(request.order) do
    local code = codes[before + number] or 0
    if code > 0 then members.told(request.backend, endpoint, code < 500) end
  end
end

-- What is learned once a backend has answered, or will be asked no more.
local function left(request)
  local balancing = request.backend.balancing
  if WATCHED[balancing] then
    local took = balancing == "ewma" and tonumber((ngx.var.upstream_response_time or ""):match("([%d.]+)%s*$")) or nil
    for name in pairs(request.tried) do balance.ended(name, name == request.endpoint.name and took or nil) end
  end
  if request.order then judged(request) end
end

-- An endpoint of a backend for the request; false where there is none.
local function settled(request, backend)
  local set = backend and store.led(backend, backend.dns and "r:" or "e:", backend.source)
  if set and backend.watched then set = members.of(backend, set) end
  if not set or #set.servers == 0 then return false end
  if request.backend then left(request) end
  request.backend, request.set, request.tries = backend, set, false
  if request.asked then request.asked = nil end
  if WATCHED[backend.balancing] then request.tried = {} end
  if backend.passive or request.order then request.order = backend.passive and {} end
  request.endpoint, request.session_given = balance.choose(set, backend, request.route.affinity, request)
  if backend.tls then
    ngx.var.weir_pass = "https://weir_tls"
    ngx.var.weir_name = backend.name or request.endpoint[1]
    local shown = backend.certificate and store.get("c:", backend.certificate)
    if backend.certificate and not shown then return false end
    ngx.var.weir_shown = shown and "data:" .. shown.shown or ""
    ngx.var.weir_secret = shown and "data:" .. shown.secret or ""
    request.secured = true
  elseif request.secured then -- one that was led to another backend before
    ngx.var.weir_pass = "http://weir_plain"
  end
  return true
end

local function paged(request, code)
  local pages = request.route.error_pages
  if not pages then return false end
  for _, codes in ipairs({ pages.codes or {}, pages.own_codes or {} }) do
    for _, one in ipairs(codes) do
      if one == code then return true end
    end
  end
  return false
end

local function nobody(request)
  if paged(request, UNAVAILABLE) then
    request.code = UNAVAILABLE
    return jump(request, "@pages")
  end
  return answers.give({ status = UNAVAILABLE })
end

local function target_of(request, route)
  if not route.rewrite then return request.target end
  local path = paths.rewritten(request.path, route.rewrite.path, route.match.path)
  return path and (request.query and path .. "?" .. request.query or path)
end

local function forward(request)
  local route = request.route
  local share = share_of(route.action)
  if not share and route.action.refused then return answers.give({ status = REFUSED }) end
  local backend = share and store.led(share, "b:", share.backend)
  if not settled(request, backend) then return nobody(request) end
  if guards.crowded(request, backend) then return answers.give({ status = UNAVAILABLE }) end
  local target = target_of(request, route)
  if not target then return answers.give({ status = matching.UNDECIDED }) end
  request.share, request.forwarded, request.sent_target = share, true, target
  if route.request_headers then request:edit(route.request_headers) end
  if share.request_headers then request:edit(share.request_headers) end
  if route.forwarded_prefix then ngx.req.set_header("x-forwarded-prefix", route.forwarded_prefix) end
  if route.rewrite and route.rewrite.host then request.sent_host = route.rewrite.host end
  if route.limit then request.ends = ngx.req.start_time() + route.limit / 1000 end
  request.given = nil
  if route.buffer_requests then ngx.req.read_body() end
  if route.mirrors then asking.copied(route.mirrors, request) end
  if target ~= request.raw then ngx.var.weir_target = target end
  if request.sent_host ~= request.given_host then ngx.var.weir_host = request.sent_host end
  if backend.http2 then ngx.req.set_uri_args(request.query or "") ngx.req.set_uri(ngx.unescape_uri((target:gsub("%?.*", ""):gsub("%+", "%%2B"))), false) end
  if share.via then return jump(request, share.via) end
end

-- The access phase of "/" at a port.
function lead.request(port_number, policy)
  store.refresh()
  local port = store.get("p:", port_number)
  if not port then return answers.give({ status = UNAVAILABLE }) end
  if port.tls and ports.policy(port, ngx.var.ssl_server_name) ~= policy then return answers.give({ status = MISDIRECTED }) end
  local request = Request.of(port)
  local at = policy > 0 and port.policies[policy] or port
  if not request or at.refused then return answers.give({ status = 400 }) end
  local host = host_of(at.group, request.host)
  if not host then return answers.give({ status = MISSING }) end
  local ok, route = pcall(matching.route, host.routes or NONE, request)
  if not ok then return answers.give({ status = type(route) == "table" and route.status or matching.UNDECIDED }) end
  if not route then return answers.give({ status = MISSING }) end
  request.route = route
  ngx.ctx = request
  if route.access_log == false then ngx.var.weir_logged = "0" end
  request:tell(port)
  if port.validates then lead.certified(request, port, policy) end
  local refusal = guards.refusal(route, request)
  if refusal then return answers.give(refusal) end
  if route.upgrades and #route.upgrades == 0 and request:header("upgrade") then return answers.give({ status = 403 }) end
  local action = route.action
  if action.type == "redirect" then return answers.give(answers.redirect(action, request, route.match.path)) end
  if action.type == "respond" then return answers.give(answers.own(action)) end
  return forward(request)
end

-- In place of an answer to a client without a certificate that holds: none, save that whoever came by another name of the port is told so.
function lead.unverified(port_number, policy)
  store.refresh()
  local port = store.get("p:", port_number)
  if port and ports.policy(port, ngx.var.ssl_server_name) ~= policy then return answers.give({ status = MISDIRECTED }) end
  return ngx.exit(444)
end

local DETAILS = { "x-forwarded-client-cert", "ssl-client-verify", "ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert" }

-- What backends are told of a client's certificate: by us alone, at ports where clients are asked for one.
function lead.certified(request, port, policy)
  for _, name in ipairs(DETAILS) do ngx.req.clear_header(name) end
  local asked = policy > 0 and port.policies[policy].shows or policy == 0 and port.shows
  local var = ngx.var
  if not asked or var.ssl_client_verify == "NONE" then return end
  if asked.details then
    ngx.req.set_header("ssl-client-verify", var.ssl_client_verify)
    ngx.req.set_header("ssl-client-subject-dn", var.ssl_client_s_dn)
    ngx.req.set_header("ssl-client-issuer-dn", var.ssl_client_i_dn)
    ngx.req.set_header("x-forwarded-client-cert", "Hash=" .. var.ssl_client_fingerprint .. ';Subject="' .. var.ssl_client_s_dn:gsub('["\\]', "\\%0") .. '"')
  end
  if asked.certificate then ngx.req.set_header("ssl-client-cert", var.ssl_client_escaped_cert) end
end

-- The access phase of whoever is asked by us.
function lead.asked()
  store.refresh()
  local request = Request.own()
  local backend = store.get("b:", request:header(asking.TO) or "")
  ngx.req.clear_header(asking.TO)
  request.route = PLAIN
  ngx.ctx = request
  if not settled(request, backend) then return answers.give({ status = UNAVAILABLE }) end
  if backend.via then return jump(request, backend.via) end
end

-- The access phase of "@pages": another backend answers in place of an error.
function lead.page()
  store.refresh()
  local request = current()
  local pages = request.route.error_pages
  local code = request.code or tonumber((ngx.var.upstream_status or ""):match("(%d+)%s*$")) or 502
  local backend = store.get("b:", pages.backend)
  ngx.ctx = request
  local given = request:headers()
  if not settled(request, backend) then return answers.give({ status = code }) end
  local set = ngx.req.set_header
  set("x-code", code)
  set("x-format", given.accept or "*/*")
  set("x-original-uri", request.target)
  for _, pair in ipairs(pages.headers or {}) do set(pair.name, pair.value) end
  if request.method ~= "HEAD" then ngx.req.set_method(ngx.HTTP_GET) end
  ngx.var.weir_target, ngx.var.weir_host = "/", request.authority
  request.forwarded = false
  if backend.via then return jump(request, backend.via) end
end

function lead.balance()
  local request = current()
  local route, backend = request.route, request.backend
  local endpoint = request.endpoint
  if not request.tries then
    request.tries = 1
    local more = route.retry and route.retry.attempts or math.min(#request.set.servers - 1, 2)
    if more > 0 then balancer.set_more_tries(more) end
  else
    request.tries = request.tries + 1
    request.asked = request.asked or { [endpoint.name] = true }
    endpoint = balance.other(request.set, request.asked)
    request.endpoint, request.asked[endpoint.name] = endpoint, true
  end
  if request.tried then request.tried[endpoint.name] = true end
  if request.order then request.order[#request.order + 1] = endpoint end
  if WATCHED[backend.balancing] then balance.begun(endpoint.name) end
  if route.wait or backend.connect ~= CONNECT then
    local connect, wait = backend.connect / 1000, (route.wait or WAIT) / 1000
    if request.ends then
      local rest = math.max(request.ends - ngx.now(), LEAST)
      connect, wait = math.min(connect, rest), math.min(wait, rest)
    end
    balancer.set_timeouts(connect, wait, wait)
  end
  local ok, why = balancer.set_current_peer(endpoint.address, endpoint[2])
  if not ok then ngx.log(ngx.ERR, "an endpoint cannot be used: ", why) end
end

-- Whether the request's own limit has passed, and nothing says so yet.
local function late(request)
  return request.ends and request.forwarded and ngx.now() > request.ends and ngx.status ~= LATE
end

-- In place of an answer that begins too late.
local function too_late(request)
  request.late = true
  for name in pairs(ngx.resp.get_headers(0)) do
    if name ~= "connection" and name ~= "transfer-encoding" then ngx.header[name] = nil end
  end
  ngx.status, ngx.header["content-length"] = LATE, 0
end

-- Every part of an answer that has a limit: one that goes on for too long is broken off.
function lead.passed()
  local request = current()
  if not request then return end
  if request.late then ngx.arg[1] = "" elseif late(request) then return ngx.ERROR end
end

-- An answer without a date gets one (RFC 9110, 6.6.1); ``server`` is who answers, where the backend does not say.
function lead.finish(server)
  local header, request = ngx.header, current()
  if request and late(request) then too_late(request) end
  if not header.Date then header.Date = ngx.http_time(ngx.time()) end
  if server and not header.Server then header.Server = server end
  if request and request.route ~= PLAIN then answers.finish(request) end
end

function lead.log()
  local request = current()
  if not request then return end
  if request.backend then left(request) end
  guards.ended(request)
  if request.number then kept[request.number] = nil end
end

return lead
