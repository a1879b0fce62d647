"""Hosts and their routes. A route is **one** match and what to do with it.

A Gateway API rule with three matches is three routes with one origin. Canaries, app-root, www redirects, HTTPS redirects and default
backends are ordinary extra routes: controllers compile them away, so no provider knows of them.
"""

from typing import Annotated

from weirkeeper.model.features import Need
from weirkeeper.model.filters import (
    Affinity,
    Auth,
    CookieRewrite,
    Cors,
    ErrorPages,
    HeaderEdit,
    IpRules,
    LocationRewrite,
    Mirror,
    PathRewrite,
    RateLimit,
    Retry,
    Timeouts,
    UrlRewrite,
)
from weirkeeper.model.finding import Finding
from weirkeeper.model.match import RouteMatch
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Authority, BodyText, HeaderValue, Hostname, Id, Label, Timestamp
from weirkeeper.model.value import ByteCount, Milliseconds, Value
from weirkeeper.model.words import RouteProtocol, Scheme, TlsMode, Upgrade


class WeightedBackend(Value, frozen=True, kw_only=True):
    """A backend and its share. Weight 0 gets nothing."""

    backend: Id
    weight: int = 1
    request_headers: Annotated[HeaderEdit | None, Need("HTTPRouteBackendRequestHeaderModification")] = None
    response_headers: Annotated[HeaderEdit | None, Need("HTTPRouteBackendRequestHeaderModification")] = None


class Forward(Value, frozen=True, kw_only=True, tag="forward", tag_field="type"):
    """To backends by weight. ``refused`` is the weight of a share that leads nowhere, and is answered 500 (Gateway API, HTTPRouteRule.backendRefs)."""

    backends: Annotated[tuple[WeightedBackend, ...], Need("WeightedBackends", above=1)]
    refused: Annotated[int, Need("RefusedShare")] = 0


class Redirect(Value, frozen=True, kw_only=True, tag="redirect", tag_field="type"):
    """Elsewhere. What is ``None`` stays as in the request. ``to`` is a whole URL instead of its parts."""

    scheme: Annotated[Scheme | None, Need("HTTPRouteSchemeRedirect")] = None
    host: Authority | None = None
    port: Annotated[int | None, Need("HTTPRoutePortRedirect")] = None
    path: Annotated[PathRewrite | None, Need("HTTPRoutePathRedirect")] = None
    to: HeaderValue | None = None
    status: int = 302


class Respond(Value, frozen=True, kw_only=True, tag="respond", tag_field="type"):
    """An answer of the load balancer's own. Every engine can refuse with a bare status; a text is a feature."""

    status: int
    body: Annotated[BodyText, Need("DirectResponse")] = BodyText("")
    content_type: HeaderValue = HeaderValue("text/plain")


Action = Forward | Redirect | Respond


class Route(Value, frozen=True, kw_only=True):
    """One match, one action, and the filters between. ``also`` are other objects that had a part in it (a canary)."""

    id: Id
    rule_name: Label | None = None
    match: RouteMatch = RouteMatch()
    action: Action
    request_headers: Annotated[HeaderEdit | None, Need("HTTPRouteRequestHeaderModification")] = None
    response_headers: Annotated[HeaderEdit | None, Need("HTTPRouteResponseHeaderModification")] = None
    rewrite: UrlRewrite | None = None
    forwarded_prefix: Annotated[HeaderValue | None, Need("PrefixXForwarded")] = None
    mirrors: Annotated[
        tuple[Mirror, ...], Need("HTTPRouteRequestMirror"), Need("HTTPRouteRequestMultipleMirrors", above=1)
    ] = ()
    cors: Annotated[Cors | None, Need("HTTPRouteCORS")] = None
    auth: tuple[Auth, ...] = ()
    rate_limits: tuple[RateLimit, ...] = ()
    ip_rules: Annotated[IpRules | None, Need("IpRules")] = None
    body_limit: Annotated[ByteCount | None, Need("RequestBodyLimit")] = None
    buffer_requests: Annotated[bool, Need("BufferedRequests")] = False
    error_pages: Annotated[ErrorPages | None, Need("CustomErrorPages")] = None
    cookie_rewrites: Annotated[tuple[CookieRewrite, ...], Need("CookieRewrite")] = ()
    location_rewrites: Annotated[tuple[LocationRewrite, ...], Need("LocationRewrite")] = ()
    timeouts: Timeouts = Timeouts()
    retry: Annotated[Retry | None, Need("HTTPRouteRetry")] = None
    affinity: Affinity | None = None
    access_log: Annotated[bool, Need("RouteAccessLog")] = True
    upgrades: tuple[Upgrade, ...] = ("websocket",)
    protocol: RouteProtocol = "http"
    priority: int = 0
    created_at: Timestamp = Timestamp("")
    native: Annotated[tuple[tuple[Label, Label], ...], Need("NativePatch")] = ()
    also: tuple[Origin, ...] = ()
    origin: Origin


class HostedRoute(Value, frozen=True, kw_only=True):
    """A route with the host that it belongs to. ``group`` is the route group whose listeners serve it.

    ``follows`` is the route of the same path that it only has a part in (the share of a canary, the redirect to HTTPS): where that one gives way to another's, so does this one.
    """

    load_balancer: Id
    group: Id
    hostname: Hostname
    wildcard_labels: int | None = None
    follows: Id | None = None
    route: Route


class VirtualHost(Value, frozen=True, kw_only=True):
    """One host name (exact, ``*.suffix`` or ``*``) of one route group, with its routes in the order of matching.

    Listeners name the group that they serve, so listeners of one group share their hosts. ``wildcard_labels`` is how many labels ``*`` stands for:
    1 for Ingress, ``None`` (any number) for Gateway API.
    """

    id: Id
    load_balancer: Id
    group: Id
    hostname: Hostname
    wildcard_labels: int | None = None
    routes: tuple[Route, ...] = ()
    origins: tuple[Origin, ...] = ()
    findings: tuple[Finding, ...] = ()


class L4Route(Value, frozen=True, kw_only=True):
    """Connections or datagrams of one listener, led on as they are.

    ``tls``: whether TLS goes through unopened or ends here; without it nobody looks for TLS. ``sni`` are the names that clients ask for (exact, or ``*.suffix``
    for any number of labels); none takes what no other route of the port has. The narrowest name decides. A backend that is not there refuses its share.
    ``idle`` is how long nothing may pass; without it an hour, and a minute for UDP. ``priorities`` of each name, where they are not all 0, say who gets it: the higher.
    """

    id: Id
    load_balancer: Id
    listener: Id
    tls: Annotated[
        TlsMode | None,
        Need("TLSPassthrough", only=("passthrough",)),
        Need("TLSRouteModeTerminate", only=("terminate",)),
    ] = None
    sni: tuple[Hostname, ...] = ()
    priorities: tuple[int, ...] = ()
    forward: Forward
    idle: Milliseconds | None = None
    created_at: Timestamp = Timestamp("")
    origin: Origin
