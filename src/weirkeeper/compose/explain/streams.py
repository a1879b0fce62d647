"""Which route of bytes takes a connection: by its port, and for TLS by the name that the client asks for.

Comes in: a configuration and a request. Goes out: ``Taken``, with a verdict for each route of the port; nothing where the connection is one of HTTP. A client of HTTPS may be led on
unopened too: its connection is judged here first.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from weirkeeper.compose.explain.hosts import covers
from weirkeeper.compose.explain.request import STREAMS, Request
from weirkeeper.compose.explain.verdicts import Verdict
from weirkeeper.compose.l4 import EVERY_NAME
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Hostname, Sentence

_WHAT = {"passthrough": "TLS goes unopened", "terminate": "TLS ends here, and what is inside goes", None: "bytes go"}


class Taken(NamedTuple):
    """The route that takes a connection, or none, with the listener; ``what`` says how it is led on, ``refusal`` what becomes of it where nobody is there."""

    listener: Listener
    route: L4Route | None
    considered: tuple[Verdict, ...]
    what: str
    refusal: str


def stream_taken(config: LoadBalancerConfig, request: Request, http: Listener | None) -> Taken | None:
    """What takes the connection as bytes; ``http`` is the listener that would take it as HTTP."""
    listeners = {one.id: one for one in config.listeners}
    there = [(route, listeners[route.listener]) for route in config.l4_routes if route.listener in listeners]
    near = [(route, at) for route, at in there if _comes_in(request, route, at, http)]
    fitting = [(rank, route, at) for route, at in near if (rank := _best(request, route)) is not None]
    best = max(fitting, key=lambda row: row[0], default=None)
    if request.scheme not in STREAMS and (best is None or best[0] < _rank(_own(http), request.host)):
        return None
    bare = next(
        (one for one in config.listeners if one.protocol == request.scheme and request.port in {None, one.port}), None
    )
    listener = best[2] if best is not None else near[0][1] if near else bare
    if listener is None:
        return None
    route = best[1] if best is not None else None
    what = "datagrams go" if listener.protocol == "udp" else _WHAT[route.tls if route is not None else None]
    refusal = "datagrams are dropped" if listener.protocol == "udp" else "the connection is closed"
    return Taken(listener, route, tuple(_verdicts(request, (one for one, _ in near), route)), what, refusal)


def _own(http: Listener | None) -> Hostname:
    return http.hostname or EVERY_NAME if http is not None else Hostname("")


def _comes_in(request: Request, route: L4Route, at: Listener, http: Listener | None) -> bool:
    """Whether the connection reaches the route's port as what it looks for."""
    if request.scheme in {"tcp", "udp"}:
        return at.protocol == request.scheme and at.port == request.port
    if route.tls is None or request.scheme == "http":
        return False
    port = request.port or (http.port if http is not None and request.scheme == "https" else None)
    return port in {None, at.port}


def _best(request: Request, route: L4Route) -> tuple[bool, int] | None:
    """The narrowest of its names that takes the connection."""
    names = [name for name in route.sni or (EVERY_NAME,) if route.tls is None or covers(name, request.host)]
    return max((_rank(name, request.host) for name in names), default=None)


def _rank(name: Hostname, host: Hostname) -> tuple[bool, int]:
    return name == host, len(name)


def _verdicts(request: Request, routes: Iterable[L4Route], taken: L4Route | None) -> Iterator[Verdict]:
    for route in routes:
        names = ", ".join(route.sni) or "any name"
        why = "the narrowest name that fits"
        if route is not taken:
            fits = _best(request, route) is not None
            why = "fits too, but another route has a narrower name" if fits else f"{request.host} is not {names}"
        yield Verdict(
            route=route.id,
            origin=route.origin,
            match=f"TLS for {names}" if route.tls else f"everything at port {request.port}",
            taken=route is taken,
            lost_by=None if route is taken else "host",
            why=Sentence(why if route.tls else "the route of its port"),
        )
