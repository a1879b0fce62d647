"""The table of requests and answers: what its rows are, and how they are asked of one engine.

A place is a few objects with a host of their own; a row is one request to it and what must come of it: who answers, with which status, what the backend saw, what the client got. In texts `{h}` is the
place's host, `{n}` its namespace, `{p}` and `{s}` the ports of HTTP and HTTPS. `{me}` is the client's address, of which Envoy says its own where it is a loopback one.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from weirkeeper.model.features import Capabilities
from weirkeeper.testing.client import Response
from weirkeeper.testing.client import fetch as fetched
from weirkeeper.testing.conformance import Site
from weirkeeper.testing.conformance.site import Manifest
from weirkeeper.testing.eventually import poll_until

AT_ONCE = 16
AWAY = 0
"""The status of a row whose connection must not come about."""
Texts = Mapping[str, str | None]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer. `to` is the backend that must answer, `seen` the path that it must see (as asked, where nothing is said). A header that is None must be absent.
    `but` names engines that answer otherwise, and why.
    """

    path: str
    to: str | None = None
    status: int = 200
    method: str = "GET"
    host: str = "{h}"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    scheme: str = "http"
    http2: bool = False
    sni: str | None = None
    trust: bytes | None = None
    seen: str | None = None
    sent: Texts = msgspec.field(default_factory=dict)
    got: Texts = msgspec.field(default_factory=dict)
    text: str | None = None
    but: Mapping[str, str] = msgspec.field(default_factory=dict)


def row(path: str, answer: str | int, **more: Any) -> Row:
    """A request that a backend answers (its name), or the load balancer does (a status)."""
    return Row(path=path, to=answer, **more) if isinstance(answer, str) else Row(path=path, status=answer, **more)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Objects, the features that they need, and requests."""

    name: str
    features: tuple[str, ...] = ()
    given: Callable[[Site], Iterable[Manifest]]
    rows: tuple[Row, ...]

    def lacking(self, capabilities: Capabilities) -> frozenset[str]:
        """What an engine does not claim of it, or claims by an approximation only."""
        return frozenset(self.features) - capabilities.supported


def place(name: str, features: str, given: Callable[[Site], Iterable[Manifest]], *rows: Row) -> Place:
    """A place of the table."""
    return Place(name=name, features=tuple(features.split()), given=given, rows=rows)


def prepared(site: Site, one: Place) -> None:
    """The place's objects are handed over."""
    backends = site.backends
    site.apply(*site.service("a", backends.a.port), *site.service("b", backends.b.port), *one.given(site))


def awaited(site: Site, rows: Sequence[Row], port: int = 0) -> None:
    """Waits until these rows are right; all others must be right at once then."""
    left: list[str] = []

    def right() -> bool:
        left[:] = differences(site, rows, port)
        return not left

    try:
        poll_until(right, 20.0, what="the first rows")
    except AssertionError as error:
        raise AssertionError(f"{error}: {left}; {site.findings()}") from None


def differences(site: Site, rows: Sequence[Row], port: int = 0) -> list[str]:
    """What is not as its row says, in words; of the site's own ports, or of this one."""
    answers = asyncio.run(_answers(site, rows, port))
    return [f"{one.method} {one.host}{one.path} {dict(one.headers)}: {why}" for one, got in zip(rows, answers, strict=True) for why in _wrong(site, one, got)]


async def _answers(site: Site, rows: Sequence[Row], port: int) -> list[Response | None]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(one: Row) -> Response | None:
        async with gate:
            try:
                return await _ask(site, one, port)
            except (OSError, TimeoutError, asyncio.IncompleteReadError):
                return None

    return await asyncio.gather(*(ask(one) for one in rows))


async def _ask(site: Site, one: Row, port: int) -> Response:
    address, port = site.stage.rig.reach(port or (site.stage.https_port if one.scheme == "https" else site.stage.http_port))
    host = told(site, one.host)
    return await fetched(
        f"{one.scheme}://{host}{told(site, one.path)}", via=port, address=address, host=host, method=one.method, body=one.body,
        headers=[(name, told(site, text)) for name, text in one.headers], http2=one.http2, sni=None if one.sni is None else told(site, one.sni), trust=one.trust,
    )  # fmt: skip


def told(site: Site, text: str) -> str:
    """A text with the names and ports of this site."""
    known = {"{h}": site.host, "{n}": site.namespace, "{p}": str(site.stage.http_port), "{s}": str(site.stage.https_port)}
    for mark, value in known.items():
        text = text.replace(mark, value)
    return text


@lru_cache(maxsize=1)
def own_address() -> str:
    """The address of this machine that others would see; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, contextlib.suppress(OSError):
        one.connect(("192.0.2.1", 9))
        return str(one.getsockname()[0])
    return "127.0.0.1"


def _wrong(site: Site, one: Row, got: Response | None) -> Iterator[str]:
    if got is None:
        if one.status != AWAY:
            yield "no answer"
        return
    backend = got.header("x-echo-name")
    if (got.status, backend) != (one.status, one.to):
        yield f"{got.status} of {backend or 'the load balancer'}, not {one.status} of {one.to or 'the load balancer'}"
        return
    yield from _headers("the client got", {name: ",".join(got.all_headers(name)) if got.header(name) is not None else None for name in one.got}, site, one.got)
    if one.text is not None and got.text != told(site, one.text):
        yield f"the text {got.text!r}"
    if one.to is not None and one.method != "HEAD" and got.body:
        echo = got.echo
        if echo.path != told(site, one.path if one.seen is None else one.seen):
            yield f"the backend saw {echo.path}"
        if (echo.method, echo.body) != (one.method, one.body.decode("latin-1")):
            yield f"the backend saw {echo.method} {echo.body!r}"
        yield from _headers("the backend saw", {name: ",".join(echo.all_headers(name)) if echo.header(name) is not None else None for name in one.sent}, site, one.sent)


def _headers(who: str, found: Texts, site: Site, wished: Texts) -> Iterator[str]:
    for name, text in wished.items():
        right, seen = None if text is None else told(site, text), found[name]
        if seen is None or right is None:
            if seen != right:
                yield f"{who} {name}: {seen!r}, not {right!r}"
        elif right == "{me}":
            if seen not in {"127.0.0.1", own_address()}:
                yield f"{who} {name}: {seen!r}"
        elif seen.replace(", ", ",") != right.replace(", ", ","):
            yield f"{who} {name}: {seen!r}, not {right!r}"
