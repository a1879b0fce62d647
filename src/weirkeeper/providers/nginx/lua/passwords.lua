-- Whether a password has a hash, as htpasswd and crypt(3) write hashes. In: both. Out: yes or no; what is of no kind that is known is no.
local ffi = require("ffi")
local byte, char, sub = string.byte, string.char, string.sub
local ITOA = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
local passwords = {}

ffi.cdef("char *crypt_r(const char *key, const char *salt, void *data);")
local found, library = pcall(ffi.load, "crypt.so.1")
local work = ffi.new("char[?]", 262144)

local function crypted(password, hash)
  if not found or password:find("\0", 1, true) then return false end
  ffi.fill(work, 262144)
  local made = library.crypt_r(password, hash, work)
  return made ~= nil and ffi.string(made) == hash
end

local function base64(a, b, c, size)
  local number, made = a * 65536 + b * 256 + c, {}
  for at = 1, size do
    made[at] = sub(ITOA, number % 64 + 1, number % 64 + 1)
    number = math.floor(number / 64)
  end
  return table.concat(made)
end

local function apr1(password, hash)
  local salt = hash:match("^%$apr1%$([^$]*)%$")
  if not salt then return false end
  local inner = ngx.md5_bin(password .. salt .. password)
  local parts = { password, "$apr1$", salt }
  for left = #password, 1, -16 do parts[#parts + 1] = sub(inner, 1, math.min(left, 16)) end
  local size = #password
  while size > 0 do
    parts[#parts + 1] = size % 2 == 1 and "\0" or sub(password, 1, 1)
    size = math.floor(size / 2)
  end
  local made = ngx.md5_bin(table.concat(parts))
  for round = 0, 999 do
    local odd = round % 2 == 1
    made = ngx.md5_bin((odd and password or made) .. (round % 3 ~= 0 and salt or "") .. (round % 7 ~= 0 and password or "") .. (odd and made or password))
  end
  local b = { byte(made, 1, 16) }
  local text = {}
  for _, at in ipairs({ { 1, 7, 13 }, { 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 16 }, { 5, 11, 6 } }) do
    text[#text + 1] = base64(b[at[1]], b[at[2]], b[at[3]], 4)
  end
  return "$apr1$" .. salt .. "$" .. table.concat(text) .. base64(0, 0, b[12], 2) == hash
end

local KINDS = {
  { "^{SHA}", function(password, hash) return "{SHA}" .. ngx.encode_base64(ngx.sha1_bin(password)) == hash end },
  { "^{SSHA}", function(password, hash)
    local bytes = ngx.decode_base64(sub(hash, 7))
    return bytes ~= nil and #bytes > 20 and ngx.sha1_bin(password .. sub(bytes, 21)) == sub(bytes, 1, 20)
  end },
  { "^%$apr1%$", apr1 },
  { "^%$1%$", crypted }, { "^%$2[abxy]?%$", crypted }, { "^%$[56]%$", crypted },
}

function passwords.fits(password, hash)
  for _, kind in ipairs(KINDS) do
    if hash:find(kind[1]) then return kind[2](password, hash) end
  end
  return #hash == 13 and crypted(password, hash)
end

return passwords
