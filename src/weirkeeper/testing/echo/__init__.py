"""A backend that answers with what it saw. HTTP/1.1, HTTP/2 (clear and TLS), WebSocket, SSE, gRPC; one port for all.

`async with EchoServer(name="a") as echo:` runs it in the present event loop, `with echo_thread(...)` in a thread of its
own, `python -m weirkeeper.testing.echo` and `echo_process` in a process of its own.

Steering, by query or by request header (`?status=503` or `x-echo-status: 503`): status, delay (seconds), bytes (size of the
body), abort (`before`: no answer; `middle`: half an answer). Each `x-echo-set-header: name:value` comes back as a response
header. Every answer carries `x-echo-name`. `/__count` with the header `x-echo-control: 1` tells how many requests came.
"""

from weirkeeper.testing.echo.answer import EchoReply, Request, Tls
from weirkeeper.testing.echo.run import echo_process, echo_thread
from weirkeeper.testing.echo.server import EchoServer

__all__ = ["EchoReply", "EchoServer", "Request", "Tls", "echo_process", "echo_thread"]
