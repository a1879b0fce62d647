"""What will be programmed of what is wished: a composed value against the capabilities of its provider.

Nothing is dropped silently. A route whose need is not supported:

- a *security* need: the match stays and answers 500, so that nothing passes unguarded (fails closed);
- any other need: the same, since a filter that cannot be applied must not be skipped (Gateway API, HTTPRouteFilter) and a rule that vanished would
  let a broader one catch its traffic;
- a need of the match itself: no engine can refuse what it cannot tell apart. The refusal takes the place of all that the rest of the match takes,
  unless a route of another object takes just that (an object that is refused may not take another one's traffic away); a rule whose path cannot be
  matched is dropped. Either way it is said, and a provider never sees a match that it does not know;
- a user whose password hash the engine cannot compare: kept out, and said; nobody left, and the route answers 500;
- a need that is declared as *degraded*: programmed with the approximation, and said;
- a *cosmetic* need: ignored, and said.
"""

import msgspec

from weirkeeper.compose.needs import needs
from weirkeeper.compose.passwords import fit_passwords
from weirkeeper.flow import Memo
from weirkeeper.model.backend import Backend
from weirkeeper.model.features import FEATURES, Capabilities, FeatureKind
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, Respond, Route, VirtualHost
from weirkeeper.model.text import BodyText, Id, Sentence

Fit = tuple[Route | None, list[Finding]]
UNSUPPORTED_BODY = BodyText("This route needs something that its load balancer cannot do.\n")


def fit_virtual_host(
    host: VirtualHost,
    capabilities: Capabilities,
    refused: frozenset[Id] = frozenset(),
    fits: Memo[Route, Fit] | None = None,
) -> VirtualHost:
    """The host as the provider can serve it, with a finding for every difference. Routes to ``refused`` backends fail closed.

    ``fits`` is ``fit_route`` for these capabilities with a memory, for hosts with many routes.
    """
    routes: list[Route] = []
    findings: list[Finding] = []
    answers = [fit_route(route, capabilities) for route in host.routes] if fits is None else fits.many(host.routes)
    if not refused and all(
        fitted is route and not said for route, (fitted, said) in zip(host.routes, answers, strict=True)
    ):
        return host
    for route, (fitted, said) in zip(host.routes, answers, strict=True):
        findings.extend(said)
        if fitted is not None and not _takes_from_another(fitted, route, host):
            routes.append(_refusing(fitted) if _goes_to(fitted, refused) else fitted)
    if not findings and not refused:
        return host
    return _with(host, tuple(routes), host.findings + tuple(findings))


def _takes_from_another(fitted: Route, route: Route, host: VirtualHost) -> bool:
    """Whether what became of the route takes exactly what a route of another object takes, which it did not before."""
    if fitted.match == route.match:
        return False
    return any(one.match == fitted.match and one.origin.ref != route.origin.ref for one in host.routes)


def _goes_to(route: Route, backends: frozenset[Id]) -> bool:
    return isinstance(route.action, Forward) and any(b.backend in backends for b in route.action.backends)


def fit_route(route: Route, capabilities: Capabilities) -> Fit:
    """The route, or what answers in its place (nothing, where its path cannot be matched), and what to say about it."""
    lacking, findings = [], []
    for feature, where in needs(route):
        if feature in capabilities.supported:
            continue
        finding = unsupported(feature, where, route.origin, capabilities, (route.id,))
        findings.append(finding)
        if finding.effect in STOPPING:
            lacking.append(where)
    fitted, about_users = fit_passwords(route, capabilities)
    findings.extend(about_users)
    return (_refusing_all(route, lacking) if lacking or fitted is None else fitted), findings


def _refusing_all(route: Route, lacking: list[str]) -> Route | None:
    """The refusal of a route, its match without the conditions that the engine does not know."""
    unknown = {where.split(".")[1].partition("[")[0] for where in lacking if where.startswith("match.")}
    if "path" in unknown:
        return None
    known = {name: getattr(RouteMatch(), name) for name in unknown}
    return _refusing(msgspec.structs.replace(route, match=msgspec.structs.replace(route.match, **known)))


