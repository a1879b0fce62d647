"""Rules of HTTPRoutes and GRPCRoutes: one model route for each match, whatever the route hangs on.

Comes in: a route. Goes out: ``Translated``: its routes in the order of rules and matches, with all that they need, and what is wrong. Hosts and ports are put in where it is attached
(``routes``). A rule that cannot be used as it is written matches on and is answered 500.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from weirkeeper.controllers.base import CertificateWish, EndpointSetWish
from weirkeeper.controllers.gateway.durations import milliseconds
from weirkeeper.controllers.gateway.filters import Filtered, backend_rewrite, filtered, header_edit
from weirkeeper.controllers.gateway.matches import WrongMatch, grpc_match, http_match
from weirkeeper.controllers.gateway.references import Gathered
from weirkeeper.controllers.gateway.sessions import at_path, outlives_browser, session
from weirkeeper.controllers.shared.report import error, field, warning
from weirkeeper.kube.conditions import Judgement
from weirkeeper.kube.gateway_experimental import SessionPersistence
from weirkeeper.kube.gateway_routes import (
    GrpcMatch,
    GRPCRoute,
    GrpcRule,
    HttpBackendReference,
    HttpMatch,
    HttpRetry,
    HTTPRoute,
    HttpRule,
    HttpTimeouts,
    RouteFilter,
)
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.filters import Affinity, Retry, Timeouts
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Action, Forward, Respond, Route, WeightedBackend
from weirkeeper.model.text import Id, Label, Refused, parse, shown
from weirkeeper.model.value import Milliseconds, Value

BROKEN = Respond(status=500)
MOST_WEIGHT = 1_000_000


class Translated(Value, frozen=True, kw_only=True):
    """A route without its hosts. ``rules`` counts them; ``broken`` says of each that cannot be used why."""

    routes: tuple[Route, ...] = ()
    backends: tuple[Backend, ...] = ()
    endpoint_sets: tuple[EndpointSetWish, ...] = ()
    certificates: tuple[CertificateWish, ...] = ()
    trust_bundles: tuple[TrustBundle, ...] = ()
    resolved: Judgement
    rules: int = 0
    broken: tuple[str, ...] = ()
    services: tuple[Ref, ...] = ()
    findings: tuple[Finding, ...] = ()


class _Rule(NamedTuple):
    """What rules of both kinds have in common."""

    name: str
    said: str
    matches: Sequence[Callable[[], RouteMatch]]
    filters: Sequence[RouteFilter]
    backends: Sequence[HttpBackendReference]
    timeouts: HttpTimeouts | None = None
    retry: HttpRetry | None = None
    session: SessionPersistence | None = None

    @property
    def part(self) -> str:
        """What tells sessions of the rule from those of others, wherever it stands."""
        return self.name or self.said


def http_rules(route: HTTPRoute, gathered: Gathered) -> Translated:
    """The rules of an HTTPRoute."""
    return _translated(route, [_http(rule) for rule in route.spec.rules or ()], gathered, grpc=False)


def grpc_rules(route: GRPCRoute, gathered: Gathered) -> Translated:
    """The rules of a GRPCRoute."""
    return _translated(route, [_grpc(rule) for rule in route.spec.rules or ()], gathered, grpc=True)


def _http(rule: HttpRule) -> _Rule:
    matches = [lambda one=one: http_match(one) for one in rule.matches or (HttpMatch(),)]
    return _Rule(
        rule.name or "",
        _said(rule),
        matches,
        rule.filters or (),
        rule.backend_refs or (),
        rule.timeouts,
        rule.retry,
        rule.session_persistence,
    )


def _grpc(rule: GrpcRule) -> _Rule:
    matches = [lambda one=one: grpc_match(one) for one in rule.matches or (GrpcMatch(),)]
    return _Rule(
        rule.name or "",
        _said(rule),
        matches,
        rule.filters or (),
        rule.backend_refs or (),
        session=rule.session_persistence,
    )


def _said(rule: HttpRule | GrpcRule) -> str:
    return "" if rule.session_persistence is None else str(msgspec.json.encode(rule.matches), "utf-8")


def _translated(route: HTTPRoute | GRPCRoute, rules: Sequence[_Rule], gathered: Gathered, *, grpc: bool) -> Translated:
    broken, routes = list[tuple[str, Origin]](), list[Route]()
    for i, rule in enumerate(rules):
        origin = route.origin(field(f"spec.rules[{i}]"))
        routes += _rule(i, rule, origin, gathered, broken, grpc=grpc)
    remedy = "correct the field"
    return Translated(
        routes=tuple(routes),
        backends=tuple(gathered.backends.values()),
        endpoint_sets=tuple(gathered.wishes.values()),
        certificates=tuple(gathered.certificates.values()),
        trust_bundles=tuple(gathered.bundles.values()),
        resolved=gathered.resolved,
        rules=len(rules),
        broken=tuple(why for why, _ in broken),
        services=tuple(gathered.services),
        findings=(
            *(
                error(Reason.INVALID_OBJECT, at, f"{why}; its requests are answered 500", remedy, Effect.FAILS_CLOSED)
                for why, at in broken
            ),
            *(_told(route, i) for i, rule in enumerate(rules) if outlives_browser(rule.session)),
            *_unresolved(route, gathered),
        ),
    )


def _unresolved(route: HTTPRoute | GRPCRoute, gathered: Gathered) -> Iterator[Finding]:
    codes = {
        "RefNotPermitted": Reason.CROSS_NAMESPACE,
        "InvalidKind": Reason.UNSUPPORTED_BACKEND,
        "UnsupportedProtocol": Reason.UNKNOWN_APP_PROTOCOL,
    }
    for one in dict.fromkeys(gathered.wrong):
        why = f"{one.message}; its share of requests is not answered by it"
        yield error(
            codes.get(one.reason, Reason.SERVICE_NOT_FOUND),
            route.origin(),
            why,
            "correct the reference, or add what it leads to",
            Effect.DEGRADED,
        )


def _told(route: HTTPRoute | GRPCRoute, number: int) -> Finding:
    why = "the cookie of a session with a time limit is kept for that time, and not forgotten when the browser ends"
    at = route.origin(field(f"spec.rules[{number}].sessionPersistence.absoluteTimeout"))
    remedy = "nothing, if that is acceptable; else leave out absoluteTimeout"
    return warning(Reason.DEGRADED, at, why, remedy, Effect.DEGRADED)


def _rule(
    number: int, rule: _Rule, origin: Origin, gathered: Gathered, broken: list[tuple[str, Origin]], *, grpc: bool
) -> Iterator[Route]:
    try:
        found = _with_backends(filtered(rule.filters, gathered, grpc=grpc), rule)
        action = _action(rule, found, gathered, grpc=grpc)
        limits, retry = _timeouts(rule.timeouts), _retry(rule)
        affinity = session(rule.session, gathered.route, rule.part, len(rule.backends))
        affinity = affinity or gathered.session(rule.backends)
    except WrongMatch as wrong:
        broken.append((str(wrong), origin))
        found, action, limits, retry, affinity = Filtered(), BROKEN, Timeouts(), None, None
    for j, make in enumerate(rule.matches):
        try:
            match = make()
        except WrongMatch as wrong:
            broken.append((str(wrong), origin.at(field(f"{origin.path}.matches[{j}]"))))
            continue
        yield _route(Id(f"{number:03}/{j:03}"), rule, match, action, found, origin, limits, retry, affinity, grpc=grpc)


def _with_backends(found: Filtered, rule: _Rule) -> Filtered:
    rewrite = backend_rewrite(rule.backends)
    if rewrite is None:
        return found
    if found.rewrite is not None:
        raise WrongMatch("URLRewrite stands at the rule and at its backends")
    return msgspec.structs.replace(found, rewrite=rewrite)


def _route(  # noqa: PLR0917 - the parts of a route
    name: Id,
    rule: _Rule,
    match: RouteMatch,
    action: Action,
    found: Filtered,
    origin: Origin,
    limits: Timeouts,
    retry: Retry | None,
    affinity: Affinity | None,
    *,
    grpc: bool,
) -> Route:
    forwards = isinstance(action, Forward)
    return Route(
        id=name,
        rule_name=_label(rule.name),
        match=match,
        action=action,
        request_headers=found.request_headers if forwards else None,
        response_headers=found.response_headers,
        rewrite=found.rewrite if forwards else None,
        mirrors=found.mirrors if forwards else (),
        cors=found.cors,
        auth=found.auth,
        timeouts=limits if forwards else Timeouts(),
        retry=retry if forwards else None,
        affinity=at_path(affinity, match.path) if forwards else None,
        protocol="grpc" if grpc else "http",
        created_at=origin.created_at,
        origin=origin,
    )


def _label(text: str) -> Label | None:
    typed = parse(Label, text)
    return None if not text or isinstance(typed, Refused) else typed


def _action(rule: _Rule, found: Filtered, gathered: Gathered, *, grpc: bool) -> Action:
    shares = [(_weight(ref), _weighted(ref, gathered, grpc=grpc)) for ref in rule.backends]
    weighted = tuple(one for _, one in shares if one is not None)
    if found.redirect is not None and rule.backends:
        raise WrongMatch("a rule with a redirect has no backends")
    if found.redirect is not None:
        return found.redirect
    if not any(one.weight for one in weighted):
        return BROKEN
    return Forward(backends=weighted, refused=sum(weight for weight, one in shares if one is None))


def _weighted(ref: HttpBackendReference, gathered: Gathered, *, grpc: bool) -> WeightedBackend | None:
    request, response = header_edit(ref.filters or ())
    backend = gathered.backend(ref, grpc=grpc)
    if backend is None:
        return None
    return WeightedBackend(backend=backend, weight=_weight(ref), request_headers=request, response_headers=response)


def _weight(ref: HttpBackendReference) -> int:
    return min(max(1 if ref.weight is None else ref.weight, 0), MOST_WEIGHT)


def _timeouts(wished: HttpTimeouts | None) -> Timeouts:
    if wished is None:
        return Timeouts()
    return Timeouts(request=_limit(wished.request), backend_request=_limit(wished.backend_request))


def _limit(text: str | None) -> Milliseconds | None:
    found = milliseconds(text)
    if text and found is None:
        raise WrongMatch(f"the duration {shown(text)} is none")
    return found


def _retry(rule: _Rule) -> Retry | None:
    """Connections that fail are tried again wherever anything is (Gateway API, HTTPRouteRetry)."""
    wished = rule.retry
    if wished is None:
        return None
    return Retry(
        attempts=1 if wished.attempts is None else wished.attempts,
        statuses=tuple(code for code in wished.codes or () if 400 <= code <= 599),
        conditions=("connect", "reset", "refused-stream"),
        backoff=_limit(wished.backoff),
        non_idempotent=True,
    )
