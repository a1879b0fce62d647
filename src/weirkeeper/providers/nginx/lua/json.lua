-- JSON texts of ours to tables (RFC 8259); null is nil. In: a text. Out: its value, or nil and why it has none.
local byte, char, find, sub, gsub = string.byte, string.char, string.find, string.sub, string.gsub
local bor, band, rshift = bit.bor, bit.band, bit.rshift
local ESCAPES = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local DEEPEST = 64
local value

local function utf8(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(bor(0xC0, rshift(code, 6)), bor(0x80, band(code, 0x3F))) end
  return char(bor(0xE0, rshift(code, 12)), bor(0x80, band(rshift(code, 6), 0x3F)), bor(0x80, band(code, 0x3F)))
end

local function text(from, at)
  local start = at + 1
  local stop = start
  while true do
    stop = find(from, '["\\]', stop)
    if not stop then error("a text without an end") end
    if byte(from, stop) == 34 then break end
    stop = stop + 2
  end
  local found = sub(from, start, stop - 1)
  if find(found, "\\", 1, true) then
    found = gsub(found, "\\(.)(%x?%x?%x?%x?)", function(kind, digits)
      if kind == "u" then
        if #digits < 4 then error("a bad escape") end
        return utf8(tonumber(digits, 16))
      end
      local plain = ESCAPES[kind]
      if not plain then error("a bad escape") end
      return plain .. digits
    end)
  end
  return found, stop + 1
end

local function list(from, at, depth)
  local found, number = {}, 0
  at = find(from, "%S", at + 1)
  if at and byte(from, at) == 93 then return found, at + 1 end
  while at do
    number = number + 1
    found[number], at = value(from, at, depth)
    at = find(from, "%S", at)
    local mark = at and byte(from, at)
    if mark == 93 then return found, at + 1 end
    if mark ~= 44 then break end
    at = at + 1
  end
  error("a list without an end")
end

local function object(from, at, depth)
  local found, name = {}, nil
  at = find(from, "%S", at + 1)
  if at and byte(from, at) == 125 then return found, at + 1 end
  while at and byte(from, at) == 34 do
    name, at = text(from, at)
    at = find(from, "%S", at)
    if not at or byte(from, at) ~= 58 then break end
    found[name], at = value(from, at + 1, depth)
    at = find(from, "%S", at)
    local mark = at and byte(from, at)
    if mark == 125 then return found, at + 1 end
    if mark ~= 44 then break end
    at = find(from, "%S", at + 1)
  end
  error("an object without an end")
end

function value(from, at, depth)
  if depth > DEEPEST then error("too deep") end
  at = find(from, "%S", at)
  local mark = at and byte(from, at)
  if mark == 34 then return text(from, at) end
  if mark == 123 then return object(from, at, depth + 1) end
  if mark == 91 then return list(from, at, depth + 1) end
  for word, meant in pairs({ ["true"] = true, ["false"] = false }) do
    if sub(from, at or 0, (at or 0) + #word - 1) == word then return meant, at + #word end
  end
  if mark and sub(from, at, at + 3) == "null" then return nil, at + 4 end
  local _, stop = find(from, "^-?%d+%.?%d*[eE]?[+-]?%d*", at or #from + 1)
  if not stop then error("no value") end
  return tonumber(sub(from, at, stop)), stop + 1
end

return {
  decode = function(from)
    local ok, found, at = pcall(value, from, 1, 0)
    if not ok then return nil, tostring(found) end
    if find(from, "%S", at) then return nil, "more than one value" end
    return found
  end,
}
