"""What the annotations of one Ingress come to. Only values that passed their parser live here; ``None`` means "not wished"."""

from weirkeeper.controllers.shared.regexes import Regex
from weirkeeper.model.finding import Finding
from weirkeeper.model.text import (
    Authority,
    Cidr,
    CipherName,
    CookieName,
    HeaderName,
    HeaderValue,
    Hostname,
    Label,
    Method,
    Name,
    PathText,
    Realm,
    WebOrigin,
)
from weirkeeper.model.value import ByteCount, Milliseconds, Value


class Url(Value, frozen=True, kw_only=True):
    """An absolute URL in its parts. ``keeps_request`` says that the request's own path and query follow (``$request_uri``)."""

    scheme: str
    host: Hostname
    port: int
    path: PathText = PathText("/")
    query: HeaderValue | None = None
    text: HeaderValue
    keeps_request: bool = False


class HashKey(Value, frozen=True, kw_only=True):
    """What a request is hashed by: ip, header, cookie, host, uri or query, and the name where it needs one."""

    on: str
    name: HeaderName | None = None


class Target(Value, frozen=True, kw_only=True):
    r"""A rewrite target: literal text with groups as ``\1``, and the highest group that it names."""

    text: HeaderValue
    highest: int


class PodPort(Value, frozen=True, kw_only=True):
    """A port of pods by name or number, of one workload or, without its name, of all."""

    workload: str = ""
    name: Label = Label("")
    number: int = 0


class Options(Value, frozen=True, kw_only=True):
    """All that annotations can say. ``closed`` says that a security wish could not be read: nobody passes."""

    ssl_redirect: bool | None = None
    ssl_passthrough: bool = False
    force_ssl_redirect: bool = False
    permanent_redirect: Url | None = None
    permanent_redirect_code: int = 301
    temporal_redirect: Url | None = None
    temporal_redirect_code: int = 302
    app_root: PathText | None = None
    from_to_www_redirect: bool = False
    rewrite_target: Target | None = None
    use_regex: bool = False
    connect_timeout: Milliseconds | None = None
    read_timeout: Milliseconds | None = None
    send_timeout: Milliseconds | None = None
    body_size: ByteCount | None = None
    request_buffering: bool = False
    backend_protocol: str | None = None
    affinity: str | None = None
    affinity_mode: str = "balanced"
    cookie_name: CookieName = CookieName("INGRESSCOOKIE")
    cookie_path: PathText | None = None
    cookie_domain: Hostname | None = None
    cookie_max_age: Milliseconds | None = None
    cookie_expires: Milliseconds | None = None
    cookie_secure: bool = False
    cookie_same_site: str | None = None
    hash_by: HashKey | None = None
    load_balance: str | None = None
    canary: bool = False
    canary_header: HeaderName | None = None
    canary_header_value: HeaderValue | None = None
    canary_header_pattern: Regex | None = None
    canary_cookie: CookieName | None = None
    canary_weight: int = 0
    canary_weight_total: int = 100
    enable_cors: bool = False
    cors_origins: tuple[WebOrigin, ...] | None = None
    cors_headers: tuple[HeaderName, ...] | None = None
    cors_methods: tuple[Method, ...] | None = None
    cors_credentials: bool | None = None
    cors_exposed: tuple[HeaderName, ...] = ()
    cors_max_age: Milliseconds | None = None
    allow: tuple[Cidr, ...] = ()
    deny: tuple[Cidr, ...] = ()
    auth_type: str | None = None
    auth_secret: str | None = None
    auth_secret_type: str = "auth-file"
    auth_realm: Realm = Realm("")
    auth_url: Url | None = None
    auth_method: Method | None = None
    auth_signin: HeaderValue | None = None
    auth_signin_parameter: HeaderName = HeaderName("rd")
    auth_response_headers: tuple[HeaderName, ...] = ()
    auth_always_set_cookie: bool = False
    auth_redirect: HeaderValue | None = None
    auth_headers: str | None = None
    custom_headers: str | None = None
    server_alias: tuple[Hostname, ...] = ()
    upstream_vhost: Authority | None = None
    default_backend: str | None = None
    custom_errors: tuple[int, ...] = ()
    mirror_target: Url | None = None
    mirror_host: Authority | None = None
    tls_secret: str | None = None
    tls_verify: str = "on"
    tls_depth: int | None = None
    tls_pass: bool = False
    limit_connections: int | None = None
    limit_rps: int | None = None
    limit_rpm: int | None = None
    limit_burst: int = 5
    limit_except: tuple[Cidr, ...] = ()
    ssl_secret: str | None = None
    ssl_ciphers: tuple[CipherName, ...] = ()
    ssl_protocols: tuple[str, ...] = ()
    ssl_name: Hostname | None = None
    ssl_verify: bool = False
    ssl_verify_depth: int | None = None
    ssl_server_name: bool = False
    retry_on: tuple[str, ...] | None = None
    retry_tries: int = 3
    forwarded_prefix: HeaderValue | None = None
    connection_header: HeaderValue | None = None
    service_upstream: bool = False
    cookie_paths: tuple[HeaderValue, HeaderValue] | None = None
    cookie_domains: tuple[HeaderValue, HeaderValue] | None = None
    location_from: HeaderValue | None = None
    location_to: HeaderValue | None = None
    access_log: bool = True
    scale: int | None = None
    http_port: int | None = None
    https_port: int | None = None
    allow_http: bool = True
    load_balancer: Name | None = None
    workload_ports: tuple[PodPort, ...] = ()
    closed: bool = False
    findings: tuple[Finding, ...] = ()

    @property
    def regex(self) -> bool:
        """Whether paths of the hosts are expressions: ``rewrite-target`` switches it on too, as ingress-nginx does."""
        return self.use_regex or self.rewrite_target is not None


PLAIN = Options()
"""The options of an Ingress without annotations."""
