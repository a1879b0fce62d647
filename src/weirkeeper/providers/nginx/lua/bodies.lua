-- Bodies of requests that are read whole before they are led anywhere: held in memory, or in a file of NGINX's own, which lives as long as whoever holds it. In: what NGINX has of a request.
-- Out: a body that can be sent on, also once its request has ended.
local PART = 65536
local bodies = {}

-- Whether a request may last as long as a call does: a body like that is not waited for.
function bodies.lasts(request)
  return (request:header("content-type") or ""):lower():sub(1, 16) == "application/grpc"
end

function bodies.of(text)
  return { size = #text, text = text }
end

-- The body of the request; nothing where NGINX's file of it cannot be opened. It must be let go.
function bodies.read()
  ngx.req.read_body()
  local text = ngx.req.get_body_data()
  local name = not text and ngx.req.get_body_file()
  if not name then return bodies.of(text or "") end
  local file = io.open(name, "rb")
  return file and { size = file:seek("end"), file = file }
end

function bodies.send(body, socket)
  if body.text then return socket:send(body.text) end
  body.file:seek("set")
  for part in function() return body.file:read(PART) end do
    local ok, why = socket:send(part)
    if not ok then return nil, why end
  end
  return true
end

function bodies.let_go(body)
  if body and body.file then body.file:close() end
end

return bodies
