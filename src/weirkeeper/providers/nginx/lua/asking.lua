-- What is asked of others on the way: whether a request may pass, a copy of it. Whoever is asked is asked through this NGINX itself, by a socket that only its user opens;
-- so endpoints, TLS and limits of time are those of any backend. In: a wish, a request. Out: a refusal, or nothing.
local bodies = require("weir.bodies")
local SOCKET, TO = "unix:ask.sock", "x-weirkeeper-to"
local PATIENCE, MOST = 5000, 65536
local PASSED = { "cookie", "accept", "user-agent", "x-request-id", "origin", "referer" }
local HOP = {
  connection = true, ["keep-alive"] = true, ["transfer-encoding"] = true, ["content-length"] = true, te = true, trailer = true, upgrade = true,
  date = true, server = true, host = true, expect = true,
}
local asking = { TO = TO }

local function clean(value)
  return (tostring(value):gsub("[%z\r\n]", " "))
end

local function sent(method, target, headers, body)
  local lines = { method .. " " .. target .. " HTTP/1.0" }
  for name, value in pairs(headers) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do lines[#lines + 1] = name .. ": " .. clean(one) end
  end
  if body then lines[#lines + 1] = "content-length: " .. body.size end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function answer(socket)
  local status = tonumber((socket:receive("*l") or ""):match("^HTTP/1%.[01] (%d%d%d)%f[%D]"))
  if not status then return nil end
  local headers = {}
  while true do
    local line, why = socket:receive("*l")
    if why then return nil end
    if line == "" then break end
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    if name then
      local list = headers[name:lower()] or {}
      list[#list + 1] = value
      headers[name:lower()] = list
    end
  end
  return { status = status, headers = headers, body = socket:receive("*a") or "" }
end

local function ask(to, method, target, headers, timeout, body)
  local socket = ngx.socket.tcp()
  socket:settimeout(timeout)
  if not socket:connect(SOCKET) then return nil end
  headers[TO] = to
  local ok = socket:send(sent(method, target, headers, body)) and (not body or bodies.send(body, socket))
  local got = ok and answer(socket)
  socket:close()
  return got
end

local function plain(headers)
  local found = {}
  for name, value in pairs(headers) do
    if not HOP[name] then found[name] = value end
  end
  return found
end

local function escaped(text)
  return (text:gsub("[^%w._~-]", function(c) return string.format("%%%02X", c:byte()) end))
end

local function question(one, request)
  local headers, given = {}, request:headers()
  for _, name in ipairs(PASSED) do headers[name] = given[name] end
  for _, name in ipairs(one.request_headers or {}) do headers[name:lower()] = given[name:lower()] end
  headers["x-forwarded-for"], headers["x-forwarded-proto"], headers["x-forwarded-host"] = request.forwarded_for, request.scheme, request.authority
  headers["x-original-url"] = request.scheme .. "://" .. request.authority .. request.target
  headers["x-original-method"] = request.method
  headers["x-auth-request-redirect"] = one.redirect or request.target
  headers["x-sent-from"] = "weirkeeper"
  for _, pair in ipairs(one.headers or {}) do headers[pair.name:lower()] = pair.value end
  headers.host = one.host or (one.as and one.as.host) or request.authority
  return headers
end

-- How long a body is; nothing where it does not say so.
local function length_of(request)
  local said = tonumber(request:header("content-length"))
  if said then return said end
  local without = not request:header("transfer-encoding") and (ngx.req.http_version() < 2 or request.method == "GET" or request.method == "HEAD")
  return without and 0 or nil
end

-- A body of that length. One that says none is not read here, for whoever limits bodies judges it later.
local function read(length)
  if length == 0 then return nil end
  ngx.req.read_body()
  return ngx.req.get_body_data()
end

-- The beginning of the body, for a service that wishes for it; one that is too long to be held, or does not say its length, is refused.
local function asked_body(one, request)
  if not one.body_bytes then return nil end
  local length = length_of(request)
  if not length or length > MOST then return nil, { status = 413 } end
  return bodies.of((read(length) or ""):sub(1, one.body_bytes))
end

local function sign_in(one, request)
  local joint = one.sign_in:find("?", 1, true) and "&" or "?"
  local back = escaped(request.scheme .. "://" .. request.authority .. request.target)
  return { status = 302, headers = { location = one.sign_in .. joint .. (one.sign_in_parameter or "rd") .. "=" .. back } }
end

-- The whole body, for a service that is asked as the client asked; one that is too long, or does not say its length, is refused.
local function whole_body(most, request)
  if not most then return nil end
  local length = length_of(request)
  if not length or length > math.min(most, MOST) then return nil, { status = 413 } end
  local text = read(length)
  return text and bodies.of(text)
end

-- Names of headers that a request gets of a service's answer: those that it wishes for, or all but those that speak of the answer itself.
local function told_of(one, headers)
  local told = {}
  for _, name in ipairs(one.response_headers or {}) do told[#told + 1] = name:lower() end
  for name in pairs(one.any_response_header and headers or {}) do
    if not HOP[name] and name ~= "set-cookie" and name:sub(1, 8) ~= "content-" then told[#told + 1] = name end
  end
  return told
end

local function tell(told, headers)
  for _, name in ipairs(told) do
    ngx.req.clear_header(name)
    if headers[name] then ngx.req.set_header(name, headers[name]) end
  end
end

-- As the client asked, behind a path: 200 lets it pass, what else the service says below 500 is the answer.
local function authorized_original(one, request)
  local headers, given = { host = request.authority }, request:headers()
  for _, name in ipairs(one.request_headers or {}) do headers[name:lower()] = given[name:lower()] end
  headers.authorization = given.authorization
  local body, refusal = whole_body(one.body_bytes, request)
  if refusal then return refusal end
  local got = ask(one.backend, request.method, (one.path or "/"):gsub("/$", "") .. request.target, headers, one.timeout or PATIENCE, body)
  local answered = got and got.headers or {}
  tell(told_of(one, answered), got and got.status == 200 and answered or {})
  if not got or got.status >= 500 then return { status = 500 } end
  if got.status ~= 200 then return { status = got.status, headers = plain(answered), body = got.body } end
  request.cookies_told = answered["set-cookie"]
end

-- 2xx lets it pass, 401 and 403 are handed on, all else refuses.
function asking.authorized(one, request)
  if one.grpc then return { status = 503 } end
  if one.original then return authorized_original(one, request) end
  local target = (one.path or "/") .. (one.query and "?" .. one.query or "")
  local method = one.method or (one.as and one.as.method) or "GET"
  local body, refusal = asked_body(one, request)
  if refusal then return refusal end
  local got = ask(one.backend, method, target, question(one, request), one.timeout or PATIENCE, body)
  local told = {}
  for _, name in ipairs(one.response_headers or {}) do
    told[#told + 1] = name:lower()
    ngx.req.clear_header(name)
  end
  if not got then return { status = 500 } end
  if got.status >= 200 and got.status < 300 then
    for _, name in ipairs(told) do
      if got.headers[name] then ngx.req.set_header(name, got.headers[name]) end
    end
    request.cookies_told = got.headers["set-cookie"]
    return nil
  end
  if got.status == 401 and one.sign_in then return sign_in(one, request) end
  if got.status == 401 or got.status == 403 then return { status = got.status, headers = plain(got.headers), body = got.body } end
  return { status = 500 }
end

local function copy(_, body, ...)
  ask(...)
  bodies.let_go(body)
end

-- Copies go on their own, once the request is as its backend sees it. Calls by gRPC are not copied, for they would have to end before they begin.
function asking.copied(mirrors, request)
  if bodies.lasts(request) then return end
  for _, one in ipairs(mirrors) do
    local share = one.share and one.share.numerator / math.max(one.share.denominator or 100, 1) or 1
    local body = math.random() < share and bodies.read()
    if body then
      local headers = plain(request:headers())
      headers.host = one.host or request.sent_host
      headers["x-forwarded-for"], headers["x-forwarded-proto"] = request.forwarded_for, request.scheme
      local ok = ngx.timer.at(0, copy, body, one.backend, request.method, request.sent_target, headers, PATIENCE, body.size > 0 and body or nil)
      if not ok then bodies.let_go(body) end
    end
  end
end

return asking
