"""What one Ingress means: its routes by host, the backends they need, its certificates, and what its owner should know.

Comes in: a claimed Ingress, and by reading: its Services, Secrets and ConfigMaps, the canaries of its paths and whether a neighbour has expressions on.
Goes out: one ``Intent``. The order of routes is not decided here (``compose.precedence``); redirects to HTTPS, app-root, www redirects, default
backends and canaries are ordinary routes that win or lose in that order.
"""

from collections.abc import Iterator, Sequence

import msgspec

from weirkeeper.controllers.base import CertificateWish, HostedRoute, Inputs, Intent
from weirkeeper.controllers.ingress import access
from weirkeeper.controllers.ingress.annotations.options import PLAIN
from weirkeeper.controllers.ingress.canary import Place, canary_of, places_of, same_path, split
from weirkeeper.controllers.ingress.claimed import Claimed, HostOf, first_of
from weirkeeper.controllers.ingress.forwarding import forward
from weirkeeper.controllers.ingress.guards import (
    Guard,
    as_wished,
    demanded,
    elsewhere,
    guard_listener,
    guard_of,
)
from weirkeeper.controllers.ingress.passthrough import passed
from weirkeeper.controllers.ingress.paths import ROOT, WrongPath, groups_of, literal_start, path_match, whole
from weirkeeper.controllers.ingress.scope import Scope
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.controllers.ingress.template import affinity, redirects_all, template, unheard, with_service
from weirkeeper.controllers.ingress.variants import Variant, wished_variant
from weirkeeper.controllers.shared.hostnames import ANY, covers, hostname
from weirkeeper.controllers.shared.ids import below, id_of
from weirkeeper.controllers.shared.report import error, info, warning
from weirkeeper.flow import Index, Read
from weirkeeper.kube.types import IngressBackend, IngressPath, IngressTls
from weirkeeper.model.backend import Backend
from weirkeeper.model.filters import Deny, FullPath, RegexSubstitution, UrlRewrite
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import ExactPath, PathMatch, RegexPath, RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Action, L4Route, Redirect, Respond, Route
from weirkeeper.model.text import Authority, Hostname, Id, PathText, Refused, Substitution, parse, shown

DEFAULT_BACKEND_PRIORITY = -1000
WWW_PRIORITY = -500
ACME = "/.well-known/acme-challenge"
MOST_PATHS = 5000

Neighbours = Index[HostOf, Ref, Claimed]


class Neighbourhood(msgspec.Struct, frozen=True):
    """What is looked up by host: ``wide`` are canaries and Ingresses with expressions, ``mains`` all but canaries, ``guarded`` those that ask for client certificates."""

    wide: Neighbours
    mains: Neighbours
    guarded: Neighbours


def ingress_intent(
    read: Read, inputs: Inputs, settings: IngressSettings, near: Neighbourhood, claimed: Claimed
) -> Intent:
    """The intent of one claimed Ingress."""
    scope = Scope(read, inputs, settings, claimed)
    if claimed.options.canary:
        _tell_lonely_canary(scope, near)
        return Intent(load_balancer=claimed.ours.load_balancer, findings=tuple(scope.findings))
    made = _Routes(scope, near)
    routes = made.all()
    scope.certificates += _certificates(scope)
    return Intent(
        load_balancer=claimed.ours.load_balancer,
        listeners=tuple(made.listeners),
        routes=tuple(routes),
        l4_routes=tuple(made.passed.values()),
        backends=tuple(scope.backends.values()),
        endpoint_sets=tuple(scope.wishes.values()),
        certificates=tuple(scope.certificates),
        trust_bundles=tuple(scope.bundles),
        findings=tuple(scope.findings),
    )


