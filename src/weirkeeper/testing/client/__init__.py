"""Clients that send exactly what a test says and show exactly what came back.

    get("http://shop.example/cart", via=port).echo.name              # Host (and SNI) from the URL, connected to loopback
    get("https://127.0.0.1:8443/", host="b.example", sni="a.example").fingerprint
    async with Http1Connection(Target(port=port)) as one:            # several requests on one connection
        await one.request("/a%2fb", host="SHOP.example", headers=[("X-A", "1"), ("x-a", "2")])
    async with Http2Connection(Target(port=port, tls=ClientTls(sni="a.example", alpn=("h2",)))) as two:
        await asyncio.gather(two.request("/", host="a.example"), two.request("/", host="b.example"))
    async with WebSocket.open(Target(port=port), "/ws", host="shop.example") as socket:
        await socket.exchange("hello")
    async with Http2Connection(Target(port=port)) as two:
        await grpc_unary(two, "/shop.Cart/Add", b"message", host="shop.example")

`fetch` is `get` for callers with an event loop. Nothing is normalised, no redirect is followed, nothing is repeated.
"""

from weirkeeper.testing.client.fetch import fetch, get
from weirkeeper.testing.client.grpc import GrpcCall, GrpcReply, grpc_unary
from weirkeeper.testing.client.http1 import Http1Connection
from weirkeeper.testing.client.http2 import Http2Connection, Http2Stream
from weirkeeper.testing.client.response import AnswerLost, Response
from weirkeeper.testing.client.target import ClientTls, Target
from weirkeeper.testing.client.websocket import UpgradeRefused, WebSocket

__all__ = [
    "AnswerLost",
    "ClientTls",
    "GrpcCall",
    "GrpcReply",
    "Http1Connection",
    "Http2Connection",
    "Http2Stream",
    "Response",
    "Target",
    "UpgradeRefused",
    "WebSocket",
    "fetch",
    "get",
    "grpc_unary",
]
