"""A route and one backend of its to a section of HAProxy's: guards, edits, limits of time, how an endpoint is chosen, and the keywords of each server.

Comes in: a route that leads there, the backend. Goes out: a ``Section``; equal wishes give equal sections, so routes share them. A route without wishes to a backend
without wishes gives a section without lines, which the pool takes.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, assert_never

from weirkeeper.model.backend import (
    Backend,
    BackendTls,
    ConsistentHash,
    FromDns,
    HealthCheck,
    LeastRequest,
    Limits,
    PassiveHealth,
    PeakEwma,
    RandomChoice,
    RoundRobin,
)
from weirkeeper.model.filters import CookieAffinity, HashOn, Retry, Timeouts
from weirkeeper.model.route import Redirect, Respond, Route, WeightedBackend
from weirkeeper.model.text import Id
from weirkeeper.providers.haproxy.translate import cors
from weirkeeper.providers.haproxy.translate.asking import (
    AskedOf,
    cookies_rewritten,
    copied,
    pages_asked,
    pages_told,
    remembered,
)
from weirkeeper.providers.haproxy.translate.guards import guards
from weirkeeper.providers.haproxy.translate.headers import REQUEST, RESPONSE, edited, moved, rewritten
from weirkeeper.providers.haproxy.translate.items import Section, bundle_file, certificate_file, digest, readable
from weirkeeper.providers.haproxy.translate.probes import probe
from weirkeeper.providers.haproxy.translate.quoting import argument, literal, word
from weirkeeper.providers.haproxy.translate.redirects import answered, redirected, refused
from weirkeeper.providers.waits import ends_tries, shortest

CONNECT, IDLE = 5000, 60_000
RETRIED = frozenset({401, 403, 404, 408, 425, 500, 501, 502, 503, 504})
"""The statuses that ``retry-on`` knows (2.6)."""
CONDITIONS = {
    "connect": ("conn-failure",),
    "reset": ("empty-response",),
    "5xx": ("conn-failure", "empty-response", "response-timeout", "500", "501", "502", "503", "504"),
    "gateway-error": ("502", "503", "504"),
    "refused-stream": ("conn-failure",),
}
IDEMPOTENT = "GET HEAD OPTIONS TRACE PUT DELETE"
TLS_VERSIONS = {"1.0": "TLSv1.0", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3"}
HTTP2 = frozenset({"h2c", "h2", "grpc"})
UNAVAILABLE = 503
NOBODY = "nobody.invalid"
Revoked = Callable[[Id], bool]
"""Whether authorities come with revocations."""


class Around(NamedTuple):
    """What a section must know besides its route: default limits of time, which authorities come with revocations, and where others are asked."""

    defaults: Timeouts
    revoked: Revoked
    asked_of: AskedOf


def own_answer(route: Route, action: Redirect | Respond, around: Around) -> Section:
    """The section of a route that forwards nowhere."""
    rules = [answered(action)] if isinstance(action, Respond) else [*redirected(action, route.match.path)]
    edits = [line.replace(RESPONSE, "http-after-response", 1) for line in edited(route.response_headers, RESPONSE)]
    label = f"answer-{action.status}" if isinstance(action, Respond) else f"redirect-{action.status}"
    return named_section(label, (*guards(route, around.asked_of), *edits, *rules))


def refusing(status: int) -> Section:
    """A section that answers with a bare status."""
    return named_section(f"answer-{status}", (refused(status),))


def forwarding(route: Route, share: WeightedBackend, backend: Backend, around: Around) -> Section:
    """The section of a route that leads to this backend."""
    named = (backend.source.name, backend.source.port) if isinstance(backend.source, FromDns) else None
    lines = (
        *guards(route, around.asked_of),
        *pages_asked(route.error_pages, around.asked_of),
        *_full(backend.limits),
        *edited(route.request_headers, REQUEST),
        *edited(share.request_headers, REQUEST),
        *_told(route),
        *rewritten(route.rewrite, route.match.path, named[0] if named else None),
        *copied(route.mirrors, around.asked_of),
        *_balance(backend, route),
        *_times(route.timeouts, around.defaults, backend),
        *_retries(route.retry, late=ends_tries(route.timeouts, around.defaults, route.retry)),
        *probe(backend),
        *pages_told(route.error_pages, around.asked_of),
        *remembered(route),
        *cookies_rewritten(route.cookie_rewrites),
        *edited(share.response_headers, RESPONSE),
        *edited(route.response_headers, RESPONSE),
        *cors.told(route.cors),
        *moved(route.location_rewrites),
    )
    checked = backend.health is not None or backend.passive_health is not None
    source = None if isinstance(backend.source, FromDns) else backend.source.id
    return named_section(
        backend.id, lines, source=source, named=named, keywords=keywords(backend, around.revoked), checked=checked
    )


def named_section(label: str, lines: tuple[str, ...], **fields: object) -> Section:
    """A section under a name that holds a digest of all that is in it."""
    found = digest(*lines, "\0", *(f"{name}={value}" for name, value in sorted(fields.items())))
    return Section(name=f"{readable(label)}.{found}", lines=lines, **fields)  # type: ignore[arg-type]


def _full(limits: Limits | None) -> Iterator[str]:
    """Requests under way to the backend, the waiting ones among them: one more is answered 503."""
    if limits is None:
        return
    most = [limits.requests, limits.connections and limits.connections + (limits.pending or 0)]
    known = [number for number in most if number]
    if known:
        yield f"{refused(UNAVAILABLE)} if {{ be_conn gt {min(known)} }}"


def _told(route: Route) -> Iterator[str]:
    if not route.access_log:
        yield f"{REQUEST} set-log-level silent"
    if route.forwarded_prefix is not None:
        yield f"{REQUEST} set-header x-forwarded-prefix {literal(route.forwarded_prefix)}"
    if "websocket" not in route.upgrades:
        yield f"{refused(403)} if {{ req.hdr(upgrade) -m found }}"


def _balance(backend: Backend, route: Route) -> Iterator[str]:
    if isinstance(route.affinity, CookieAffinity):
        yield from _cookie(route.affinity)
    match backend.balancing:
        case RoundRobin():
            return
        case LeastRequest() | PeakEwma():
            yield "balance leastconn"
        case RandomChoice():
            yield "balance random(1)"
        case ConsistentHash():
            if isinstance(route.affinity, HashOn):
                yield f"balance hash {word(_hashed(route.affinity))}"
                yield "hash-type consistent"
        case _:
            assert_never(backend.balancing)


def _hashed(wished: HashOn) -> str:
    name = argument(wished.name or "")
    match wished.on:
        case "ip":
            return "src"
        case "header":
            return f"req.fhdr({name})"
        case "cookie":
            return f"req.cook({name})"
        case "query":
            return f"url_param({name})"
        case "host":
            return "var(txn.host)"
        case "path" | "uri":
            return "pathq"
        case "path-only":
            return "path"
        case _:
            assert_never(wished.on)


def _cookie(wished: CookieAffinity) -> Iterator[str]:
    words = ["cookie", word(wished.name), "insert", "indirect", "nocache", "dynamic"]
    words += ["httponly"] * wished.http_only + ["secure"] * wished.secure
    domain = (wished.domain or "").removeprefix("*.").strip("*")
    words += ["domain", word(domain)] if domain else []
    path = (wished.path or "").partition(";")[0]  # no attribute of a cookie holds one (RFC 6265, 4.1.1)
    attributes: list[tuple[str, str | None]] = [("Path", path), ("SameSite", wished.same_site)]
    attributes += [("Max-Age", str(wished.ttl // 1000))] if wished.ttl is not None else []
    words += [text for name, value in attributes if value for text in ("attr", word(f"{name}={value}"))]
    yield " ".join(words)
    yield "dynamic-cookie-key weirkeeper"


def _times(wished: Timeouts, defaults: Timeouts, backend: Backend) -> Iterator[str]:
    """The limit on each wait for the backend. An upgraded connection has the idle limit alone."""
    idle = wished.idle if wished.idle is not None else defaults.idle
    wait = shortest(wished, defaults) or IDLE
    if wait != IDLE:
        yield f"timeout server {wait}ms"
    if idle and idle != IDLE:
        yield f"timeout tunnel {idle}ms"
    if backend.connect_timeout != CONNECT:
        yield f"timeout connect {max(backend.connect_timeout, 1)}ms"


def _retries(wished: Retry | None, *, late: bool) -> Iterator[str]:
    """``late``: a try that takes too long is one that failed."""
    if wished is None:
        return
    names = [name for condition in wished.conditions for name in CONDITIONS.get(condition, ())]
    names += [str(status) for status in wished.statuses if status in RETRIED]
    names += ["response-timeout"] * late
    yield f"retries {max(wished.attempts, 0)}"
    yield "retry-on " + (" ".join(dict.fromkeys(names)) or "conn-failure")
    if not wished.non_idempotent:
        yield f"{REQUEST} disable-l7-retry unless {{ method {IDEMPOTENT} }}"


def keywords(backend: Backend, revoked: Revoked) -> tuple[str, ...]:
    """The words behind the address of each server; they become words of a file or of a command later."""
    words = [*_tls(backend.tls, revoked)]
    if backend.protocol in HTTP2:
        words += ["proto", "h2", *(["alpn", "h2"] if backend.tls else [])]
    if backend.send_proxy_protocol is not None:
        words.append("send-proxy" if backend.send_proxy_protocol == "v1" else "send-proxy-v2")
    if backend.slow_start:
        words += ["slowstart", f"{backend.slow_start}ms"]
    words += _checks(backend.health, backend.passive_health)
    if backend.tls and backend.health is not None and backend.health.kind == "grpc":
        words += ["check-alpn", "h2"]
    return tuple(words)


def _checks(health: HealthCheck | None, passive: PassiveHealth | None) -> list[str]:
    words: list[str] = []
    if health is not None:
        words += ["check", "inter", f"{max(health.interval, 1)}ms"]
        words += ["rise", str(max(health.healthy, 1)), "fall", str(max(health.unhealthy, 1))]
        words += ["port", str(health.port)] if health.port is not None else []
    elif passive is not None:
        words += ["check", "inter", f"{max(passive.ejection, 1)}ms", "rise", "1", "fall", "1"]
    if passive is not None:
        limit = str(max(passive.consecutive_errors, 1))
        words += ["observe", "layer7", "error-limit", limit, "on-error", "mark-down"]
    return words


def _tls(wished: BackendTls | None, revoked: Revoked) -> list[str]:
    if wished is None:
        return []
    words = ["ssl", *_verified(wished, revoked)]
    if wished.client_certificate is not None:
        words += ["crt", certificate_file(wished.client_certificate)]
    if name := _name(wished):
        words += ["sni", f"str({argument(name)})"]
    if wished.min_version:
        words += ["ssl-min-ver", TLS_VERSIONS[wished.min_version]]
    if wished.max_version:
        words += ["ssl-max-ver", TLS_VERSIONS[wished.max_version]]
    return [*words, *(["ciphers", ":".join(wished.ciphers)] if wished.ciphers else [])]


def _verified(wished: BackendTls, revoked: Revoked) -> list[str]:
    if not wished.verify:
        return ["verify", "none"]
    name = _name(wished)
    words = [
        "verify",
        "required",
        "ca-file",
        "@system-ca" if wished.system_trust else bundle_file(wished.trust or Id("none")),
    ]
    if wished.trust is not None and revoked(wished.trust):
        words += ["crl-file", bundle_file(wished.trust)]
    return [*words, *(["verifyhost", name] if name else [])]


def _name(wished: BackendTls) -> str | None:
    """The one name that a backend is asked for and known by, the first: HAProxy compares the name that it asks for, whatever ``verifyhost`` says. What is to be
    known by a URI alone is known by nobody: no host has a name that is none.
    """
    if not wished.verify:
        return wished.server_name
    return next(iter(wished.san_dns), NOBODY if wished.san_uri else wished.server_name)


STANDING = tuple(refusing(status) for status in (404, 421, 500, 503))
"""Sections that are always there: what most hosts need needs no reload."""
