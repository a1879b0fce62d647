-- Workers of one file after those of another: new ones take connections once the old ones take none, so that nobody sees the new file and then the old one again.
-- NGINX's master starts new workers, waits a tenth of a second and tells the old ones to end; connections that come in between wait in the kernel. In: what marks a file. Out: nothing.
local ffi = require("ffi")
local config = ngx.shared.weir_state
local LONGEST, LOOK, FOREVER = 500, 1, 100000000
local turn = {}

ffi.cdef("int usleep(unsigned int microseconds);")

function turn.begin(mark)
  math.randomseed(ngx.now() * 1000 + ngx.worker.pid())
  local before = config:get("turn")
  if before and before ~= mark and (config:get("left " .. before) or 0) == 0 then
    for _ = 1, LONGEST, LOOK do
      if (config:get("left " .. before) or 0) >= (config:get("workers " .. before) or 1) then break end
      ffi.C.usleep(LOOK * 1000)
    end
  end
  config:set("turn", mark)
  config:set("workers " .. mark, ngx.worker.count())
  config:delete("left " .. mark)
  ngx.timer.at(FOREVER, function(ends)
    if ends then config:incr("left " .. mark, 1, 0, 60) end
  end)
end

return turn
