"""One load balancer's answer to one request, with everything that decided it.

Comes in: a `LoadBalancerConfig` and a `Request`. Goes out: an `Answer`, a value that prints as text or JSON. What findings the objects carry and what the
engine said is added by whoever knows it.
"""

from typing import NamedTuple, assert_never

import msgspec
import re2

from weirkeeper.compose.explain.hosts import HostTried, certificate_for, host_for, hosts_of, listener_for
from weirkeeper.compose.explain.request import Request, normalised
from weirkeeper.compose.explain.verdicts import Verdict, verdicts
from weirkeeper.model.backend import Backend, FromDns, FromEndpointSet, FromServiceAddress
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.endpoint import Endpoint
from weirkeeper.model.filters import Deny, FullPath, PathRewrite, PrefixPath, RegexSubstitution
from weirkeeper.model.finding import Finding
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import ExactPath, RegexPath, SegmentPrefix, StringPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Redirect, Respond, Route
from weirkeeper.model.secret import hide
from weirkeeper.model.text import Hostname, Id, Sentence, Timestamp
from weirkeeper.model.value import Value


class BackendSeen(Value, frozen=True, kw_only=True):
    """A backend of the route, its share of requests in percent, and its members; those in ``usable`` get requests."""

    id: Id
    share: float
    protocol: str = ""
    tls: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    usable: int = 0
    note: Sentence = Sentence("")


class CertificateSeen(Value, frozen=True, kw_only=True):
    """The certificate that a client is shown."""

    id: Id
    names: tuple[Hostname, ...] = ()
    default: bool = False
    not_after: Timestamp = Timestamp("")
    origin: Origin


class Setting(Value, frozen=True, kw_only=True):
    """One thing that the route does besides forwarding: the field of the neutral route, and its value as JSON."""

    field: str
    value: str


class EngineWord(Value, frozen=True, kw_only=True):
    """What the engine says about one item that the route became."""

    kind: str
    name: str
    state: str
    message: Sentence = Sentence("")


class Answer(Value, frozen=True, kw_only=True):
    """What one load balancer does with the request, and why."""

    load_balancer: Id
    request: Request
    path: str
    status: int | None = None
    summary: Sentence
    decided_by: Origin | None = None
    also: tuple[Origin, ...] = ()
    place: str = ""
    listener: Id | None = None
    certificate: CertificateSeen | None = None
    hosts: tuple[HostTried, ...] = ()
    hostname: Hostname | None = None
    considered: tuple[Verdict, ...] = ()
    route: Id | None = None
    backend_path: str | None = None
    settings: tuple[Setting, ...] = ()
    backends: tuple[BackendSeen, ...] = ()
    findings: tuple[Finding, ...] = ()
    engine: tuple[EngineWord, ...] = ()


def answer(config: LoadBalancerConfig, request: Request) -> Answer:
    """The answer. ``status`` is set where the load balancer answers by itself."""
    listener = listener_for(config.listeners, request)
    if listener is None:
        return _Seen(config, request, request.path).answer(f"nothing listens for {request.scheme} here")
    certificate = certificate_for(config.certificates, request.host) if request.scheme == "https" else None
    path = normalised(request.path, listener.http)
    if not isinstance(path, str):
        return _Seen(config, request, request.path, listener, certificate).answer(f"400: {path.why}", status=400)
    host, tried = host_for(hosts_of(config.virtual_hosts, listener.group), request)
    seen = _Seen(config, request, path, listener, certificate, tuple(tried))
    if host is None:
        return seen.answer("404: no rules are there for this host", status=404)
    judged = verdicts(request, path, host.routes)
    taken = next((route for route, verdict in zip(host.routes, judged, strict=True) if verdict.taken), None)
    if taken is None:
        summary = "404: the host is known, but none of its routes takes this request"
        return seen.answer(summary, status=404, hostname=host.hostname, considered=tuple(judged))
    return seen.routed(taken, host.hostname, tuple(judged))


class _Seen(NamedTuple):
    """What is known before a route is looked for."""

    config: LoadBalancerConfig
    request: Request
    path: str
    listener: Listener | None = None
    certificate: Certificate | None = None
    tried: tuple[HostTried, ...] = ()

    def answer(
        self,
        summary: str,
        *,
        status: int | None = None,
        hostname: Hostname | None = None,
        considered: tuple[Verdict, ...] = (),
    ) -> Answer:
        """The answer of the load balancer itself."""
        return Answer(
            load_balancer=self.config.load_balancer.id,
            request=self.request,
            path=self.path,
            status=status,
            summary=Sentence(summary),
            listener=self.listener.id if self.listener else None,
            certificate=_certificate_seen(self.certificate),
            hosts=self.tried,
            hostname=hostname,
            considered=considered,
        )

    def routed(self, route: Route, hostname: Hostname, judged: tuple[Verdict, ...]) -> Answer:
        """The answer of a route."""
        backends = _backends_seen(self.config, route)
        status, summary = _summary(route, backends)
        plain = self.answer(summary, status=status, hostname=hostname, considered=judged)
        return msgspec.structs.replace(
            plain, decided_by=route.origin, also=route.also, route=route.id, backends=backends, settings=settings_of(route),
            backend_path=backend_path(route, self.path) if isinstance(route.action, Forward) else None,
        )  # fmt: skip