class _Routes:
    """The routes of one Ingress, host by host."""

    def __init__(self, scope: Scope, near: Neighbourhood) -> None:
        self.scope = scope
        self.near = near
        self.options = scope.options
        self.spec = scope.ingress.spec
        if self.options is not PLAIN:
            scope.variant = _variant(scope)
        self.demand = demanded(scope)
        if self.demand is not None:
            scope.bundles.append(self.demand.trust)
        self.template = template(scope) if self.options is not PLAIN else _plain_template(scope)
        if scope.closed and not self.template.auth:
            self.template = msgspec.structs.replace(self.template, auth=access.auth(scope))
        self.elsewhere = redirects_all(self.options)
        self.group = scope.ours.group
        self.load_balancer = scope.ours.load_balancer
        self.tls_hosts = [h for tls in self.spec.tls or () for h in (tls.hosts or ("",))]
        self.aliases = tuple(self._own_aliases())
        self.seen: set[tuple[Hostname, PathMatch]] = set()
        self.count = 0
        self.guards: dict[Hostname, Guard | None] = {}
        self.listeners: list[Listener] = []
        self.passed: dict[Hostname, L4Route] = {}

    def all(self) -> list[HostedRoute]:
        """All routes of the Ingress."""
        found: list[HostedRoute] = []
        hosts: dict[Hostname, None] = {}
        for i, rule in enumerate(self.spec.rules or ()):
            host = hostname(rule.host)
            if isinstance(host, Refused):
                self._wrong_host(host, f"spec.rules[{i}].host")
                continue
            hosts[host] = None
            paths = rule.http.paths if rule.http is not None else ()
            self._pass(host, paths)
            for name in (host, *self.aliases):
                found += self._host_routes(name, host, paths, f"spec.rules[{i}].http.paths")
        for host in list(hosts):
            found += self._host_extras(host)
        for host in (*hosts, *self.aliases):
            found += self._own_guard(host)
        found += self._default_backend([*hosts, *self.aliases])
        if not found and not any(rule.http and rule.http.paths for rule in self.spec.rules or ()):
            text = "the Ingress has neither a rule with a path nor a default backend; it serves nothing"
            self.scope.tell(warning(Reason.NO_RULES, self.scope.at("spec"), text, "add a rule"))
        return found

    def _pass(self, host: Hostname, paths: Sequence[IngressPath]) -> None:
        """Lets the TLS of a host through, where that is wished and can be."""
        if not self.options.ssl_passthrough or host in self.passed:
            return
        mains = self.scope.read.lookup(self.near.mains, (self.load_balancer, host))
        guarded = self._guard(host) is not None
        route = passed(self.scope, host, paths, mains, template=self.template, guarded=guarded)
        if route is not None:
            self.passed[host] = route

    def _wrong_host(self, host: Refused, path: str) -> None:
        text = f"{host.why}; the rule is left out"
        remedy = "use a DNS name such as shop.example.com or *.example.com"
        self.scope.tell(error(Reason.INVALID_HOST, self.scope.at(path), text, remedy, Effect.RULE_DROPPED))

    def _own_aliases(self) -> Iterator[Hostname]:
        """The aliases that no rule of another Ingress has as its host: a rule goes before an alias, as in ingress-nginx."""
        for alias in self.options.server_alias:
            mains = self.scope.read.lookup(self.near.mains, (self.load_balancer, alias))
            owner = next((ref for ref, found in mains if ref != self.scope.ref and found.has_rule(alias)), None)
            if owner is None:
                yield alias
                continue
            text = f"server-alias: {alias} is the host of a rule of {owner}; the alias is left out"
            at = self.scope.annotation("server-alias")
            remedy = "take the alias out, or the rule"
            self.scope.tell(warning(Reason.ANNOTATION_CONFLICT, at, text, remedy, Effect.RULE_DROPPED))

    def _host_routes(
        self, host: Hostname, ruled: Hostname, paths: Sequence[IngressPath], field: str
    ) -> Iterator[HostedRoute]:
        """The routes of a host; ``ruled`` is the host of the rule, which differs where the host is an alias: canaries stand beside the rule."""
        neighbours = self.scope.read.lookup(self.near.wide, (self.load_balancer, ruled))
        if host != ruled:
            neighbours = (*neighbours, *self.scope.read.lookup(self.near.wide, (self.load_balancer, host)))
        host_regex = any(claimed.options.regex for _, claimed in neighbours)
        if host_regex and not self.options.regex:
            self._tell_regex(host, neighbours)
        for j, path in enumerate(paths):
            match = path_match(path, own_regex=self.options.regex, host_regex=host_regex)
            if self._refused(host, match, f"{field}[{j}]") or isinstance(match, WrongPath):
                continue
            place = canary_of(path, ruled, self.scope.ref.namespace, neighbours) if neighbours else None
            yield from self._path_routes(host, path, match, f"{field}[{j}]", place)

    def _refused(self, host: Hostname, match: PathMatch | WrongPath, field: str) -> bool:
        self.count += 1
        if isinstance(match, WrongPath):
            at = self.scope.at(f"{field}.path")
            self.scope.tell(
                error(match.reason, at, f"{match.why}; the path is left out", match.remedy, Effect.RULE_DROPPED)
            )
            return True
        if self.count > MOST_PATHS:
            if self.count == MOST_PATHS + 1:
                text = f"the Ingress has more than {MOST_PATHS} paths; the rest is left out"
                self.scope.tell(error(Reason.TOO_LARGE, self.scope.at(field), text, "split it", Effect.RULE_DROPPED))
            return True
        key = (host, match)
        if key in self.seen:
            text = "the Ingress has this host and path already; the first one holds"
            at = self.scope.at(f"{field}.path")
            self.scope.tell(warning(Reason.DUPLICATE_ROUTE, at, text, "remove one of the two", Effect.RULE_DROPPED))
            return True
        self.seen.add(key)
        if self.options.app_root is not None and isinstance(match, ExactPath) and match.value == "/":
            text = "app-root answers for exactly /; this path is left out"
            at = self.scope.at(f"{field}.path")
            self.scope.tell(warning(Reason.ANNOTATION_CONFLICT, at, text, "remove one of the two", Effect.RULE_DROPPED))
            return True
        return False

    def _path_routes(
        self, host: Hostname, path: IngressPath, match: PathMatch, field: str, place: Place | None
    ) -> Iterator[HostedRoute]:
        action, backend = self._action(path.backend, f"{field}.backend")
        origin = self.scope.at(field)
        name = id_of(self.scope.place, self.scope.name, host, f"{path.path_type}-{path.path}")
        route = msgspec.structs.replace(
            self.template, id=name, match=RouteMatch(path=match), action=action, origin=origin
        )
        route = (
            self._shaped(route, match, backend, field) if self.options is not PLAIN or backend is not None else route
        )
        if route.error_pages is not None:
            route = msgspec.structs.replace(route, error_pages=with_service(route.error_pages, path.backend))
        if self._redirects(host, path):
            passed = host in self.passed
            yield self._hosted(host, self._to_https(route), None if passed else route.id)
            if passed:
                return
        if host in self.passed:
            route = msgspec.structs.replace(route, match=msgspec.structs.replace(route.match, scheme="http"))
        if place is None:
            yield self._hosted(host, route)
            return
        for part in split(
            route,
            self._canary_action(place.claimed, place.path.backend, place.field),
            place.claimed.options,
            place.claimed.ingress.origin(place.field.removesuffix(".backend")),
        ):
            yield self._hosted(host, part, None if part.id == route.id else route.id)

    def _action(self, wished: IngressBackend, field: str) -> tuple[Action, Backend | None]:
        return (self.template.action, None) if self.elsewhere else forward(self.scope, wished, field)

    def _canary_action(self, claimed: Claimed, wished: IngressBackend, field: str) -> Action:
        """The canary's backend, resolved as its own Ingress wishes it and kept with this one."""
        other = Scope(self.scope.read, self.scope.inputs, self.scope.settings, claimed)
        other.variant = _variant(other)
        action, _ = forward(other, wished, field)
        self.scope.backends.update(other.backends)
        self.scope.wishes.update(other.wishes)
        self.scope.findings += [f for f in other.findings if f not in claimed.findings + claimed.options.findings]
        return Respond(status=503) if other.closed else action

    def _shaped(self, route: Route, match: PathMatch, backend: Backend | None, field: str) -> Route:
        grpc = backend is not None and backend.protocol == "grpc"
        if self.options is PLAIN:
            return msgspec.structs.replace(route, protocol="grpc") if grpc else route
        return msgspec.structs.replace(
            route,
            rewrite=self._rewrite(match, field),
            affinity=affinity(self.options, literal_start(match)),
            protocol="grpc" if grpc else "http",
        )

    def _rewrite(self, match: PathMatch, field: str) -> UrlRewrite | None:
        target, host = self.options.rewrite_target, self.options.upstream_vhost
        if target is None:
            return None if host is None else UrlRewrite(host=host)
        plain = parse(PathText, target.text)
        if target.highest == 0 and not isinstance(plain, Refused):
            return UrlRewrite(host=host, path=FullPath(value=plain))
        pattern = whole(match) if isinstance(match, RegexPath) else Refused("is not an expression")
        text, groups = target.text, groups_of(match)
        if target.highest > groups:
            said = f"rewrite-target names the group {target.highest}, but the path {shown(match.value)} has {groups}; it is empty"
            self.scope.tell(
                warning(
                    Reason.INVALID_ANNOTATION,
                    self.scope.at(f"{field}.path"),
                    said,
                    "add the group to the path",
                    Effect.DEGRADED,
                )
            )
            for group in range(groups + 1, 10):
                text = type(text)(text.replace(f"\\{group}", ""))
        substitution = parse(Substitution, text)
        if isinstance(pattern, Refused) or isinstance(substitution, Refused):
            said = f"the path {shown(match.value)} is too long to be rewritten"
            self.scope.tell(
                error(Reason.INVALID_ANNOTATION, self.scope.at(f"{field}.path"), said, "shorten it", Effect.IGNORED)
            )
            return None if host is None else UrlRewrite(host=host)
        return UrlRewrite(host=host, path=RegexSubstitution(pattern=pattern, substitution=substitution))

    def _redirects(self, host: Hostname, path: IngressPath) -> bool:
        if self.options.force_ssl_redirect or not self.options.allow_http:
            wished = True
        elif host in self.passed or any(not name or covers(name, host) for name in self.tls_hosts):
            wished = (
                self.options.ssl_redirect
                if self.options.ssl_redirect is not None
                else self.scope.ours.spec.ssl_redirect
            )
        else:
            wished = False
        return wished and not path.path.startswith(ACME)

    def _to_https(self, route: Route) -> Route:
        spec = self.scope.ours.spec
        port = self.scope.settings.https_port if spec.ports.https is None else spec.ports.https
        return msgspec.structs.replace(
            unheard(route),
            id=below(route.id, "https"),
            match=msgspec.structs.replace(route.match, scheme="http"),
            action=Redirect(scheme="https", port=port if port not in {443, 0} else None, status=308),
        )

    def _host_extras(self, host: Hostname) -> Iterator[HostedRoute]:
        yield from self._app_root(host)
        if self.options.from_to_www_redirect and not host.startswith("*"):
            other = Hostname(host[4:] if host.startswith("www.") else f"www.{host}")
            at = self.scope.annotation("from-to-www-redirect")
            if not isinstance(hostname(other), Refused):
                to = Redirect(host=Authority(host), status=308)
                yield self._extra(other, "www", RouteMatch(path=ROOT), to, at, priority=WWW_PRIORITY)

    def _app_root(self, host: Hostname) -> Iterator[HostedRoute]:
        """The redirect of exactly /. What an annotation puts before all paths is no stranger's to put there."""
        if self.options.app_root is None:
            return
        at, owner = self.scope.annotation("app-root"), self._owner(host)
        if owner.namespace != self.scope.ref.namespace:
            text = f"app-root: {host} belongs to the older {owner}; it is ignored there"
            remedy = "let the owner of the host redirect"
            self.scope.tell(warning(Reason.ANNOTATION_CONFLICT, at, text, remedy, Effect.IGNORED))
            return
        match = RouteMatch(path=ExactPath(value=PathText("/")))
        to = Redirect(path=FullPath(value=self.options.app_root), status=302)
        yield self._extra(host, "app-root", match, to, at)

    def _owner(self, host: Hostname) -> Ref:
        """The Ingress that the host belongs to; this one where no other has it."""
        mains = self.scope.read.lookup(self.near.mains, (self.load_balancer, host))
        return first_of(mains, host)[0] if mains else self.scope.ref

    def _extra(
        self, host: Hostname, kind: str, match: RouteMatch, action: Action, at: Origin, *, priority: int = 0
    ) -> HostedRoute:
        route = Route(
            id=id_of(self.scope.place, self.scope.name, host, kind),
            match=match,
            action=action,
            ip_rules=self.template.ip_rules,
            priority=priority,
            created_at=self.scope.origin.created_at,
            origin=at,
        )
        return self._hosted(host, route)

    def _default_backend(self, hosts: Sequence[Hostname]) -> Iterator[HostedRoute]:
        wished = self.spec.default_backend
        if wished is None:
            return
        action, backend = self._action(wished, "spec.defaultBackend")
        for host in dict.fromkeys((*hosts, ANY)):
            route = msgspec.structs.replace(
                self.template,
                id=id_of(self.scope.place, self.scope.name, host, "default-backend"),
                match=RouteMatch(path=ROOT),
                action=action,
                priority=DEFAULT_BACKEND_PRIORITY,
                origin=self.scope.at("spec.defaultBackend"),
            )
            yield self._hosted(host, self._shaped(route, ROOT, backend, "spec.defaultBackend"))

    def _own_guard(self, host: Hostname) -> Iterator[HostedRoute]:
        """The listener that asks clients of a host for certificates, and what the host answers elsewhere, where this Ingress decides for it."""
        guard = self._guard(host)
        if guard is None or guard.group is None or guard.owner.ingress.ref != self.scope.ref:
            return
        if self.demand is not None and (listener := guard_listener(self.scope, host, self.demand)) is not None:
            self.listeners.append(listener)
            yield from elsewhere(self.scope, host)

    def _guard(self, host: Hostname) -> Guard | None:
        if host not in self.guards:
            found = guard_of(self.scope, self.near.guarded, self.near.mains, host, self.demand)
            self.guards[host] = as_wished(self.scope, found, host)
        return self.guards[host]

    def _hosted(self, host: Hostname, route: Route, follows: Id | None = None) -> HostedRoute:
        """The route at its host: in the group of the listener that guards the host, or closed where there can be none."""
        guard, group = self._guard(host), self.group
        if guard is not None and guard.group is None:
            route = msgspec.structs.replace(route, auth=(Deny(),))
        elif guard is not None and guard.group is not None:
            if literal_start(route.match.path).startswith(ACME):
                route = msgspec.structs.replace(route, match=msgspec.structs.replace(route.match, scheme="http"))
            else:
                group = guard.group
        return HostedRoute(
            load_balancer=self.load_balancer,
            group=group,
            hostname=host,
            wildcard_labels=1 if host.startswith("*.") else None,
            follows=follows,
            route=route,
        )

    def _tell_regex(self, host: Hostname, neighbours: Sequence[tuple[Ref, Claimed]]) -> None:
        names = ", ".join(str(ref) for ref, claimed in neighbours[:5] if claimed.options.regex)
        text = f"{names} switched expressions on for the host {host}: paths of this Ingress are matched from the start, in any letter case"
        remedy = "give expressions a host of their own to keep Exact and Prefix as they are"
        self.scope.tell(info(Reason.DEGRADED, self.scope.at("spec.rules"), text, remedy, Effect.DEGRADED))


