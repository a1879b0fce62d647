"""Constant Lua for what HAProxy has no words for: a service that is asked first, copies of requests, pages in place of errors, cookies rewritten. No text of a tenant stands in it.

Theory of operation. What a route wishes comes as one argument of an action, in lines of a name and a value. Whoever is asked is asked through HAProxy itself: its client
connects to a frontend on a socket that only HAProxy's own user can open, which leads to the section that a header names. So endpoints, TLS and limits are those of any section. What a request was is
kept with its transaction while its answer is on its way. An action that fails changes nothing: a rule behind it refuses every request that it did not let pass.
"""

import json

SCRIPT, SOCKET = "asking.lua", "asking.sock"
TO, METHOD = "x-weirkeeper-to", "x-weirkeeper-method"
ALLOWED = "txn.allowed"
PATIENCE = 5000
PASSED = (
    "cookie",
    "accept",
    "user-agent",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-request-id",
    "origin",
    "referer",
)
KEPT = (*PASSED, "accept-language", "x-forwarded-port")


def _words(words: tuple[str, ...]) -> str:
    return "{" + ", ".join(json.dumps(word) for word in words) + "}"


LUA = (
    f"local SOCKET, PATIENCE = {json.dumps('unix@' + SOCKET)}, {PATIENCE}\n"
    f"local TO, METHOD, ALLOWED = {json.dumps(TO)}, {json.dumps(METHOD)}, {json.dumps(ALLOWED)}\n"
    f"local PASSED, KEPT = {_words(PASSED)}, {_words(KEPT)}\n"
    r"""
local byte, find, format, gmatch, gsub, lower, sub = string.byte, string.find, string.format, string.gmatch, string.gsub, string.lower, string.sub
local HOP = { connection = true, ["keep-alive"] = true, ["transfer-encoding"] = true, ["content-length"] = true, te = true, trailer = true, upgrade = true, date = true, server = true }
local OF_ANSWER = { host = true, ["set-cookie"] = true }

-- the lines of an argument: the last of each name, and all in their order
local function wishes(text)
  local one, all = {}, {}
  for name, value in gmatch(text, "([^ \n]+) ([^\n]*)\n") do
    one[name] = value
    all[#all + 1] = { name, value }
  end
  return one, all
end

local function escaped(text)
  return (gsub(text, "[^%w._~-]", function(c) return format("%%%02X", byte(c)) end))
end

local function original(txn)
  local query = txn.sf:query()
  local path = txn.sf:path()
  return query ~= "" and path .. "?" .. query or path
end

local function first(headers, name)
  return headers[name] and headers[name][0]
end

local function copied(into, headers, names)
  for _, name in ipairs(names) do into[name] = headers[name] end
end

local function way(headers, txn)
  local told = headers["x-forwarded-for"] -- there already where it is believed, with the hop before us
  if not told then return { tostring(txn.f:src()) } end
  local every = {}
  for at = 0, #told do every[#every + 1] = told[at] end
  return { table.concat(every, ", ") }
end

-- the tables of headers that HAProxy hands out begin at 0, those that it takes at 1
local function sendable(headers)
  local made = {}
  for name, values in pairs(headers) do
    local list = {}
    if values[0] then list[1] = values[0] end
    for _, value in ipairs(values) do list[#list + 1] = value end
    made[name] = list
  end
  return made
end

local function ask(to, method, path, headers, timeout, body)
  local sent = sendable(headers)
  sent[TO], sent[METHOD] = { to }, { method }
  local client = core.httpclient()
  local wished = { url = "http://asked" .. path, headers = sent, dst = SOCKET, timeout = timeout, body = body }
  local got
  if method == "HEAD" then got = client:head(wished) elseif body then got = client:post(wished) else got = client:get(wished) end
  return got and got.status and got.status > 0 and got or nil
end

local function answer(txn, status, headers, body)
  local reply = txn:reply()
  reply:set_status(status)
  for name, values in pairs(sendable(headers)) do
    if not HOP[lower(name)] then
      for _, value in ipairs(values) do reply:add_header(name, value) end
    end
  end
  reply:set_body(body or "")
  txn:done(reply)
end

local function keep(txn, name, value)
  local kept = txn:get_priv() or {}
  kept[name] = value
  txn:set_priv(kept)
end

local function signed_in(txn, one, scheme, host)
  local joint = find(one.sign_in, "?", 1, true) and "&" or "?"
  local url = one.sign_in .. joint .. one.parameter .. "=" .. escaped(scheme .. "://" .. host .. original(txn))
  answer(txn, 302, { location = { url } }, "")
end

-- the whole body, for a service that is asked as the client asked; nothing where it is too long or does not say how long it is
local function whole_body(txn, given, most)
  local size = tonumber(first(given, "content-length") or (given["transfer-encoding"] and "-1" or "0"))
  local body = size == 0 and "" or txn.f:req_body() or ""
  return size and size <= most and size == #body and body or nil
end

-- what a service is asked as the client asked: 200 lets pass, what else it says below 500 is the answer
local function authorize_original(txn, one, all, given)
  local sent, told = {}, {}
  copied(sent, given, { "host", "authorization" })
  for _, line in ipairs(all) do
    if line[1] == "pass" then sent[line[2]] = given[line[2]] end
    if line[1] == "tell" then told[#told + 1] = line[2] end
  end
  local body
  if one.body then
    body = whole_body(txn, given, tonumber(one.body))
    if not body then return answer(txn, 413, {}, "") end
  end
  if body == "" then body = nil end
  local got = ask(one.to, txn.sf:method(), gsub(one.path, "/$", "") .. original(txn), sent, tonumber(one.timeout), body)
  local headers = got and sendable(got.headers) or {}
  if one.tell_all then
    for name in pairs(headers) do
      if not HOP[name] and not OF_ANSWER[name] and sub(name, 1, 8) ~= "content-" then told[#told + 1] = name end
    end
  end
  for _, name in ipairs(told) do txn.http:req_del_header(name) end
  if not got or got.status >= 500 then return end
  if got.status ~= 200 then return answer(txn, got.status, got.headers, got.body) end
  for _, name in ipairs(told) do
    for _, value in ipairs(headers[name] or {}) do txn.http:req_add_header(name, value) end
  end
  keep(txn, "cookies", headers["set-cookie"])
  txn:set_var(ALLOWED, "yes")
end

core.register_action("authorize", { "http-req" }, function(txn, text)
  local one, all = wishes(text)
  local given, sent = txn.http:req_get_headers(), {}
  if one.original then return authorize_original(txn, one, all, given) end
  copied(sent, given, PASSED)
  local scheme, host = first(given, "x-forwarded-proto") or txn:get_var("txn.scheme"), first(given, "host") or ""
  sent["x-forwarded-for"] = way(given, txn)
  sent["x-original-url"] = { scheme .. "://" .. host .. original(txn) }
  sent["x-original-method"] = { txn.sf:method() }
  sent["x-auth-request-redirect"] = { original(txn) }
  sent["x-sent-from"] = { "weirkeeper" }
  sent["host"] = { one.host or host }
  local told = {}
  for _, line in ipairs(all) do
    local name, value = line[1], line[2]
    if name == "pass" then sent[value] = given[value] end
    if name == "tell" then told[#told + 1] = value end
    if name == "header" then
      local key, content = string.match(value, "^([^ ]+) ?(.*)$")
      sent[key] = { content }
    end
  end
  local body
  if one.body then body = sub(txn.f:req_body() or "", 1, tonumber(one.body)) end
  if body == "" then body = nil end
  local got = ask(one.to, one.method, one.path, sent, tonumber(one.timeout), body)
  for _, name in ipairs(told) do txn.http:req_del_header(name) end
  if not got then return end
  if got.status >= 200 and got.status < 300 then
    for _, name in ipairs(told) do
      for _, value in ipairs(sendable(got.headers)[name] or {}) do txn.http:req_add_header(name, value) end
    end
    keep(txn, "cookies", sendable(got.headers)["set-cookie"])
    txn:set_var(ALLOWED, "yes")
  elseif got.status == 401 and one.sign_in then
    signed_in(txn, one, scheme, host)
  elseif got.status == 401 or got.status == 403 then
    answer(txn, got.status, got.headers, got.body)
  end
end, 1)

core.register_action("authorized", { "http-res" }, function(txn)
  local kept = txn:get_priv()
  for _, text in ipairs(kept and kept.cookies or {}) do txn.http:res_add_header("set-cookie", text) end
end)

core.register_action("copy", { "http-req" }, function(txn, text)
  local one = wishes(text)
  local given, sent = txn.http:req_get_headers(), {}
  for name, values in pairs(given) do
    if not HOP[name] then sent[name] = values end
  end
  local size = tonumber(first(given, "content-length") or (given["transfer-encoding"] and "-1" or "0"))
  local body = size and size ~= 0 and txn.f:req_body() or nil
  if not size or size ~= #(body or "") then return end
  sent["x-forwarded-for"] = way(given, txn)
  if one.host then sent["host"] = { one.host } end
  local method, path = txn.sf:method(), original(txn)
  core.register_task(function() ask(one.to, method, path, sent, PATIENCE, body) end)
end, 1)

core.register_action("keep", { "http-req" }, function(txn)
  local given, kept = txn.http:req_get_headers(), {}
  copied(kept, given, KEPT)
  kept["host"] = given["host"]
  kept["x-forwarded-for"] = way(given, txn)
  keep(txn, "request", { headers = sendable(kept), method = txn.sf:method(), path = original(txn) })
end)

local function page(txn, text, status)
  local one, all = wishes(text)
  local kept = txn:get_priv()
  local request = kept and kept.request
  if not request then return end
  local sent = {}
  for name, values in pairs(request.headers) do sent[name] = values end
  sent["x-code"], sent["x-original-uri"] = { status }, { request.path }
  sent["x-format"] = { request.headers["accept"] and request.headers["accept"][1] or "*/*" }
  for _, line in ipairs(all) do
    if line[1] == "header" then
      local key, content = string.match(line[2], "^([^ ]+) ?(.*)$")
      sent[key] = { content }
    end
  end
  local got = ask(one.to, request.method == "HEAD" and "HEAD" or "GET", "/", sent, PATIENCE)
  if got then answer(txn, got.status, got.headers, got.body) end
end

core.register_action("page", { "http-res" }, function(txn, text)
  page(txn, text, tostring(txn.sf:status()))
end, 1)

core.register_action("page_of_ours", { "http-req" }, function(txn, text)
  page(txn, text, "503")
end, 1)

local function attribute(part, rewrites)
  local name, value = string.match(part, "^%s*([^=%s]+)%s*=%s*(.-)%s*$")
  if not name then return part end
  for _, line in ipairs(rewrites) do
    local old, new = string.match(line[2], "^([^ ]*) (.*)$")
    if lower(name) == "path" and line[1] == "path" and sub(value, 1, #old) == old then
      return " " .. name .. "=" .. new .. sub(value, #old + 1)
    end
    if lower(name) == "domain" and line[1] == "domain" and lower((gsub(value, "^%.", ""))) == old then
      return " " .. name .. "=" .. new
    end
  end
  return part
end

local function cookie(text, rewrites)
  local ends = find(text, ";", 1, true)
  if not ends then return text end
  local out = { sub(text, 1, ends - 1) }
  for part in gmatch(sub(text, ends + 1), "[^;]+") do out[#out + 1] = attribute(part, rewrites) end
  return table.concat(out, ";")
end

core.register_action("cookies", { "http-res" }, function(txn, text)
  local _, rewrites = wishes(text)
  local given = sendable(txn.http:res_get_headers())["set-cookie"]
  if not given then return end
  txn.http:res_del_header("set-cookie")
  for _, one in ipairs(given) do txn.http:res_add_header("set-cookie", cookie(one, rewrites)) end
end, 1)
"""
)
