-- Which of a port's policies a name of TLS has. In: the entry of a port, a name. Out: the policy's number, as the file counts server blocks; 0 is that of all other names.
local ports = {}

local function numbered(policies)
  local found = {}
  for at, policy in ipairs(policies or {}) do found[policy.hostname] = at end
  return found
end

-- As NGINX finds server blocks: that of the name itself, else that of the longest wildcard.
function ports.policy(port, name)
  port.numbers = port.numbers or numbered(port.policies)
  local numbers, rest = port.numbers, name and name:lower()
  local found = rest and numbers[rest]
  while not found and rest do
    rest = rest:match("^[^.]*%.(.+)$")
    found = rest and numbers["*." .. rest]
  end
  return found or 0
end

return ports
