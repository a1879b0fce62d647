"""One request by URL, on a connection of its own: `fetch` in an event loop, `get` without one.

In: a URL whose path and query are sent as they stand. Out: `Response`.
"""

import asyncio

import msgspec

from weirkeeper.testing.certificates import PemPair
from weirkeeper.testing.client.http1 import LIMIT, Headers, Http1Connection
from weirkeeper.testing.client.http2 import Http2Connection
from weirkeeper.testing.client.response import Response
from weirkeeper.testing.client.target import ClientTls, Target


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A URL cut in pieces, nothing decoded."""

    secure: bool
    authority: str
    path: str

    @property
    def name(self) -> str:
        """The host without port and brackets."""
        name, _, port = self.authority.rpartition(":")
        return (name if name and port.isdecimal() else self.authority).strip("[]")

    @property
    def port(self) -> int:
        """The port that is written, or the scheme's."""
        name, _, port = self.authority.rpartition(":")
        return int(port) if name and port.isdecimal() else 443 if self.secure else 80


def cut(url: str) -> Wish:
    """The pieces of an http or https URL; a fragment is no part of a request and would be sent."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("http", "https"):
        raise ValueError(f"no http or https URL: {url!r}")
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    path = rest[end:] or "/"
    return Wish(secure=scheme == "https", authority=rest[:end], path=path if path.startswith("/") else "/" + path)


async def fetch(
    url: str,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: Headers = (),
    body: bytes = b"",
    via: int | None = None,
    address: str | None = None,
    sni: str | None = None,
    trust: bytes | None = None,
    pair: PemPair | None = None,
    http2: bool = False,
    prefix: bytes = b"",
    source: str | None = None,
    limit: float = LIMIT,
) -> Response:
    """The answer to one request.

    `via` connects to that port on loopback whatever the URL says, so that URLs in tests are those of users. Host (or
    :authority) and SNI are the URL's unless `host` and `sni` say otherwise; `sni=""` sends none.
    """
    wish = cut(url)
    tls = None
    if wish.secure:
        name = wish.name if sni is None else sni
        tls = ClientTls(sni=name, trust=trust, pair=pair, alpn=("h2",) if http2 else ("http/1.1",))
    place = address or ("127.0.0.1" if via is not None or wish.name == "localhost" else wish.name)
    target = Target(port=via or wish.port, address=place, tls=tls, prefix=prefix, source=source)
    asked = wish.authority if host is None else host
    if http2:
        async with Http2Connection(target, limit=limit) as two:
            return await two.request(wish.path, method=method, host=asked, headers=headers, body=body)
    async with Http1Connection(target, limit=limit) as one:
        sent = [*headers, ("Connection", "close")]
        return await one.request(wish.path, method=method, host=asked, headers=sent, body=body)


def get(
    url: str,
    *,
    method: str = "GET",
    host: str | None = None,
    headers: Headers = (),
    body: bytes = b"",
    via: int | None = None,
    address: str | None = None,
    sni: str | None = None,
    trust: bytes | None = None,
    pair: PemPair | None = None,
    http2: bool = False,
    prefix: bytes = b"",
    source: str | None = None,
    limit: float = LIMIT,
) -> Response:
    """`fetch` for callers without an event loop."""
    wished = fetch(
        url,
        method=method,
        host=host,
        headers=headers,
        body=body,
        via=via,
        address=address,
        sni=sni,
        trust=trust,
        pair=pair,
        http2=http2,
        prefix=prefix,
        source=source,
        limit=limit,
    )
    return asyncio.run(wished)
