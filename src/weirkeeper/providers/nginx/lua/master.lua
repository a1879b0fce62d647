-- This NGINX as whoever programs it sees it: which file a worker is of, whether its master lives; and what its master is told. By this, nobody has to see its processes to keep it.
-- In: the mark of a file, and where it listens. Out: a line of words, or a signal to the master.
local ffi = require("ffi")
local process = require("ngx.process")
local config = ngx.shared.weir_config
local RELOADS, ENDS = 1, 15
local master = {}

ffi.cdef("int kill(int pid, int sig); int getppid(void);")

-- A file that listens is of no use to an NGINX that starts with it: it would have no entries, and answer anything to anybody. Such a one is to start from the gate.
function master.guard()
  if not config:get("epoch") then error("it holds no entries yet", 0) end
end

local function orphan()
  return process.get_master_pid() ~= ffi.C.getppid()
end

function master.state(mark, binds)
  ngx.say(mark, " ", process.get_master_pid(), " ", ngx.config.nginx_version, " ", ngx.worker.exiting() and "ends" or orphan() and "orphan" or "serves", " ", config:capacity(), " ", config:free_space(), " ", binds)
end

local function told(number)
  if orphan() then ngx.exit(409) end
  ffi.C.kill(ffi.C.getppid(), number)
  ngx.say("done")
end

function master.reload()
  told(RELOADS)
end

-- A worker whose master is gone ends itself, at once.
function master.finish()
  if orphan() then ffi.C.kill(ngx.worker.pid(), 9) end
  told(ENDS)
end

return master
