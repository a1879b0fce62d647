"""One neutral route as the rule of an HTTPRoute: filters, backends, limits.

Comes in: a route of the neutral model and its front's backends. Goes out: a ``Rule`` and notes. What has no equivalent is told, never skipped in silence. A route that is guarded by
what cannot be said (passwords, addresses) becomes a rule without backends, which is answered 500 (Gateway API, HTTPRouteRule.backendRefs): nobody gets in because a guard was lost.
"""

from typing import Any, NamedTuple, assert_never
from urllib.parse import urlsplit

from weirkeeper.migrate.backends import Backends
from weirkeeper.migrate.choices import Channel
from weirkeeper.migrate.filters import cors_filter, header_filters
from weirkeeper.migrate.matches import Swap, literal_of, match_of, swap_of_route
from weirkeeper.migrate.notes import Aspect, Notes, Outcome
from weirkeeper.migrate.source import refs_of
from weirkeeper.model.filters import CookieAffinity, Deny, ExternalAuth, FullPath, PrefixPath, RegexSubstitution
from weirkeeper.model.ids import Ref
from weirkeeper.model.match import RegexPath, SegmentPrefix
from weirkeeper.model.route import Forward, Redirect, Respond, Route
from weirkeeper.model.text import PathText, Refused
from weirkeeper.model.value import Milliseconds

Json = dict[str, Any]
STATUSES = (301, 302, 303, 307, 308)
BY_HAND_500 = "take the annotation out and migrate again to serve it without the guard"


class Rule(NamedTuple):
    """A match, and all that a rule says besides. ``plain``: it asks for nothing but a literal path; ``owners`` had a part in it."""

    match: Json
    body: Json
    plain: bool
    owners: tuple[Ref, ...] = ()


