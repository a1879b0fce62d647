-- Answers of the load balancer's own, and what is changed in those of backends. In: a wish, a request. Out: headers and texts to the client.
local cors, paths = require("weir.cors"), require("weir.paths")
local IMPLIED = { http = 80, https = 443 }
local CODES = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }
local NONE = {}
local answers = {}

-- Ends the request with this answer.
function answers.give(wished)
  ngx.status = wished.status
  for name, value in pairs(wished.headers or {}) do ngx.header[name] = value end
  local body = wished.body or ""
  if wished.status ~= 204 and wished.status ~= 304 then ngx.header["content-length"] = #body end
  if body ~= "" and ngx.req.get_method() ~= "HEAD" then
    ngx.print(body)
  else
    ngx.send_headers()
  end
  return ngx.exit(ngx.HTTP_OK)
end

function answers.redirect(wished, request, match)
  local status = CODES[wished.status or 302] and wished.status or 302
  if wished.to then return { status = status, headers = { location = wished.to } } end
  local scheme = wished.scheme or request.scheme
  local authority = request.authority
  if wished.host or wished.port or wished.scheme then
    authority = wished.host or request.authority:gsub(":%d*$", "")
    if wished.port and not (wished.scheme and IMPLIED[wished.scheme] == wished.port) then authority = authority .. ":" .. wished.port end
  end
  local path = paths.rewritten(request.path, wished.path, match)
  if not path then return { status = 500 } end
  local query = request.query and "?" .. request.query or ""
  return { status = status, headers = { location = scheme .. "://" .. authority .. path .. query } }
end

function answers.own(wished)
  local kind = wished.body and wished.body ~= "" and (wished.content_type or "text/plain") or nil
  return { status = wished.status, headers = { ["content-type"] = kind }, body = wished.body }
end

local function list(value)
  if value == nil then return {} end
  return type(value) == "table" and value or { value }
end

local function edit(wished)
  if not wished then return end
  for _, name in ipairs(wished.remove or NONE) do ngx.header[name] = nil end
  for _, pair in ipairs(wished.set or NONE) do ngx.header[pair.name] = pair.value end
  for _, pair in ipairs(wished.add or NONE) do
    local values = list(ngx.header[pair.name])
    values[#values + 1] = pair.value
    ngx.header[pair.name] = values
  end
end

local function attribute(part, rewrites)
  local name, value = part:match("^%s*([^=%s]+)%s*=%s*(.-)%s*$")
  for _, one in ipairs(name and rewrites or {}) do
    if name:lower() == "path" and one.attribute == "path" and value:sub(1, #one.old) == one.old then
      return " " .. name .. "=" .. one.new .. value:sub(#one.old + 1)
    end
    if name:lower() == "domain" and one.attribute == "domain" and value:gsub("^%.", ""):lower() == one.old:gsub("^%.", ""):lower() then
      return " " .. name .. "=" .. one.new
    end
  end
  return part
end

local function cookie(text, rewrites)
  local found = {}
  for part in text:gmatch("[^;]+") do found[#found + 1] = #found == 0 and part or attribute(part, rewrites) end
  return table.concat(found, ";")
end

local function cookies(rewrites)
  if not rewrites then return end
  local found = list(ngx.header["set-cookie"])
  for number, text in ipairs(found) do found[number] = cookie(text, rewrites) end
  if #found > 0 then ngx.header["set-cookie"] = found end
end

local function location(rewrites)
  for _, one in ipairs(rewrites or {}) do
    local text = ngx.header.location
    if text and text:sub(1, #one.old) == one.old then
      ngx.header.location = one.new .. text:sub(#one.old + 1)
      return
    end
  end
end

local function told(cookies_told)
  if not cookies_told then return end
  local found = list(ngx.header["set-cookie"])
  for _, text in ipairs(cookies_told) do found[#found + 1] = text end
  ngx.header["set-cookie"] = found
end

-- The cookie that keeps a client on an endpoint, where it needs one.
function answers.kept(wished, value)
  local parts = { wished.name .. "=" .. value }
  if wished.domain then parts[#parts + 1] = "Domain=" .. wished.domain:gsub("^%*%.", "") end
  parts[#parts + 1] = "Path=" .. ((wished.path or "/"):match("^[^;]*"))
  if wished.ttl then parts[#parts + 1] = "Max-Age=" .. math.floor(wished.ttl / 1000) end
  if wished.secure then parts[#parts + 1] = "Secure" end
  if wished.http_only ~= false then parts[#parts + 1] = "HttpOnly" end
  if wished.same_site then parts[#parts + 1] = "SameSite=" .. wished.same_site end
  return table.concat(parts, "; ")
end

-- Makes a route ready: whether there is nothing to change in its answers.
function answers.ready(route)
  route.untouched = not (route.cookie_rewrites or route.response_headers or route.cors or route.location_rewrites)
end

-- The header phase of every answer of a route.
function answers.finish(request)
  local route, share = request.route, request.share
  if route.untouched and not request.session_given and not request.cookies_told and not (share and share.response_headers) then return end
  if request.forwarded then
    cookies(route.cookie_rewrites)
    edit(share and share.response_headers)
  end
  edit(route.response_headers)
  cors.told(route.cors, request)
  if request.forwarded then location(route.location_rewrites) end
  told(request.cookies_told)
  local given, affinity = request.session_given, route.affinity
  if given and affinity.type == "cookie" then told({ answers.kept(affinity, given) }) end
  if given and affinity.type == "session-header" then ngx.header[affinity.name] = given end
end

return answers
