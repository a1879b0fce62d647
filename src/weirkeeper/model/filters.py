"""What a route does to requests and answers besides forwarding them."""

from typing import Annotated, ClassVar

from weirkeeper.model.features import Need
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import (
    Authority,
    Cidr,
    CookieName,
    HeaderName,
    HeaderValue,
    Hostname,
    Id,
    Method,
    PathText,
    Realm,
    RegexText,
    Substitution,
    UserName,
    WebOrigin,
)
from weirkeeper.model.value import ByteCount, Fraction, Milliseconds, Value
from weirkeeper.model.words import CookieAttribute, HashSource, RetryCondition, SameSite


class HeaderValuePair(Value, frozen=True, kw_only=True):
    """A header with a literal value: no engine may interpret anything in it."""

    name: HeaderName
    value: HeaderValue


class HeaderEdit(Value, frozen=True, kw_only=True):
    """Headers to set (replace), to add (append) and to remove, in this order of application: remove, set, add."""

    set: tuple[HeaderValuePair, ...] = ()
    add: tuple[HeaderValuePair, ...] = ()
    remove: tuple[HeaderName, ...] = ()


class FullPath(Value, frozen=True, kw_only=True, tag="full", tag_field="type"):
    """The whole path is replaced; the query stays."""

    value: PathText


class PrefixPath(Value, frozen=True, kw_only=True, tag="prefix", tag_field="type"):
    """The matched prefix is replaced, the rest stays."""

    value: PathText


class RegexSubstitution(Value, frozen=True, kw_only=True, tag="regex", tag_field="type"):
    r"""What the RE2 expression matches is replaced; ``\\1`` to ``\\9`` are its groups."""

    pattern: RegexText
    substitution: Substitution
    NEED: ClassVar[str] = "RegexPathRewrite"


PathRewrite = FullPath | PrefixPath | RegexSubstitution


class UrlRewrite(Value, frozen=True, kw_only=True):
    """Host and path as the backend sees them. ``auto_host`` sends the endpoint's own name."""

    host: Annotated[Authority | None, Need("HTTPRouteHostRewrite")] = None
    auto_host: Annotated[bool, Need("HTTPRouteHostRewrite")] = False
    path: Annotated[PathRewrite | None, Need("HTTPRoutePathRewrite")] = None


class Mirror(Value, frozen=True, kw_only=True):
    """A copy of the request for a second backend, whose answer is thrown away. ``calls``: requests are calls by gRPC, which may be streams."""

    backend: Id
    share: Annotated[Fraction | None, Need("HTTPRouteRequestPercentageMirror")] = None
    host: Authority | None = None
    calls: Annotated[bool, Need("GRPCRouteRequestMirror")] = False


class Cors(Value, frozen=True, kw_only=True):
    """The policy for cross-origin requests (Fetch standard). With ``any_method`` and ``any_header`` a preflight is granted what it asks for: a ``*`` means
    nothing to browsers where credentials are sent.
    """

    origins: tuple[WebOrigin, ...] = ()
    methods: tuple[Method, ...] = ()
    headers: tuple[HeaderName, ...] = ()
    any_method: bool = False
    any_header: bool = False
    exposed: tuple[HeaderName, ...] = ()
    credentials: bool = False
    max_age: Milliseconds | None = None


class ExternalAuth(Value, frozen=True, kw_only=True, tag="external", tag_field="type"):
    """A service that is asked before each request: 2xx lets it pass, 401 and 403 are handed to the client, all else fails closed.

    ``path`` is what the service is asked for; the original is in ``X-Original-URL`` (ingress-nginx) headers. ``sign_in`` is a redirect
    instead of 401; its redirect parameter carries the original URL. ``redirect`` is what the service is told in ``X-Auth-Request-Redirect`` (else the path);
    ``headers`` are told to it besides. With ``original`` the service gets the request's own method and path, behind ``path``, and of its headers only
    ``authorization`` and ``request_headers`` (Gateway API, HTTPExternalAuthFilter); only 200 lets pass then, and a body above ``body_bytes`` is refused. By gRPC
    (Envoy's ``ext_authz``) it gets all headers. ``any_response_header``: the request gets every header of its yes.
    """

    backend: Id
    grpc: Annotated[bool, Need("GrpcExternalAuth")] = False
    original: Annotated[bool, Need("ExternalAuthOriginal")] = False
    path: PathText = PathText("/")
    query: HeaderValue | None = None
    method: Annotated[Method | None, Need("ExternalAuthMethod")] = None
    host: Annotated[Authority | None, Need("ExternalAuthHost")] = None
    request_headers: tuple[HeaderName, ...] = ()
    response_headers: tuple[HeaderName, ...] = ()
    any_response_header: bool = False
    sign_in: Annotated[HeaderValue | None, Need("ExternalAuthSignIn")] = None
    sign_in_parameter: HeaderName = HeaderName("rd")
    always_set_cookie: bool = False
    redirect: HeaderValue | None = None
    headers: tuple[HeaderValuePair, ...] = ()
    body_bytes: ByteCount | None = None
    timeout: Milliseconds = Milliseconds(5000)
    NEED: ClassVar[str] = "ExternalAuth"


class Credentials(Value, frozen=True, kw_only=True):
    """One user with a password hash, redacted when printed."""

    user: UserName
    hash: Secret


class BasicAuth(Value, frozen=True, kw_only=True, tag="basic", tag_field="type"):
    """Users and passwords (RFC 7617)."""

    users: tuple[Credentials, ...]
    realm: Annotated[Realm, Need("BasicAuthRealm")] = Realm("")
    NEED: ClassVar[str] = "BasicAuth"


