-- What this load balancer is to do, as the shared dictionary holds it, and what a worker has read of it: an entry is read again only after a change of any.
-- In: entries under "<kind>:<name>", each a version, a space and JSON. Out: tables, made ready once by whoever knows their kind. Entries are never evicted.
local lru = require("resty.lrucache")
local json = require("weir.json")
local config = ngx.shared.weir_config
local READ_MOST = 3000
local known = lru.new(READ_MOST)
local store = { ready = {}, epoch = 0 }

-- To be called once for each request: changes are seen from then on. A worker that ends stays with what it knows, for what changed may need another file than its own.
function store.refresh()
  if ngx.worker.exiting() then return end
  store.epoch = config:get("epoch") or 0
end

function store.get(kind, name)
  local key, epoch = kind .. name, store.epoch
  local entry = known:get(key)
  if entry and entry.epoch == epoch then return entry.value end
  local text = config:get(key)
  if not text then
    if entry then known:delete(key) end
    return nil
  end
  if entry and entry.text == text then
    entry.epoch = epoch
    return entry.value
  end
  local value, why = store.read(kind, name, text, entry and entry.value)
  if why then ngx.log(ngx.ERR, "an entry cannot be read: ", key, ": ", why) end
  known:set(key, { epoch = epoch, text = text, value = value })
  return value
end

-- The entry that a table of ours leads to, remembered in that table until there is a change of any.
function store.led(from, kind, name)
  if from.epoch ~= store.epoch then from.epoch, from.leads = store.epoch, store.get(kind, name) end
  return from.leads
end

-- An entry as its kind has it; ``before`` is what this worker made of the last one.
function store.read(kind, name, text, before)
  local value, why = json.decode(text:sub((text:find(" ", 1, true) or 0) + 1))
  if type(value) ~= "table" then return nil, why or "no object" end
  local ready = store.ready[kind]
  if not ready then return value end
  local ok, made, wrong = pcall(ready, value, before, name)
  if not ok then return nil, tostring(made) end
  return made, wrong
end

function store.changed()
  config:incr("epoch", 1, 0)
end

return store