def _plain_template(scope: Scope) -> Route:
    return Route(
        id=scope.ours.group, action=Respond(status=503), created_at=scope.origin.created_at, origin=scope.origin
    )


def _variant(scope: Scope) -> Variant | None:
    if scope.options is PLAIN:
        return None
    tls = access.backend_tls(scope)
    if tls is not None and not tls.verify and scope.options.backend_protocol in {"HTTPS", "GRPCS"}:
        access.tell_unverified(scope)
    return wished_variant(scope.options, tls)


def _certificates(scope: Scope) -> Iterator[CertificateWish]:
    for i, tls in enumerate(scope.ingress.spec.tls or ()):
        if not tls.secret_name:
            if scope.ours.spec.default_certificate is None:
                _tell_no_certificate(scope, i)
        else:
            yield CertificateWish(
                id=id_of(scope.place, tls.secret_name),
                secret=Ref(
                    cluster=scope.ref.cluster, kind="Secret", namespace=scope.ref.namespace, name=tls.secret_name
                ),
                hosts=_tls_hosts(scope, tls, i),
                origin=scope.at(f"spec.tls[{i}].secretName"),
            )


def _tell_no_certificate(scope: Scope, position: int) -> None:
    text = "no Secret is named and the class has no default certificate, so HTTPS for these hosts is refused"
    remedy = "name a Secret of type kubernetes.io/tls, or a spec.defaultCertificate in the parameters of the class"
    scope.tell(warning(Reason.SECRET_NOT_FOUND, scope.at(f"spec.tls[{position}].secretName"), text, remedy))


