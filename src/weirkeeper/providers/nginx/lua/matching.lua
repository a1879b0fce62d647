-- Which route of a host takes a request: the first whose conditions hold. In: a host's routes, a request. Out: a route; or the status of a refusal.
local addresses, paths = require("weir.addresses"), require("weir.paths")
local find, lower, sub = string.find, string.lower, string.sub
local matching = { UNDECIDED = 500 }

-- Whether an expression holds for a text; one that takes too long holds for neither yes nor no, and nobody passes.
local function decided(text, pattern, options)
  local at, _, why = ngx.re.find(text, pattern, options)
  if why then error({ status = matching.UNDECIDED }) end
  return at ~= nil
end

local function whole(pattern, rest)
  return "^(?:" .. pattern .. ")" .. (rest and "" or "\\z")
end

local PATHS = {
  exact = function(path, wished) return path == wished.value end,
  prefix = function(path, wished) return paths.below(path, wished.value) end,
  ["string-prefix"] = function(path, wished) return sub(path, 1, #wished.value) == wished.value end,
  regex = function(path, wished) return decided(path, wished.whole, wished.options) end,
}

local VALUES = {
  exact = function(text, wished) return text == wished.value end,
  regex = function(text, wished) return decided(text, wished.whole, "jo") end,
  present = function() return true end,
  contains = function(text, wished) return find(text, wished.value, 1, true) ~= nil end,
  prefix = function(text, wished) return sub(text, 1, #wished.value) == wished.value end,
}

local function compiled(pattern, options)
  local _, _, why = ngx.re.find("", pattern, options)
  if why and not find(why, "pcre_exec", 1, true) then error(why, 0) end
end

-- Makes a match ready: lists of ranges, expressions. An expression that cannot be compiled is an error.
function matching.ready(match)
  match.path = match.path or { type = "prefix", value = "/" }
  if match.path.type == "regex" then
    match.path.whole = whole(match.path.value, match.path.prefix)
    match.path.options = match.path.case_sensitive == false and "joi" or "jo"
    compiled(match.path.whole, match.path.options)
  end
  for _, list in ipairs({ match.headers or {}, match.query or {} }) do
    for _, one in ipairs(list) do
      if one.match.type == "regex" then
        one.match.whole = whole(one.match.value)
        compiled(one.match.whole, "jo")
      end
    end
  end
  for _, one in ipairs(match.headers or {}) do one.name = lower(one.name) end
  if match.host_regex then
    match.host_whole = whole(match.host_regex)
    compiled(match.host_whole, "joi")
  end
  if match.methods then
    local set = {}
    for _, method in ipairs(match.methods) do set[method] = true end
    match.methods = set
  end
  match.ranges = match.source and addresses.ranges(match.source)
  match.path_holds = PATHS[match.path.type]
  match.plain = not (match.headers or match.query or match.cookies or match.methods or match.scheme or match.ranges or match.host_whole)
  return match
end

function matching.cookie(text, name)
  for one in (text or ""):gmatch("[^;]+") do
    local given, value = one:match("^%s*([^=%s]+)%s*=%s*(.-)%s*$")
    if given == name then return value end
  end
end

-- The first value of a query parameter, as it is written.
function matching.parameter(query, name)
  for one in (query or ""):gmatch("[^&]+") do
    local given, value = one:match("^([^=]*)=?(.*)$")
    if given == name then return value end
  end
end

local function header_holds(request, wished)
  local text = request:header(wished.name)
  local holds = text ~= nil and VALUES[wished.match.type](text, wished.match)
  return holds ~= (wished.inverted or false)
end

local function beyond_path(match, request)
  if match.scheme and match.scheme ~= request.scheme then return false end
  if match.methods and not match.methods[request.method] then return false end
  if match.ranges and not addresses.within(request.client, match.ranges) then return false end
  for _, wished in ipairs(match.headers or {}) do
    if not header_holds(request, wished) then return false end
  end
  for _, wished in ipairs(match.cookies or {}) do
    if matching.cookie(request:header("cookie"), wished.name) ~= wished.value then return false end
  end
  for _, wished in ipairs(match.query or {}) do
    local text = matching.parameter(request.query, wished.name)
    if text == nil or not VALUES[wished.match.type](text, wished.match) then return false end
  end
  return not match.host_whole or decided(request.host, match.host_whole, "joi")
end

local function holds(route, request)
  local match = route.match
  return match.path_holds(request.path, match.path) and (match.plain or beyond_path(match, request))
end

-- The first two are looked at outside of the loop: a loop that ends at once is never compiled.
function matching.route(routes, request)
  local first, second = routes[1], routes[2]
  if first and holds(first, request) then return first end
  if second and holds(second, request) then return second end
  for number = 3, #routes do
    if holds(routes[number], request) then return routes[number] end
  end
end

return matching
