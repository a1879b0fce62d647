"""Backends and their members as entries; and the way that a request must take for one. Pure.

Comes in: a backend, what a route wishes besides. Goes out: what Lua reads of it, and a ``Way`` where NGINX must be told in its file.
"""

from collections.abc import Callable

from weirkeeper.model.backend import Backend, BackendTls, FromDns, HealthCheck, Limits, PassiveHealth
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.filters import ErrorPages, Retry
from weirkeeper.model.text import Id
from weirkeeper.providers.grpc_health import question
from weirkeeper.providers.nginx.translate.items import ORDINARY, Way, bundle_file

SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt"
NOBODY = "nobody.invalid"
HTTP2 = frozenset({"h2c", "h2", "grpc"})
STATUSES = frozenset({403, 404, 429, 500, 502, 503, 504})
"""The answers that ``proxy_next_upstream`` knows."""
CONDITIONS = {
    "connect": ("error",),
    "reset": ("error",),
    "5xx": ("error", "timeout", "http_500", "http_502", "http_503", "http_504"),
    "gateway-error": ("http_502", "http_503", "http_504"),
    "refused-stream": ("error",),
}
VERSIONS = ("1.0", "1.1", "1.2", "1.3")
WRITTEN = {"1.0": "TLSv1", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3"}
Revoked = Callable[[Id], bool]
"""Whether authorities come with revocations."""


def backend(wished: Backend, revoked: Revoked) -> dict[str, object]:
    """The entry of a backend."""
    way = way_of(wished, revoked)
    tls = wished.tls
    found: dict[str, object | None] = {
        "source": None if isinstance(wished.source, FromDns) else wished.source.id,
        "balancing": _balancing(wished),
        "connect": max(wished.connect_timeout, 1),
        "http2": wished.protocol in HTTP2 or None,
        "tls": tls is not None or None,
        "name": name_of(tls) if tls else None,
        "certificate": tls.client_certificate if tls else None,
        "dns": {"name": wished.source.name, "port": wished.source.port} if isinstance(wished.source, FromDns) else None,
        "health": _health(wished) if wished.health else None,
        "passive": _passive(wished.passive_health) if wished.passive_health else None,
        "slow": wished.slow_start,
        "most": _most(wished.limits) if wished.limits else None,
        "via": way.name if way != ORDINARY else None,
        "ways": [way] if way != ORDINARY else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def endpoints(wished: EndpointSet) -> dict[str, object]:
    """The entry of an endpoint set."""
    return {"servers": [[one.address, one.port, one.weight] for one in wished.usable]}


def way_of(
    wished: Backend | None,
    revoked: Revoked,
    retry: Retry | None = None,
    pages: ErrorPages | None = None,
    body: int | None = None,
    *,
    late: bool = False,
    timed: bool = False,
) -> Way:
    """What a request that goes there needs of the file. ``late``: a try that takes too long is one that failed; ``timed``: the request has a limit of its own."""
    tls = wished.tls if wished else None
    again = _again(retry, late=late)
    return Way(
        timed=timed,
        again=again if again != ("error",) else (),
        body=body,
        codes=tuple(sorted(set(pages.codes))) if pages else (),
        http2=bool(wished and wished.protocol in HTTP2),
        tls=bool(tls and wished and wished.protocol in HTTP2),
        **_tls(tls, revoked),  # type: ignore[arg-type]
    )


def versions(least: str | None, most: str | None) -> tuple[str, ...]:
    """The versions of TLS between these, as NGINX writes them."""
    first, last = VERSIONS.index(least or "1.2"), VERSIONS.index(most or "1.3")
    return tuple(WRITTEN[one] for one in VERSIONS[first : last + 1])


def _tls(tls: BackendTls | None, revoked: Revoked) -> dict[str, object]:
    if tls is None:
        return {}
    limited = tls.min_version or tls.max_version
    return {
        "versions": versions(tls.min_version or "1.0", tls.max_version) if limited else (),
        "ciphers": tls.ciphers,
        "trust": trust_of(tls),
        "revoked": bool(tls.verify and tls.trust is not None and revoked(tls.trust)),
        "depth": tls.depth if tls.verify else None,
    }


def trust_of(tls: BackendTls) -> str:
    """The file of authorities by which a backend is verified; empty where it is not."""
    return (SYSTEM_TRUST if tls.system_trust else bundle_file(tls.trust or Id("none"))) if tls.verify else ""


def _health(wished: Backend) -> dict[str, object]:
    """How its endpoints are probed. What our Lua cannot speak is probed by whether a connection comes about: HTTP by HTTP/2, gRPC by TLS, and TLS where we must show a certificate."""
    asked, tls = wished.health or HealthCheck(), wished.tls
    shown = tls is not None and tls.client_certificate is not None
    unspoken = (
        shown or (asked.kind == "http" and wished.protocol in HTTP2) or (asked.kind == "grpc" and tls is not None)
    )
    kind = "tcp" if unspoken else asked.kind
    found: dict[str, object | None] = {
        "kind": kind,
        "tls": (tls is not None and not shown) or None,
        "path": asked.path if kind == "http" else None,
        "host": asked.host if kind == "http" else None,
        "question": question(asked.host or "localhost", tls=False).hex() if kind == "grpc" else None,
        "port": asked.port,
        "interval": asked.interval,
        "timeout": asked.timeout,
        "healthy": asked.healthy,
        "unhealthy": asked.unhealthy,
    }
    return {name: value for name, value in found.items() if value is not None}


def _passive(wished: PassiveHealth) -> dict[str, int]:
    return {
        "errors": wished.consecutive_errors,
        "ejection": wished.ejection,
        "percent": wished.max_ejected_percent,
    }


def _most(wished: Limits) -> int | None:
    """How many requests may be under way to it, those that another engine would let wait among them."""
    known = [
        number
        for number in (wished.requests, wished.connections and wished.connections + (wished.pending or 0))
        if number
    ]
    return min(known, default=None)


def name_of(tls: BackendTls) -> str | None:
    """The name that a backend is asked for is the one that its certificate is compared with. What is to be known by a URI alone is known by nobody: no host has a name that is none."""
    if not tls.verify:
        return tls.server_name
    return next(iter(tls.san_dns), NOBODY if tls.san_uri else tls.server_name)


def _again(wished: Retry | None, *, late: bool) -> tuple[str, ...]:
    if wished is None:
        return ()
    words = {word for condition in wished.conditions for word in CONDITIONS.get(condition, ())}
    words |= {f"http_{status}" for status in wished.statuses if status in STATUSES}
    words = words or {"error", "timeout"}
    words |= {"timeout"} if late else set()
    return tuple(sorted(words | ({"non_idempotent"} if wished.non_idempotent else set())))


def _balancing(wished: Backend) -> str | None:
    tag = type(wished.balancing).__struct_config__.tag
    return None if tag == "round-robin" else str(tag)