def _tls_hosts(scope: Scope, tls: IngressTls, position: int) -> tuple[Hostname, ...]:
    found: dict[Hostname, None] = {}
    for j, text in enumerate(tls.hosts):
        host = hostname(text)
        if isinstance(host, Refused) or host == ANY:
            why = host.why if isinstance(host, Refused) else "is empty"
            at = scope.at(f"spec.tls[{position}].hosts[{j}]")
            scope.tell(error(Reason.INVALID_HOST, at, f"{why}; it is left out", "use a DNS name", Effect.IGNORED))
        else:
            found[host] = None
    if not tls.hosts:
        rules = (hostname(rule.host) for rule in scope.ingress.spec.rules or ())
        found = {host: None for host in rules if not isinstance(host, Refused) and host != ANY}
    return tuple(found)


def _tell_lonely_canary(scope: Scope, near: Neighbourhood) -> None:
    """Says so where a canary has no main rule beside it."""
    for i, rule in enumerate(scope.ingress.spec.rules or ()):
        host = Hostname(rule.host.lower() or "*")
        mains = scope.read.lookup(near.mains, (scope.ours.load_balancer, host))
        own = [claimed for ref, claimed in mains if ref.namespace == scope.ref.namespace]
        for j, path in enumerate(rule.http.paths if rule.http else ()):
            if not any(canary_of_main(claimed, host, path) for claimed in own):
                at = scope.at(f"spec.rules[{i}].http.paths[{j}]")
                text = "no other Ingress of this namespace has the same host and path, so the canary gets nothing"
                remedy = "create the main Ingress with the same host, path and path type, without the canary annotation"
                scope.tell(warning(Reason.CANARY_WITHOUT_MAIN, at, text, remedy, Effect.RULE_DROPPED))


def canary_of_main(main: Claimed, host: Hostname, path: IngressPath) -> bool:
    """Whether an Ingress has the rule that a canary stands beside."""
    return any(same_path(place.path, path) for place in places_of(main, host))
