-- Addresses of clients and ranges of them. In: texts. Out: whether an address lies in one of the ranges.
local band, lshift, bxor = bit.band, bit.lshift, bit.bxor
local addresses = {}

local function four(text)
  local a, b, c, d = text:match("^(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)%.(%d%d?%d?)$")
  if not a then return nil end
  local found = { tonumber(a), tonumber(b), tonumber(c), tonumber(d) }
  for _, part in ipairs(found) do
    if part > 255 then return nil end
  end
  return found
end

local function groups(text)
  local found = {}
  if text == "" then return found end
  for group in (text .. ":"):gmatch("([^:]*):") do
    local last = four(group)
    if last then
      for _, part in ipairs(last) do found[#found + 1] = part end
    else
      if not group:match("^%x%x?%x?%x?$") then return nil end
      local number = tonumber(group, 16)
      found[#found + 1] = math.floor(number / 256)
      found[#found + 1] = number % 256
    end
  end
  return found
end

local function sixteen(text)
  local head, tail = text:match("^(.-)::(.*)$")
  if not head then
    local whole = groups(text)
    return whole and #whole == 16 and whole or nil
  end
  local before, after = groups(head), groups(tail)
  if not before or not after or #before + #after > 14 then return nil end
  local found = {}
  for at = 1, 16 do found[at] = before[at] or (at > 16 - #after and after[at - 16 + #after]) or 0 end
  return found
end

-- The bytes of an address; one of IPv4 in IPv6 (RFC 4291, 2.5.5.2) is one of IPv4.
function addresses.bytes(text)
  local found = four(text) or sixteen(text)
  if not found or #found == 4 then return found end
  for at = 1, 10 do
    if found[at] ~= 0 then return found end
  end
  if found[11] == 255 and found[12] == 255 then return { found[13], found[14], found[15], found[16] } end
  return found
end

-- Ranges as texts to ranges as bytes. What is no range is left out, and nobody is in an empty list.
function addresses.ranges(texts)
  local found = {}
  for _, text in ipairs(texts or {}) do
    local base, bits = text:match("^([^/]+)/?(%d*)$")
    local bytes = base and (base:find(":", 1, true) and sixteen(base) or four(base))
    bits = bytes and (bits ~= "" and tonumber(bits) or #bytes * 8)
    if bytes and bits <= #bytes * 8 then found[#found + 1] = { bytes = bytes, bits = bits } end
  end
  return found
end

local function lies_in(bytes, range)
  if #bytes ~= #range.bytes then return false end
  local whole = math.floor(range.bits / 8)
  for at = 1, whole do
    if bytes[at] ~= range.bytes[at] then return false end
  end
  local rest = range.bits % 8
  if rest == 0 then return true end
  local mask = band(lshift(0xFF, 8 - rest), 0xFF)
  return band(bxor(bytes[whole + 1], range.bytes[whole + 1]), mask) == 0
end

function addresses.within(text, ranges)
  local bytes = addresses.bytes(text)
  if not bytes then return false end
  for _, range in ipairs(ranges) do
    if lies_in(bytes, range) then return true end
  end
  return false
end

return addresses
