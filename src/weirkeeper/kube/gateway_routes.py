"""HTTPRoutes and GRPCRoutes: the fields that we read of their rules (sigs.k8s.io/gateway-api v1.6 and v1.7), and no others.

Comes in: JSON or YAML of an object. Goes out: small frozen structs, as in ``gateway_types``. Durations are texts (GEP-2257), as written.
"""

from weirkeeper.kube.gateway_experimental import ForwardBody, GrpcAuthConfig, HttpAuthConfig, SessionPersistence
from weirkeeper.kube.gateway_types import BackendReference, GatewayObject, ParentReference
from weirkeeper.kube.types import KubeStruct


class HeaderPair(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A header with its value."""

    name: str = ""
    value: str = ""


class HeaderModifier(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Headers to set, add and remove."""

    set: tuple[HeaderPair, ...] | None = ()
    add: tuple[HeaderPair, ...] | None = ()
    remove: tuple[str, ...] | None = ()


class PathModifier(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Another path, or another prefix."""

    type: str = ""
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class RequestRedirect(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Where clients are sent; what is not said stays."""

    scheme: str | None = None
    hostname: str | None = None
    path: PathModifier | None = None
    port: int | None = None
    status_code: int | None = 302


class UrlRewriteSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Host and path as the backend sees them."""

    hostname: str | None = None
    path: PathModifier | None = None


class FractionSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A share of requests."""

    numerator: int = 0
    denominator: int | None = 100


class RequestMirror(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A second backend that gets copies."""

    backend_ref: BackendReference = BackendReference()
    percent: int | None = None
    fraction: FractionSpec | None = None


class CorsSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The policy for cross-origin requests."""

    allow_origins: tuple[str, ...] | None = ()
    allow_credentials: bool | None = None
    allow_methods: tuple[str, ...] | None = ()
    allow_headers: tuple[str, ...] | None = ()
    expose_headers: tuple[str, ...] | None = ()
    max_age: int | None = 5


class ExternalAuthSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A service that decides on each request, by ``HTTP`` or ``GRPC``."""

    protocol: str = ""
    backend_ref: BackendReference = BackendReference()
    grpc: GrpcAuthConfig | None = None
    http: HttpAuthConfig | None = None
    forward_body: ForwardBody | None = None


class RouteFilter(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A filter of an HTTPRoute or GRPCRoute; ``type`` says which field holds it."""

    type: str = ""
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None
    request_mirror: RequestMirror | None = None
    request_redirect: RequestRedirect | None = None
    url_rewrite: UrlRewriteSpec | None = None
    cors: CorsSpec | None = None
    external_auth: ExternalAuthSpec | None = None


class HttpBackendReference(BackendReference, frozen=True, kw_only=True, rename="camel"):
    """A backend with filters of its own."""

    filters: tuple[RouteFilter, ...] | None = ()


class PathMatchSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A condition on the path."""

    type: str | None = "PathPrefix"
    value: str | None = "/"


class NamedMatch(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A condition on a header or query parameter."""

    type: str | None = "Exact"
    name: str = ""
    value: str = ""


class HttpMatch(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """All of these must hold."""

    path: PathMatchSpec | None = None
    headers: tuple[NamedMatch, ...] | None = ()
    query_params: tuple[NamedMatch, ...] | None = ()
    method: str | None = None


class HttpTimeouts(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Time limits."""

    request: str | None = None
    backend_request: str | None = None


class HttpRetry(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """When and how often a request is tried again."""

    codes: tuple[int, ...] | None = ()
    attempts: int | None = None
    backoff: str | None = None


class HttpRule(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Matches, filters, backends."""

    name: str | None = None
    matches: tuple[HttpMatch, ...] | None = ()
    filters: tuple[RouteFilter, ...] | None = ()
    backend_refs: tuple[HttpBackendReference, ...] | None = ()
    timeouts: HttpTimeouts | None = None
    retry: HttpRetry | None = None
    session_persistence: SessionPersistence | None = None


class HttpRouteSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Parents, hosts and rules."""

    parent_refs: tuple[ParentReference, ...] | None = ()
    use_default_gateways: str | None = None
    hostnames: tuple[str, ...] | None = ()
    rules: tuple[HttpRule, ...] | None = ()


class HTTPRoute(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """Routes of HTTP requests."""

    spec: HttpRouteSpec = HttpRouteSpec()


class GrpcMethodMatch(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A condition on service and method."""

    type: str | None = "Exact"
    service: str | None = None
    method: str | None = None


class GrpcMatch(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """All of these must hold."""

    method: GrpcMethodMatch | None = None
    headers: tuple[NamedMatch, ...] | None = ()


class GrpcRule(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Matches, filters, backends."""

    name: str | None = None
    matches: tuple[GrpcMatch, ...] | None = ()
    filters: tuple[RouteFilter, ...] | None = ()
    backend_refs: tuple[HttpBackendReference, ...] | None = ()
    session_persistence: SessionPersistence | None = None


class GrpcRouteSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Parents, hosts and rules."""

    parent_refs: tuple[ParentReference, ...] | None = ()
    use_default_gateways: str | None = None
    hostnames: tuple[str, ...] | None = ()
    rules: tuple[GrpcRule, ...] | None = ()


class GRPCRoute(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """Routes of gRPC calls."""

    spec: GrpcRouteSpec = GrpcRouteSpec()