class Writer(NamedTuple):
    """What rules are made with."""

    backends: Backends
    notes: Notes
    channel: Channel

    def rule(self, route: Route, namespace: str, *, closed: bool = False, literal: bool = False) -> Rule | None:
        """The rule of a route; nothing where its match cannot be said. ``closed``: it must let nobody through. ``literal``: expressions without any special character become prefixes,
        as another path of the host is one now: so the longer of the two goes first, as before.
        """
        about = refs_of(route)
        swap = swap_of_route(route)
        prefix = swap.prefix if swap is not None else literal_of(route.match.path) if literal else None
        path = None if prefix is None else SegmentPrefix(value=PathText(prefix))
        match = match_of(route.match, path)
        if isinstance(match, Refused):
            self.notes.tell(
                about,
                Aspect.PATHS,
                Outcome.LOST,
                why=f"a rule {match.why}; it is left out, and a wider path may take its requests",
                remedy="write it by hand",
            )
            return None
        self._tell_match(route, about, swap, prefix)
        closed = self._guard(route, about) or closed
        body = {} if closed else self._body(route, namespace, about, swap)
        plain = (
            not (route.match.headers or route.match.cookies or route.match.methods)
            and match["path"]["type"] != "RegularExpression"
        )
        return Rule(match, body, plain, tuple(about))

    def _tell_match(self, route: Route, about: list[Ref], swap: Swap | None, prefix: str | None) -> None:
        if isinstance(route.match.path, RegexPath):
            tell, differs = self.notes.tell, Outcome.DIFFERS
            if prefix is None:
                why = "the order of expressions is each implementation's own; Weirkeeper tries the longest first, as before"
                tell(about, Aspect.EXPRESSIONS, differs, "path matches of the type RegularExpression", why)
            elif swap is None:
                why = f"{prefix} is taken by whole segments, and in this letter case alone"
                tell(about, Aspect.EXPRESSIONS, differs, f"PathPrefix {prefix}", "" if prefix == "/" else why)
            else:
                said = [f"{prefix} in another letter case is not taken any more"] if prefix != "/" else []
                said += [] if swap.exact else [f"{prefix} alone is taken too"]
                said += (
                    [f"{prefix} alone becomes {swap.replacement}, not {swap.replacement}/"]
                    if swap.exact and prefix != "/" and swap.replacement != "/"
                    else []
                )
                why = "; ".join(said)
                for aspect in (Aspect.EXPRESSIONS, Aspect.REWRITE):
                    tell(
                        about,
                        aspect,
                        differs if why else Outcome.TRANSLATED,
                        f"PathPrefix {prefix} with ReplacePrefixMatch",
                        why,
                    )
        if route.also:
            cookies = bool(route.match.cookies)
            to = (
                "matches by header"
                if route.match.headers
                else "matches of the header Cookie"
                if cookies
                else "weights of backends"
            )
            self.notes.tell(about, Aspect.CANARY, Outcome.TRANSLATED, to)

    # Guards

    def _guard(self, route: Route, about: list[Ref]) -> bool:
        """Whether the route must let nobody through; limits that are lost are told, and let through."""
        tell = self.notes.tell
        if route.rate_limits:
            tell(
                about,
                Aspect.RATE_LIMITS,
                Outcome.LOST,
                why="Gateway API limits no rates; requests are served without",
                remedy="limit them in front, or in the application",
            )
        if route.body_limit is not None:
            tell(
                about,
                Aspect.BODY_LIMIT,
                Outcome.LOST,
                why="Gateway API limits no bodies; requests are served without",
                remedy="limit them in the application",
            )
        if route.ip_rules is not None:
            tell(
                about,
                Aspect.IP_RULES,
                Outcome.CLOSED,
                why="Gateway API knows no rules about addresses; requests are answered 500",
                remedy=BY_HAND_500,
            )
            return True
        unsaid = [
            one
            for one in route.auth
            if not (isinstance(one, ExternalAuth) and self.channel is Channel.EXPERIMENTAL and not one.grpc)
        ]
        if unsaid:
            external = any(isinstance(one, ExternalAuth) for one in unsaid)
            why = (
                "a service that is asked is a filter of the experimental channel"
                if external
                else "Gateway API asks for no passwords"
            )
            if any(isinstance(one, Deny) for one in unsaid):
                why = "what guards the Ingress cannot be fulfilled as it stands"
            tell(
                about,
                Aspect.AUTH,
                Outcome.CLOSED,
                why=f"{why}; requests are answered 500",
                remedy="--channel experimental" if external else BY_HAND_500,
            )
            return True
        return False

    # What a rule does

    def _body(self, route: Route, namespace: str, about: list[Ref], swap: Swap | None) -> Json:
        match route.action:
            case Redirect() as redirect:
                return self._redirect(route, redirect, about)
            case Respond(status=status):
                why = f"its requests are answered {status} now, and 500 then: it leads nowhere"
                self.notes.tell(
                    about,
                    Aspect.BACKENDS,
                    Outcome.LOST,
                    why=why,
                    remedy="weir check says what is wrong with the backend",
                )
                return {}
            case Forward() as forward:
                return self._forward(route, forward, namespace, about, swap)
            case _:
                assert_never(route.action)

    def _forward(self, route: Route, forward: Forward, namespace: str, about: list[Ref], swap: Swap | None) -> Json:
        references: list[Json] = []
        for one in forward.backends:
            found = self.backends.reference(one.backend, namespace, about)
            if isinstance(found, Refused):
                aspect = Aspect.WORKLOADS if "pods" in found.why else Aspect.BACKENDS
                why = f"a backend {found.why}, and HTTPRoutes lead to Services; its requests are answered 500"
                self.notes.tell(about, aspect, Outcome.LOST, why=why, remedy="give it a Service")
                return {}
            references.append(found if len(forward.backends) == 1 else {**found, "weight": one.weight})
        rewrite = self._rewrite(route, about, swap)
        if rewrite is None:
            return {}
        filters = [*rewrite, *self._filters(route, namespace, about)]
        return {
            **({"filters": filters} if filters else {}),
            "backendRefs": references,
            **self._experimental(route, about),
        }

    def _rewrite(self, route: Route, about: list[Ref], swap: Swap | None) -> list[Json] | None:
        """The filter that rewrites; nothing where the path's rewrite cannot be said."""
        wished = route.rewrite
        if wished is None:
            return []
        said: Json = {}
        if wished.host is not None:
            host, colon, _ = wished.host.partition(":")
            said["hostname"] = host
            outcome, why = (Outcome.DIFFERS, "the port is left out") if colon else (Outcome.TRANSLATED, "")
            self.notes.tell(about, Aspect.HOST_REWRITE, outcome, "filter URLRewrite", why)
        match wished.path:
            case None:
                pass
            case FullPath(value=value):
                said["path"] = {"type": "ReplaceFullPath", "replaceFullPath": str(value)}
                self.notes.tell(about, Aspect.REWRITE, Outcome.TRANSLATED, "filter URLRewrite, ReplaceFullPath")
            case PrefixPath(value=value):
                said["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": str(value)}
            case RegexSubstitution() if swap is not None:
                if swap.prefix != "/" or swap.replacement != "/":
                    said["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": swap.replacement}
            case RegexSubstitution():
                why = f"HTTPRoutes replace a whole path or a prefix, not groups of {route.match.path.value}; its requests are answered 500"
                self.notes.tell(
                    about, Aspect.REWRITE, Outcome.LOST, why=why, remedy="write a prefix and ReplacePrefixMatch by hand"
                )
                return None
            case _:
                assert_never(wished.path)
        return [{"type": "URLRewrite", "urlRewrite": said}] if said else []

    def _filters(self, route: Route, namespace: str, about: list[Ref]) -> list[Json]:
        tell, found = self.notes.tell, list[Json]()
        found += header_filters(route, about, self.notes)
        if route.cors is not None:
            found.append(cors_filter(route.cors, about, self.notes))
        for mirror in route.mirrors:
            reference = self.backends.reference(mirror.backend, namespace, about)
            if isinstance(reference, Refused):
                tell(
                    about,
                    Aspect.MIRRORS,
                    Outcome.LOST,
                    why=f"its copies go to what {reference.why}, and HTTPRoutes lead to Services",
                )
                continue
            found.append({"type": "RequestMirror", "requestMirror": {"backendRef": reference}})
            why = "copies carry the Host of the request" if mirror.host is not None else ""
            tell(about, Aspect.MIRRORS, Outcome.DIFFERS if why else Outcome.TRANSLATED, "filter RequestMirror", why)
        for auth in route.auth:
            if isinstance(auth, ExternalAuth):
                found += self._external(auth, namespace, about)
        self._tell_lost(route, about)
        return found

    def _external(self, auth: ExternalAuth, namespace: str, about: list[Ref]) -> list[Json]:
        """The filter that asks a service. Where it cannot be referred to, it names one that is not there: nobody passes."""
        reference = self.backends.reference(auth.backend, namespace, about)
        if isinstance(reference, Refused):
            self.notes.tell(
                about,
                Aspect.AUTH,
                Outcome.CLOSED,
                why=f"the service {reference.why}, and filters lead to Services; nobody passes",
                remedy="give it a Service",
            )
            reference = {"name": "not-there", "port": 80}
        http: Json = {"path": str(auth.path)} if auth.path != "/" else {}
        if auth.response_headers:
            http["allowedResponseHeaders"] = [str(one) for one in auth.response_headers]
        unsaid = [
            what
            for what, given in (
                ("sign-in", auth.sign_in),
                ("method", auth.method),
                ("host", auth.host),
                ("headers of the question", auth.headers),
                ("query", auth.query),
            )
            if given
        ]
        why = f"the path is put before that of the request{'; not said: ' + ', '.join(unsaid) if unsaid else ''}"
        self.notes.tell(about, Aspect.AUTH, Outcome.DIFFERS, "filter ExternalAuth", why)
        return [
            {
                "type": "ExternalAuth",
                "externalAuth": {"protocol": "HTTP", "backendRef": reference, **({"http": http} if http else {})},
            }
        ]

    def _experimental(self, route: Route, about: list[Ref]) -> Json:
        """Retries and session persistence, which only the experimental channel has."""
        tell, found = self.notes.tell, Json()
        settled = self.channel is Channel.STANDARD
        for given, aspect in ((route.retry, Aspect.RETRY), (route.affinity, Aspect.AFFINITY)):
            if given is not None and settled:
                tell(
                    about,
                    aspect,
                    Outcome.LOST,
                    why="it is a field of the experimental channel",
                    remedy="--channel experimental, where its kinds are installed",
                )
        if settled:
            return found
        retry, affinity = route.retry, route.affinity
        if retry is not None and retry.attempts:
            found["retry"] = {"attempts": retry.attempts, **({"codes": list(retry.statuses)} if retry.statuses else {})}
            why = "" if retry.non_idempotent else "requests of every method are tried again"
            tell(about, Aspect.RETRY, Outcome.DIFFERS if why else Outcome.TRANSLATED, "retry of rules", why)
        elif retry is not None:
            tell(about, Aspect.RETRY, Outcome.TRANSLATED, "rules without retry")
        if isinstance(affinity, CookieAffinity):
            life: Json = (
                {"cookieConfig": {"lifetimeType": "Permanent"}, "absoluteTimeout": _duration(affinity.ttl)}
                if affinity.ttl
                else {}
            )
            found["sessionPersistence"] = {"sessionName": str(affinity.name), "type": "Cookie", **life}
            tell(
                about,
                Aspect.AFFINITY,
                Outcome.DIFFERS,
                "sessionPersistence of rules",
                "attributes of the cookie are the implementation's",
            )
        elif affinity is not None:
            tell(about, Aspect.AFFINITY, Outcome.LOST, why="Gateway API hashes nothing")
        return found

    def _tell_lost(self, route: Route, about: list[Ref]) -> None:
        """What no field of an HTTPRoute says."""
        lost = (
            (route.timeouts.idle, Aspect.IDLE_TIMEOUT, "Gateway API limits a whole request (timeouts.request), not how long nothing may pass", "spec.timeouts.idleSeconds of LoadBalancerClassParameters, or timeouts.request by hand"),
            (route.buffer_requests, Aspect.BUFFERING, "Gateway API does not say that requests are read whole first", ""),
            (route.error_pages, Aspect.ERROR_PAGES, "Gateway API replaces no answers", "let the application answer"),
            (route.cookie_rewrites, Aspect.COOKIES, "Gateway API rewrites no cookies", "let the application set them right"),
            (route.location_rewrites, Aspect.LOCATIONS, "Gateway API rewrites no Location", "let the application set it right"),
            (not route.access_log, Aspect.ACCESS_LOG, "Gateway API does not choose what is logged", "spec.accessLog of LoadBalancerClassParameters, for a whole class"),
        )  # fmt: skip
        for given, aspect, why, remedy in lost:
            if given:
                self.notes.tell(about, aspect, Outcome.LOST, why=why, remedy=remedy)

    # Redirects

    def _redirect(self, route: Route, redirect: Redirect, about: list[Ref]) -> Json:
        said: Json = {"scheme": redirect.scheme} if redirect.scheme else {}
        aspect, why = _aspect(route), []
        if redirect.to is not None:
            to = urlsplit(redirect.to)
            said = {"scheme": to.scheme, "hostname": to.hostname or "", **({"port": to.port} if to.port else {})}
            said["path"] = {"type": "ReplaceFullPath", "replaceFullPath": to.path or "/"}
            why.append(f"the query {to.query} is left out" if to.query else "the query of the request is kept")
        if redirect.host is not None:
            said["hostname"] = redirect.host.partition(":")[0]
        if redirect.port is not None:
            said["port"] = redirect.port
        if isinstance(redirect.path, FullPath):
            said["path"] = {"type": "ReplaceFullPath", "replaceFullPath": str(redirect.path.value)}
        said["statusCode"] = redirect.status if redirect.status in STATUSES else 302
        why += [f"the status is 302, not {redirect.status}"] if redirect.status not in STATUSES else []
        self.notes.tell(
            about, aspect, Outcome.DIFFERS if why else Outcome.TRANSLATED, "filter RequestRedirect", "; ".join(why)
        )
        return {"filters": [{"type": "RequestRedirect", "requestRedirect": said}]}


def _duration(limit: Milliseconds) -> str:
    """A time as Gateway API writes it: at most five digits of each unit (GEP-2257)."""
    whole = max(1, limit // 1000)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def _aspect(route: Route) -> Aspect:
    """Which wish a redirect comes from."""
    path = route.origin.path
    if "app-root" in path:
        return Aspect.APP_ROOT
    if "from-to-www" in path:
        return Aspect.WWW
    return Aspect.HTTPS_REDIRECT if route.id.endswith(("/https", "/to-https")) else Aspect.REDIRECT
