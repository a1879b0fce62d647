"""One load balancer's answer to one request, with everything that decided it.

Comes in: a `LoadBalancerConfig` and a `Request`. Goes out: an `Answer`, a value that prints as text or JSON. What findings the objects carry and what the
engine said is added by whoever knows it.
"""

from typing import NamedTuple, assert_never

import msgspec
import re2

from weirkeeper.compose.explain.backends import BackendSeen, backends_seen
from weirkeeper.compose.explain.hosts import HostTried, certificate_for, host_for, hosts_of, listener_for
from weirkeeper.compose.explain.request import STREAMS, Request, normalised
from weirkeeper.compose.explain.streams import Taken, stream_taken
from weirkeeper.compose.explain.verdicts import Verdict, verdicts
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.filters import Deny, FullPath, PathRewrite, PrefixPath, RegexSubstitution
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import ExactPath, RegexPath, SegmentPrefix, StringPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Redirect, Respond, Route
from weirkeeper.model.secret import hide
from weirkeeper.model.text import Hostname, Id, Sentence, Timestamp
from weirkeeper.model.value import Value


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


class ObjectWord(Value, frozen=True, kw_only=True):
    """What is said of an object that had, or might have had, a part in the answer: a condition of its status, or a consent that it gives. ``part`` is its listener or parent."""

    object: Ref
    part: str = ""
    type: str
    status: str = ""
    reason: str = ""
    message: Sentence = Sentence("")


class Answer(Value, frozen=True, kw_only=True):
    """What one load balancer does with the request, and why. ``stream``: it is led on as bytes, without a look at what passes."""

    load_balancer: Id
    request: Request
    path: str
    status: int | None = None
    summary: Sentence
    stream: bool = False
    decided_by: Origin | None = None
    also: tuple[Origin, ...] = ()
    place: str = ""
    rule: str = ""
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
    objects: tuple[ObjectWord, ...] = ()


def answer(config: LoadBalancerConfig, request: Request) -> Answer:
    """The answer. ``status`` is set where the load balancer answers by itself."""
    listener = None if request.scheme in STREAMS else listener_for(config.listeners, request)
    stream = stream_taken(config, request, listener)
    if stream is not None:
        return _Seen(config, request, request.path, stream.listener).streamed(stream)
    if listener is None:
        place = f" at port {request.port}" if request.port and request.scheme in STREAMS else ""
        return _Seen(config, request, request.path).answer(f"nothing listens for {request.scheme}{place} here")
    certificate = (
        certificate_for(config.certificates, request.host, listener.tls) if request.scheme == "https" else None
    )
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

    def streamed(self, taken: Taken) -> Answer:
        """The answer of a route of bytes, or of none."""
        judged, route = taken.considered, taken.route
        if route is None:
            return msgspec.structs.replace(
                self.answer(f"{taken.refusal}: no route takes it", considered=judged), stream=True
            )
        backends = backends_seen(self.config, route.forward)
        served = [one for one in backends if one.share > 0]
        summary = f"{taken.what} to {' or '.join(_share(one) for one in served)}"
        if not any(one.usable or one.note for one in served):
            summary = f"{taken.refusal}: no endpoint of the backend is ready"
        plain = self.answer(summary, considered=judged)
        return msgspec.structs.replace(plain, stream=True, decided_by=route.origin, route=route.id, backends=backends)

    def routed(self, route: Route, hostname: Hostname, judged: tuple[Verdict, ...]) -> Answer:
        """The answer of a route."""
        backends = backends_seen(self.config, route.action) if isinstance(route.action, Forward) else ()
        status, summary = _summary(route, backends)
        plain = self.answer(summary, status=status, hostname=hostname, considered=judged)
        return msgspec.structs.replace(
            plain, decided_by=route.origin, also=route.also, rule=route.rule_name or "", route=route.id, backends=backends, settings=settings_of(route),
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
