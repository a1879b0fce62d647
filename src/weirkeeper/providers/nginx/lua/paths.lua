-- One spelling for each path, before anything is matched (RFC 3986, 6.2.2), and paths rewritten.
-- In: a path as the client wrote it. Out: the path, or nil where it must be refused.
local byte, char, find, gsub, lower, sub = string.byte, string.char, string.find, string.gsub, string.lower, string.sub
local paths = {}

local function unreserved(digits)
  local meant = char(tonumber(digits, 16))
  return find(meant, "^[%w._~-]$") and meant or "%" .. digits
end

-- Parameters of a dot segment: there are backends that take no notice of them.
local function bare(segment)
  return find(segment, "^%.%.?;") and gsub(segment, ";.*", "") or segment
end

local function escaped(raw)
  return raw == "\\" and "/" or ("%%%02X"):format(byte(raw))
end

local function without_dots(path)
  local kept, number = {}, 0
  for segment, slash in path:gmatch("([^/]*)(/?)") do
    if segment == ".." then
      if number > 1 then number = number - 1 end
      if slash == "" then kept[number + 1] = "" number = number + 1 end
    elseif segment == "." then
      if slash == "" then number = number + 1 kept[number] = "" end
    else
      number = number + 1
      kept[number] = segment
    end
    if slash == "" then break end
  end
  return table.concat(kept, "/", 1, number)
end

-- ``how`` is what a listener says of paths. The steps are those of docs/paths.md.
function paths.normal(path, how)
  if not find(path, "[%%\\;\"<>^`{|}]") and not find(path, "//", 1, true) and not find(path, "/.", 1, true) then return path end
  local small = lower(path)
  if how.escaped_slashes == nil and (find(small, "%2f", 1, true) or find(small, "%5c", 1, true)) then return nil end
  if how.normalise_path ~= false then
    if find(small, "%00", 1, true) or find(gsub(path, "%%%x%x", ""), "%", 1, true) then return nil end
    if find(path, ";", 1, true) then path = gsub(path, "[^/]+", bare) end
    path = gsub(gsub(path, "[\\\"<>^`{|}]", escaped), "%%(%x%x)", unreserved)
    if find(path, "/%.%.?;") then return nil end
    if find(path, "/.", 1, true) then path = without_dots(path) end
  end
  if how.merge_slashes ~= false then path = gsub(path, "//+", "/") end
  return path
end

-- Whether the path lies at or below a prefix of segments.
function paths.below(path, prefix)
  local long = #prefix
  if long == 1 then return true end
  if sub(path, 1, long) ~= prefix then return false end
  return #path == long or byte(path, long + 1) == 47
end

local function substituted(path, wished)
  local found = gsub(wished.substitution, "%$", "$$$$")
  found = gsub(found, "\\(.)", function(digit) return digit == "\\" and "\\" or "${" .. digit .. "}" end)
  return (ngx.re.gsub(path, wished.pattern, found, "jo"))
end

-- The path with the wish of a rewrite or redirect done; ``match`` is how the route takes paths. Nil: the expression could not be decided.
function paths.rewritten(path, wished, match)
  if not wished then return path end
  if wished.type == "full" then return wished.value end
  if wished.type == "regex" then return substituted(path, wished) end
  local kind, matched, value = match.type, match.value or "", wished.value
  if kind == "regex" then matched = "" end
  if kind == "prefix" then matched = gsub(matched, "/$", "") end
  if kind == "prefix" or kind == "regex" then value = gsub(value, "/$", "") end
  local made = value .. sub(path, #matched + 1)
  return made == "" and "/" or made
end

return paths