def fit_backend(backend: Backend, capabilities: Capabilities) -> tuple[Backend | None, list[Finding]]:
    """The backend, or none when its engine cannot speak to it as wished: routes to it fail closed then."""
    if not backend.origins:
        return backend, []
    findings = [
        unsupported(feature, where, backend.origins[0], capabilities, (backend.id,))
        for feature, where in needs(backend)
        if feature not in capabilities.supported
    ]
    return (None if any(f.effect in STOPPING for f in findings) else backend), findings


def fit_listener(listener: Listener, capabilities: Capabilities) -> tuple[Listener | None, list[Finding]]:
    """The listener, or none when it is rejected."""
    findings = [
        unsupported(feature, where, listener.origin, capabilities, (listener.id,))
        for feature, where in needs(listener)
        if feature not in capabilities.supported
    ]
    return (None if any(f.effect in STOPPING for f in findings) else listener), findings


def unsupported(
    feature: str, where: str, origin: Origin, capabilities: Capabilities, affected: tuple[Id, ...]
) -> Finding:
    """The finding for one need that the engine does not fully support, with its effect by the kind of the feature."""
    about = FEATURES[feature]
    engine = f"{capabilities.engine} {capabilities.version}"
    degraded = capabilities.degrades.get(feature)
    if degraded is not None:
        return Finding(
            severity=Severity.WARNING if about.kind is FeatureKind.SECURITY else Severity.INFO,
            reason=Reason.DEGRADED,
            for_user=Sentence(f"{feature}: {degraded}"),
            remedy=Sentence(
                "nothing, if that is acceptable; else use a class whose load balancer supports it (`weir features`)"
            ),
            for_operator=Sentence(f"{engine} approximates {feature} ({where})"),
            origin=origin,
            feature=feature,
            effect=Effect.DEGRADED,
            affected=affected,
        )
    effect = _EFFECTS[about.kind]
    return Finding(
        severity=Severity.INFO if effect is Effect.IGNORED else Severity.ERROR,
        reason=Reason.UNSUPPORTED,
        for_user=Sentence(f"{feature} is not supported by this load balancer ({engine}): {about.about}"),
        remedy=Sentence("remove the setting, or use a class whose load balancer supports it (`weir features`)"),
        for_operator=Sentence(f"{engine} lacks {feature}, needed by {where}"),
        origin=origin,
        feature=feature,
        effect=effect,
        affected=affected,
    )


_EFFECTS = {
    FeatureKind.CORE: Effect.FAILS_CLOSED,
    FeatureKind.SECURITY: Effect.FAILS_CLOSED,
    FeatureKind.EXTENDED: Effect.RULE_DROPPED,
    FeatureKind.LISTENER: Effect.LISTENER_REJECTED,
    FeatureKind.COSMETIC: Effect.IGNORED,
}


STOPPING = frozenset({Effect.FAILS_CLOSED, Effect.LISTENER_REJECTED, Effect.RULE_DROPPED})


def _refusing(route: Route) -> Route:
    """The same match, answering 500: narrower traffic must never fall through to a route without the filter."""
    return Route(
        id=route.id,
        rule_name=route.rule_name,
        match=route.match,
        action=Respond(status=500, body=UNSUPPORTED_BODY),
        priority=route.priority,
        created_at=route.created_at,
        origin=route.origin,
    )


def _with(host: VirtualHost, routes: tuple[Route, ...], findings: tuple[Finding, ...]) -> VirtualHost:
    return VirtualHost(
        id=host.id,
        load_balancer=host.load_balancer,
        group=host.group,
        hostname=host.hostname,
        wildcard_labels=host.wildcard_labels,
        routes=routes,
        origins=host.origins,
        findings=findings,
    )
