-- How this NGINX is programmed: by a Unix socket in a folder that only its user opens. In: JSON, a list of entries (key, and text or null). Out: lines: what was refused, and why.
-- An entry that cannot be read as its kind is refused, and the one before stays.
local json, members, store = require("weir.json"), require("weir.members"), require("weir.store")
local config = ngx.shared.weir_config
local BACKEND, RESOLVED, PLAIN = "b:", "r:", { ["n:"] = true }
local master = require("weir.master")
local control = {}

local function body()
  ngx.req.read_body()
  local held = ngx.req.get_body_data()
  if held then return held end
  local file = ngx.req.get_body_file()
  local open = file and io.open(file, "rb")
  local text = open and open:read("*a")
  if open then open:close() end
  return text
end

local function put(key, text)
  local kind, name = key:sub(1, 2), key:sub(3)
  if text == nil then
    config:delete(key)
    if kind == BACKEND then members.wished(name, nil) end
    return nil
  end
  if not store.ready[kind] and not PLAIN[kind] or type(text) ~= "string" then return "no entry" end
  local made, wrong = store.read(kind, name, text)
  if not made then return wrong or "not understood" end
  local ok, full = config:safe_set(key, text)
  if ok and kind == BACKEND then members.wished(name, made) end
  return not ok and "the shared dictionary: " .. tostring(full) or nil
end

local function set()
  local entries, why = json.decode(body() or "")
  if type(entries) ~= "table" then
    ngx.status = 400
    return ngx.say(why or "no list")
  end
  for _, entry in ipairs(entries) do
    local wrong = put(entry[1], entry[2])
    if wrong then ngx.say(entry[1], " ", (tostring(wrong):gsub("%c", " "))) end
  end
  store.changed()
end

-- What is held: each key with its version.
local function held()
  for _, key in ipairs(config:get_keys(0)) do
    local text = key ~= "epoch" and key:sub(1, 2) ~= RESOLVED and config:get(key)
    if text then ngx.say(key, " ", (text:match("^[^ ]*"))) end
  end
end

-- The mark comes last: what was said is so of the NGINX that has it. ``binds`` is where it listens.
function control.answer(mark, binds)
  local path = ngx.var.uri
  if path == "/set" then set() elseif path == "/held" then held()
  elseif path == "/state" then return master.state(mark, binds)
  elseif path == "/reload" then return master.reload()
  elseif path == "/finish" then return master.finish()
  else return ngx.exit(404) end
  if ngx.status < 400 then ngx.say("done ", mark) end
end

return control
