"""Constant Lua for answers that a route replaces or rewrites: error pages, sign-in redirects, cookies, locations. No text of a tenant stands in it. It also takes out what a client claims
that an authentication service alone may say.

Theory of operation. What a route wishes comes as typed values (``filterContext``), what must be known of its request is kept in dynamic
metadata. Envoy writes why it answers (its response code details) into a header for us: ``via_upstream`` is a backend's answer, all else the load balancer's own,
``ext_authz_denied`` among it that of the authentication service. A page is asked from its backend before anything is sent to the client, and
its bytes take the place of the buffered body, hence ``LARGEST``: a longer answer of a backend is passed on as it is.
After a wait the headers are fetched anew, as Envoy demands. Headers that describe the old body go with it.
"""

import json

from weirkeeper.providers.envoy import names

LARGEST = 1024 * 1024
PAGE_TIMEOUT = 5000
KEPT = (
    ":authority",
    ":path",
    ":method",
    "accept",
    "accept-language",
    "cookie",
    "user-agent",
    "referer",
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
)
BODY_HEADERS = (
    "content-encoding",
    "content-language",
    "content-type",
    "content-range",
    "accept-ranges",
    "cache-control",
    "expires",
    "etag",
    "last-modified",
    "transfer-encoding",
    "trailer",
    "x-envoy-upstream-service-time",
)


def _words(words: tuple[str, ...]) -> str:
    return "{" + ", ".join(json.dumps(word) for word in words) + "}"


LUA = (
    f"local DETAILS, SPACE = {json.dumps(names.DETAILS_HEADER)}, {json.dumps(names.ANSWERS)}\n"
    f"local LARGEST, TIMEOUT = {LARGEST}, {PAGE_TIMEOUT}\n"
    f"local KEPT = {_words(KEPT)}\n"
    f"local BODY = {_words(BODY_HEADERS)}\n"
    'local PASSED, DENIED = "via_upstream", "ext_authz_denied"\n'
    r"""
local byte, find, format, gsub, lower, sub = string.byte, string.find, string.format, string.gsub, string.lower, string.sub
local UNSENT = { ["x-envoy-upstream-service-time"] = true, ["transfer-encoding"] = true, connection = true, ["content-length"] = true, ["keep-alive"] = true, date = true, server = true }

local function escaped(text)
  return (gsub(text, "[^%w._~-]", function(c) return format("%%%02X", byte(c)) end))
end

local function asked(h)
  local kept = h:streamInfo():dynamicMetadata():get(SPACE)
  return kept and kept.asked
end

local function cleared(headers)
  for _, name in ipairs(BODY) do headers:remove(name) end
end

local function filled(h, text)
  local body = h:body(true)
  h:headers():replace("content-length", tostring(#text))
  body:setBytes(text)
end

local function sign_in(h, wished, headers, request)
  local url = wished.url
  local joint = find(url, "?", 1, true) and "&" or "?"
  local original = (request["x-forwarded-proto"] or "http") .. "://" .. request[":authority"] .. request[":path"]
  headers:replace(":status", "302")
  headers:replace("location", url .. joint .. wished.parameter .. "=" .. escaped(original))
  headers:remove("www-authenticate")
  cleared(headers)
  filled(h, "")
end

local function page(h, wished, headers, request, status)
  local size = tonumber(headers:get("content-length") or "0")
  if size and size > LARGEST then return end
  local sent = {}
  for name, value in pairs(request) do sent[name] = value end
  for name, value in pairs(wished.headers) do sent[name] = value end
  local head = request[":method"] == "HEAD"
  sent[":method"], sent[":path"] = head and "HEAD" or "GET", "/"
  sent["x-code"], sent["x-original-uri"] = status, request[":path"]
  sent["x-format"] = request["accept"] or "*/*"
  if not head then h:body(true) end
  local got, text = h:httpCall(wished.cluster, sent, nil, { timeout_ms = TIMEOUT, return_duplicate_headers = true, send_xff = false })
  headers = h:headers()
  cleared(headers)
  for name, value in pairs(got) do
    if not UNSENT[name] and type(value) == "string" then headers:replace(name, value) end
    if type(value) == "table" then
      headers:remove(name)
      for _, one in ipairs(value) do headers:add(name, one) end
    end
  end
  if not head then filled(h, text or "") end
end

local function attribute(part, wished)
  local name, value = string.match(part, "^%s*([^=%s]+)%s*=%s*(.-)%s*$")
  if not name or lower(name) ~= wished.attribute then return part end
  if wished.attribute == "path" then
    if sub(value, 1, #wished.old) ~= wished.old then return part end
    return " " .. name .. "=" .. wished.new .. sub(value, #wished.old + 1)
  end
  if lower((gsub(value, "^%.", ""))) ~= wished.old then return part end
  return " " .. name .. "=" .. wished.new
end

local function cookie(text, rewrites)
  local first = find(text, ";", 1, true)
  if not first then return text end
  local out = { sub(text, 1, first - 1) }
  for part in string.gmatch(sub(text, first + 1), "[^;]+") do
    for _, wished in ipairs(rewrites) do
      local changed = attribute(part, wished)
      if changed ~= part then part = changed break end
    end
    out[#out + 1] = part
  end
  return table.concat(out, ";")
end

local function cookies(headers, rewrites)
  local count, texts = headers:getNumValues("set-cookie"), {}
  if count == 0 then return end
  for at = 0, count - 1 do texts[#texts + 1] = cookie(headers:getAtIndex("set-cookie", at), rewrites) end
  headers:remove("set-cookie")
  for _, text in ipairs(texts) do headers:add("set-cookie", text) end
end

local function location(headers, rewrites)
  local text = headers:get("location")
  if not text then return end
  for _, wished in ipairs(rewrites) do
    if sub(text, 1, #wished.old) == wished.old then
      return headers:replace("location", wished.new .. sub(text, #wished.old + 1))
    end
  end
end

function envoy_on_request(h)
  local wished = h:filterContext()
  for _, name in ipairs(wished:get("claims") or {}) do h:headers():remove(name) end
  if not (wished:get("pages") or wished:get("sign_in")) then return end
  local headers, kept = h:headers(), {}
  for _, name in ipairs(KEPT) do kept[name] = headers:get(name) end
  h:streamInfo():dynamicMetadata():set(SPACE, "asked", kept)
end

function envoy_on_response(h)
  local wished, headers = h:filterContext(), h:headers()
  local status, details = headers:get(":status"), headers:get(DETAILS)
  local rewritten, moved = wished:get("cookies"), wished:get("locations")
  if rewritten then cookies(headers, rewritten) end
  if moved then location(headers, moved) end
  if not details then return end
  headers:remove(DETAILS)
  local pages, entrance, request = wished:get("pages"), wished:get("sign_in"), asked(h)
  if not request then return end
  if entrance and status == "401" and details == DENIED then return sign_in(h, entrance, headers, request) end
  if pages and (pages.codes[status] or details ~= PASSED and pages.own[status]) then return page(h, pages, headers, request, status) end
end
"""
)