def _summary(route: Route, backends: tuple[BackendSeen, ...]) -> tuple[int | None, str]:
    denied = next((one for one in route.auth if isinstance(one, Deny)), None)
    if denied is not None:
        return denied.status, f"{denied.status}: nobody passes, since what guards the route cannot be fulfilled"
    match route.action:
        case Respond(status=status):
            return status, f"{status}: the load balancer answers by itself"
        case Redirect() as redirect:
            return redirect.status, f"{redirect.status}: redirected to {_target(redirect)}"
        case Forward():
            served = [one for one in backends if one.share > 0]
            if not served:
                return 503, "503: the route has no backend with a weight"
            if not any(one.usable or one.note for one in served):
                return 503, "503: no endpoint of the backend is ready"
            return None, "forwarded to " + " or ".join(_share(one) for one in served) + _guarded(route)
        case _:
            assert_never(route.action)


def _guarded(route: Route) -> str:
    """Who may refuse the request before that."""
    guards = (("ip_rules", route.ip_rules), ("auth", route.auth), ("rate_limits", route.rate_limits))
    names = [name for name, guard in guards if guard]
    return f", unless {' or '.join(names)} refuse it" if names else ""


def _share(one: BackendSeen) -> str:
    return one.id if one.share >= 100 else f"{one.id} ({one.share:g} %)"


def _target(redirect: Redirect) -> str:
    if redirect.to:
        return redirect.to
    path = redirect.path.value if isinstance(redirect.path, FullPath | PrefixPath) else "the same path"
    port = f", port {redirect.port}" if redirect.port else ""
    return f"{redirect.scheme or 'the same scheme'}, {redirect.host or 'the same host'}{port}, {path}"


def _certificate_seen(found: Certificate | None) -> CertificateSeen | None:
    if found is None:
        return None
    return CertificateSeen(
        id=found.id, names=found.names, default=found.default, not_after=found.not_after, origin=found.origin
    )


def _backends_seen(config: LoadBalancerConfig, route: Route) -> tuple[BackendSeen, ...]:
    if not isinstance(route.action, Forward):
        return ()
    known = {backend.id: backend for backend in config.backends}
    sets = {members.id: members for members in config.endpoint_sets}
    total = sum(weighted.weight for weighted in route.action.backends)
    seen = []
    for weighted in route.action.backends:
        share = round(100 * weighted.weight / total, 2) if total else 0.0
        backend = known.get(weighted.backend)
        if backend is None:
            seen.append(BackendSeen(id=weighted.backend, share=share, note=Sentence("")))
            continue
        source = backend.source
        members = sets.get(source.id) if isinstance(source, FromEndpointSet) else None
        seen.append(BackendSeen(
            id=backend.id, share=share, protocol=backend.protocol, tls=backend.tls is not None,
            endpoints=members.endpoints if members else (), usable=len(members.usable) if members else 0,
            note=_source_note(backend),
        ))  # fmt: skip
    return tuple(seen)


def _source_note(backend: Backend) -> Sentence:
    match backend.source:
        case FromEndpointSet():
            return Sentence("")
        case FromDns(name=name, port=port):
            return Sentence(f"found by DNS: {name}:{port}")
        case FromServiceAddress(id=name):
            return Sentence(f"the Service's own address ({name})")
        case _:
            assert_never(backend.source)


_TOLD_ELSEWHERE = frozenset({"id", "match", "action", "origin", "priority", "created_at", "rule_name", "also"})


def settings_of(route: Route) -> tuple[Setting, ...]:
    """Every field of the route that is not as usual, so that none can be forgotten here."""
    found = []
    for field in msgspec.structs.fields(route):
        value = getattr(route, field.name)
        if field.name not in _TOLD_ELSEWHERE and value != field.default:
            text = msgspec.json.encode(value, enc_hook=hide).decode()
            found.append(Setting(field=field.name, value=text))
    return tuple(found)


def backend_path(route: Route, path: str) -> str:
    """The path that the backend sees."""
    rewrite = route.rewrite.path if route.rewrite else None
    return path if rewrite is None else _rewritten(rewrite, route, path)


def _rewritten(rewrite: PathRewrite, route: Route, path: str) -> str:
    match rewrite:
        case FullPath(value=value):
            return value
        case PrefixPath(value=value):
            rest = path[_matched(route, path) :]
            made = value.rstrip("/") + rest if rest.startswith("/") else value + rest
            return made or "/"
        case RegexSubstitution(pattern=pattern, substitution=substitution):
            return str(re2.sub(pattern, substitution, path))
        case _:
            assert_never(rewrite)


def _matched(route: Route, path: str) -> int:
    """How many characters of the path the route's condition stands for."""
    match route.match.path:
        case ExactPath():
            return len(path)
        case SegmentPrefix(value=value):
            return len(value.rstrip("/"))
        case StringPrefix(value=value):
            return len(value)
        case RegexPath():
            return 0
        case _:
            assert_never(route.match.path)
