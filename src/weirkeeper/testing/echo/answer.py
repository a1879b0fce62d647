"""What the echo backend answers to a request. Pure: a Request in, an Answer out; no sockets, no clock."""

from urllib.parse import parse_qs

import msgspec

MAX_BODY = 256 * 1024 * 1024


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """What the client showed in its handshake."""

    sni: str | None = None
    version: str | None = None
    alpn: str | None = None
    peer: str | None = None  # SHA-256 of the client certificate, hex


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came, nothing normalised; bytes are shown as latin-1 so that each one survives."""

    method: str
    path: str
    host: str
    headers: tuple[tuple[str, str], ...]
    protocol: str
    body: bytes = b""
    tls: Tls | None = None

    def header(self, name: str) -> str | None:
        """The first header of that name, any case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class EchoReply(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON body of an answer."""

    name: str
    method: str
    path: str
    host: str
    headers: tuple[tuple[str, str], ...]
    protocol: str
    tls: Tls | None = None
    body: str = ""

    def header(self, name: str) -> str | None:
        """The first request header of that name, any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all_headers(self, name: str) -> list[str]:
        """All request headers of that name, in their order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What to send: `abort` says where the connection is cut off instead."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0
    abort: str | None = None


def answer_to(request: Request, name: str) -> Answer:
    """The answer that the request asks for; a wish that cannot be read is a 400 that names it."""
    wishes = _wishes(request)
    try:
        status, delay = int(wishes.get("status", "200")), float(wishes.get("delay", "0"))
        size = int(wishes["bytes"]) if "bytes" in wishes else None
    except ValueError as error:
        return Answer(status=400, headers=(("x-echo-name", name),), body=str(error).encode("utf-8", "replace"))
    if not 200 <= status <= 999 or not 0 <= delay <= 3600 or not 0 <= (size or 0) <= MAX_BODY:
        return Answer(status=400, headers=(("x-echo-name", name),), body=b"a wish is out of its range")
    content = "application/json" if size is None else "application/octet-stream"
    body = echo_body(request, name) if size is None else b"x" * size
    wished = tuple(_set_headers(request))
    if not any(key.lower() == "content-type" for key, _ in wished):
        wished = (("content-type", content), *wished)
    headers = (("x-echo-name", name), *wished)
    return Answer(status=status, headers=headers, body=body, delay=delay, abort=wishes.get("abort"))


def echo_body(request: Request, name: str) -> bytes:
    """The JSON that tells what was seen."""
    return msgspec.json.encode(
        EchoReply(
            name=name,
            method=request.method,
            path=request.path,
            host=request.host,
            headers=request.headers,
            protocol=request.protocol,
            tls=request.tls,
            body=request.body.decode("latin-1"),
        )
    )


def _wishes(request: Request) -> dict[str, str]:
    _, _, query = request.path.partition("?")
    found = {key: values[0] for key, values in parse_qs(query, keep_blank_values=True).items()}
    named = {
        key.lower().removeprefix("x-echo-"): value for key, value in request.headers if key.lower()[:7] == "x-echo-"
    }
    return {
        key: {**found, **named}[key] for key in ("status", "delay", "bytes", "abort") if key in found or key in named
    }


def _set_headers(request: Request) -> list[tuple[str, str]]:
    wished = (value.partition(":") for key, value in request.headers if key.lower() == "x-echo-set-header")
    return [(name.strip(), value.strip()) for name, _, value in wished if name.strip()]
