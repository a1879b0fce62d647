-- The certificate for the name that a TLS client asks for. In: entries "c:" (chain and key) and "n:" (whose name is which). Out: a certificate in the handshake, or its end.
local ssl = require("ngx.ssl")
local ports = require("weir.ports")
local store = require("weir.store")
local certificates = {}

-- A chain and a key, as NGINX takes them. What is none is an error, and the entry is not taken.
store.ready["c:"] = function(value)
  local chain, why = ssl.parse_pem_cert(value.chain)
  if not chain then error(why, 0) end
  local key, wrong = ssl.parse_pem_priv_key(value.key)
  if not key then error(wrong, 0) end
  return { chain = chain, key = key, shown = value.chain, secret = value.key }
end

local function named(name)
  local found = store.get("n:", name) or store.get("n:", "*." .. (name:match("^[^.]*%.(.*)$") or ""))
  return found and found.certificate
end

local function of_port(port, name)
  local policy = (port.policies or {})[ports.policy(port, name)]
  if policy then return policy.certificate or named(name) end
  return name and named(name) or port.default_certificate
end

function certificates.show(number)
  store.refresh()
  local name = ssl.server_name()
  local port = store.get("p:", number)
  local wanted = port and of_port(port, name and name:lower())
  local found = wanted and store.get("c:", wanted)
  if not found then return ngx.exit(ngx.ERROR) end
  ssl.clear_certs()
  if not ssl.set_cert(found.chain) or not ssl.set_priv_key(found.key) then return ngx.exit(ngx.ERROR) end
end

return certificates
