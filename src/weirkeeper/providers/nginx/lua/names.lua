-- Backends that are found by a name: it is resolved as the system does (getaddrinfo, by threads of the C library), again and again, and addresses are an entry of their own ("r:").
-- In: a name and a port. Out: the entry; where the name is not found, the one before stays.
local ffi = require("ffi")
local store = require("weir.store")
local config = ngx.shared.weir_config
local LOOK, WAITS, NUMERIC, STREAM, NOWAIT, IN_PROGRESS = 0.005, 2000, 1, 1, 1, -100
local names = { EVERY = 5 }
local under_way = {}

ffi.cdef([[
typedef struct weir_address { int flags; int family; int kind; int protocol; unsigned int size; void *address; char *name; struct weir_address *next; } weir_address;
typedef struct { const char *name; const char *service; const weir_address *hints; weir_address *result; int reserved[6]; } weir_lookup;
int getaddrinfo_a(int mode, weir_lookup *list[], int items, void *event);
int gai_error(weir_lookup *request);
int getnameinfo(const void *address, unsigned int size, char *host, unsigned int host_size, char *service, unsigned int service_size, int flags);
void freeaddrinfo(weir_address *found);
]])

-- The addresses of an answer; those of IPv4 where there are any.
local function addresses(found)
  local kinds, text, one = { {}, {} }, ffi.new("char[64]"), found
  while one ~= nil do
    if ffi.C.getnameinfo(one.address, one.size, text, 64, nil, 0, NUMERIC) == 0 then
      local address = ffi.string(text)
      local list = kinds[address:find(":", 1, true) and 2 or 1]
      list[#list + 1] = address
    end
    one = one.next
  end
  local list = kinds[1][1] and kinds[1] or kinds[2]
  table.sort(list)
  return list
end

local function asked(name)
  local hints, text, request = ffi.new("weir_address"), ffi.new("char[?]", #name + 1, name), ffi.new("weir_lookup[1]")
  hints.kind, request[0].name, request[0].hints = STREAM, text, hints
  local list = ffi.new("weir_lookup *[1]", { request })
  if ffi.C.getaddrinfo_a(NOWAIT, list, 1, nil) ~= 0 then return {} end
  for _ = 1, WAITS do
    if ffi.C.gai_error(request) ~= IN_PROGRESS then break end
    ngx.sleep(LOOK)
  end
  while ffi.C.gai_error(request) == IN_PROGRESS do ngx.sleep(1) end -- the library still writes there
  local found = ffi.C.gai_error(request) == 0 and addresses(request[0].result) or {}
  if request[0].result ~= nil then ffi.C.freeaddrinfo(request[0].result) end
  return found, hints, text -- which must live until here
end

local function resolve(ends, backend, wished)
  local found = not ends and asked(wished.name) or {}
  local servers = {}
  for number, address in ipairs(found) do servers[number] = ('["%s",%d,1]'):format(address, wished.port) end
  local text = '- {"servers":[' .. table.concat(servers, ",") .. "]}"
  if servers[1] and config:get("r:" .. backend) ~= text then
    config:safe_set("r:" .. backend, text)
    store.changed()
  end
  under_way[backend] = nil
end

function names.resolved(backend, wished)
  if not under_way[backend] then
    under_way[backend] = ngx.timer.at(0, resolve, backend, wished)
  end
end

return names
