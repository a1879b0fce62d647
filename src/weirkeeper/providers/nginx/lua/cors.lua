-- Cross-origin requests by policy (Fetch standard, 3.2). In: a policy, a request. Out: the answer to a preflight; headers of answers, which replace a backend's own.
local lower, sub = string.lower, string.sub
local cors = {}

local function allows(pattern, origin)
  local begin, finish = pattern:match("^([^*]*)%*(.*)$")
  if not begin then return lower(pattern) == origin end
  return #origin >= #begin + #finish and sub(origin, 1, #begin) == lower(begin) and (finish == "" or sub(origin, -#finish) == lower(finish))
end

local function allowed(policy, request)
  local origin = request:header("origin")
  if not origin then return nil end
  for _, pattern in ipairs(policy.origins or {}) do
    if allows(pattern, lower(origin)) then return origin end
  end
end

local function listed(names)
  return names and #names > 0 and table.concat(names, ", ") or nil
end

function cors.preflight(policy, request)
  if not policy then return nil end
  request.origin = allowed(policy, request)
  if request.method ~= "OPTIONS" or not request:header("access-control-request-method") or not request:header("origin") then return nil end
  if not request.origin then return { status = 204, headers = { vary = "origin" } } end
  return {
    status = 204,
    headers = {
      ["access-control-allow-origin"] = request.origin,
      ["access-control-allow-methods"] = policy.any_method and request:header("access-control-request-method") or listed(policy.methods),
      ["access-control-allow-headers"] = policy.any_header and request:header("access-control-request-headers") or listed(policy.headers),
      ["access-control-expose-headers"] = listed(policy.exposed),
      ["access-control-allow-credentials"] = policy.credentials and "true" or nil,
      ["access-control-max-age"] = policy.max_age and tostring(math.floor(policy.max_age / 1000)) or nil,
      vary = "origin",
    },
  }
end

function cors.told(policy, request)
  if not policy then return end
  local header = ngx.header
  header["access-control-allow-origin"] = request.origin
  header["access-control-allow-credentials"] = request.origin and policy.credentials and "true" or nil
  header["access-control-expose-headers"] = request.origin and listed(policy.exposed) or nil
  local vary = header.vary
  if type(vary) == "table" then vary = table.concat(vary, ", ") end
  header.vary = vary and vary .. ", origin" or "origin"
end

return cors