class Jwt(Value, frozen=True, kw_only=True, tag="jwt", tag_field="type"):
    """A signed token is demanded (RFC 7519)."""

    issuer: HeaderValue
    audiences: tuple[HeaderValue, ...] = ()
    key_backend: Id
    key_path: PathText
    NEED: ClassVar[str] = "JwtAuth"


class Deny(Value, frozen=True, kw_only=True, tag="deny", tag_field="type"):
    """Nobody passes: what a security wish becomes when it cannot be fulfilled."""

    status: int = 503


Auth = ExternalAuth | BasicAuth | Jwt | Deny


class LocalRateLimit(Value, frozen=True, kw_only=True, tag="local", tag_field="type"):
    """At most ``amount`` requests per ``per`` milliseconds and client address at each instance, ``burst`` more at once; refused with ``status``."""

    amount: int
    per: Milliseconds
    burst: int
    key: HeaderName = HeaderName("ip")
    status: int = 503
    except_from: Annotated[tuple[Cidr, ...], Need("RateLimitExceptions")] = ()
    NEED: ClassVar[str] = "LocalRateLimit"


class GlobalRateLimit(Value, frozen=True, kw_only=True, tag="global", tag_field="type"):
    """Descriptors that a shared service counts."""

    domain: HeaderValue
    descriptors: tuple[tuple[HeaderValue, HeaderValue], ...]
    NEED: ClassVar[str] = "GlobalRateLimit"


class ConnectionLimit(Value, frozen=True, kw_only=True, tag="connections", tag_field="type"):
    """At most so many requests under way per client address."""

    amount: int
    status: int = 503
    except_from: Annotated[tuple[Cidr, ...], Need("RateLimitExceptions")] = ()
    NEED: ClassVar[str] = "ConnectionLimit"


RateLimit = LocalRateLimit | GlobalRateLimit | ConnectionLimit


class IpRules(Value, frozen=True, kw_only=True):
    """Who may come by address: ``deny`` first, then, where ``allow`` is not empty, only these. Judged by the client's address behind trusted hops."""

    allow: tuple[Cidr, ...] = ()
    deny: tuple[Cidr, ...] = ()
    status: Annotated[int, Need("IpRulesStatus")] = 403


class ErrorPages(Value, frozen=True, kw_only=True):
    """Answers with these codes are replaced by what the backend says to the same request (ingress-nginx: X-Code and so on).

    ``own_codes`` are replaced only where the load balancer itself answers, such as 503 where a Service has no endpoints.
    """

    codes: tuple[int, ...]
    own_codes: tuple[int, ...] = ()
    backend: Id
    headers: tuple[HeaderValuePair, ...] = ()


class CookieRewrite(Value, frozen=True, kw_only=True):
    """One Set-Cookie attribute (``path`` or ``domain``) with a value is replaced."""

    attribute: CookieAttribute
    old: HeaderValue
    new: HeaderValue


class LocationRewrite(Value, frozen=True, kw_only=True):
    """Location headers that begin with ``old`` begin with ``new`` instead."""

    old: HeaderValue
    new: HeaderValue


class Timeouts(Value, frozen=True, kw_only=True):
    """Time limits; ``None`` takes the load balancer's default. ``request`` 0 means none."""

    request: Annotated[Milliseconds | None, Need("HTTPRouteRequestTimeout")] = None
    backend_request: Annotated[Milliseconds | None, Need("HTTPRouteBackendTimeout")] = None
    idle: Annotated[Milliseconds | None, Need("IdleTimeout")] = None


class Retry(Value, frozen=True, kw_only=True):
    """When and how often a failed request is tried again. ``conditions``: connect, reset, 5xx, gateway-error, refused-stream, and gRPC codes."""

    attempts: int
    statuses: Annotated[tuple[int, ...], Need("RetryStatuses", beyond=(500, 502, 503, 504))] = ()
    conditions: tuple[RetryCondition, ...] = ()
    per_try: Milliseconds | None = None
    backoff: Annotated[Milliseconds | None, Need("RetryBackoff")] = None
    non_idempotent: bool = False


class CookieAffinity(Value, frozen=True, kw_only=True, tag="cookie", tag_field="type"):
    """A cookie of ours keeps a client on an endpoint. ``ttl`` None is a session cookie. ``persistent`` never moves while the endpoint lives."""

    name: CookieName
    path: PathText | None = None
    domain: Hostname | None = None
    ttl: Milliseconds | None = None
    secure: bool = False
    http_only: bool = True
    same_site: SameSite | None = None
    persistent: bool = False
    NEED: ClassVar[str] = "CookieAffinity"


class HeaderSession(Value, frozen=True, kw_only=True, tag="session-header", tag_field="type"):
    """A header of answers names the endpoint; clients that send it back stay there (Gateway API, GEP-1619)."""

    name: HeaderName
    NEED: ClassVar[str] = "HeaderSession"


class HashOn(Value, frozen=True, kw_only=True, tag="hash", tag_field="type"):
    """Consistent hashing on the client's address, a header, a cookie, the host, the path with query, or a query parameter."""

    on: Annotated[HashSource, Need("HeaderAffinity", only=("header",)), Need("SourceIpAffinity", only=("ip",))]
    name: HeaderName | None = None
    subset: int | None = None
    NEED: ClassVar[str] = "ConsistentHash"


Affinity = CookieAffinity | HeaderSession | HashOn
