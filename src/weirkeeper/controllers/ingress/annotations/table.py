"""The table: one row for each annotation that ingress-nginx knows, with our answer. docs/annotations.md is generated from it.

``applied`` acts as in ingress-nginx; ``degraded`` acts with the difference that the note states; ``idle`` is about NGINX's own memory or files and
needs nothing here; ``unsupported`` does nothing yet, and its owner is told; ``refused`` never will, for the reason given. ``security`` rows fail
closed: a value that cannot be read, or a wish that cannot be fulfilled, lets nobody through.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from weirkeeper.controllers.ingress.annotations import parsers as p
from weirkeeper.model.text import Name, Refused


class Answer(StrEnum):
    """What becomes of an annotation."""

    APPLIED = "applied"
    DEGRADED = "degraded"
    IDLE = "idle"
    UNSUPPORTED = "unsupported"
    REFUSED = "refused"


class Risk(StrEnum):
    """How dangerous its value is in the hands of a stranger (ingress-nginx's own classes)."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One annotation. ``target`` is the field of ``Options`` that it fills; ``note`` is the reason or the difference."""

    name: str
    read: Callable[[str], object | Refused] = p.any_text
    target: str = ""
    risk: Risk
    about: str
    answer: Answer = Answer.APPLIED
    note: str = ""
    security: bool = False


L, M, H, C = Risk.LOW, Risk.MEDIUM, Risk.HIGH, Risk.CRITICAL


def _on(
    name: str,
    read: Callable[[str], object | Refused],
    target: str,
    risk: Risk,
    about: str,
    *,
    note: str = "",
    security: bool = False,
) -> Row:
    answer = Answer.DEGRADED if note else Answer.APPLIED
    return Row(name=name, read=read, target=target, risk=risk, about=about, answer=answer, note=note, security=security)


def _no(name: str, answer: Answer, risk: Risk, about: str, note: str, *, security: bool = False) -> Row:
    return Row(name=name, risk=risk, about=about, answer=answer, note=note, security=security)


_U, _R, _I = Answer.UNSUPPORTED, Answer.REFUSED, Answer.IDLE
_SNIPPET = "free text for an engine's configuration file is how tenants took over controllers; say what it does with another annotation"
_BUFFERS = "it sizes NGINX's own buffers; other engines stream"
_WAF = "there is no web application firewall yet; requests are served without it"
_CLIENT_TLS = "names of client certificates are not compared, so the hosts are closed rather than open"

ROWS: tuple[Row, ...] = (
    # redirects
    _on(
        "ssl-redirect",
        p.boolean,
        "ssl_redirect",
        L,
        "HTTP requests of hosts with TLS are redirected to HTTPS (308); on by default where TLS is set.",
    ),
    _on(
        "force-ssl-redirect",
        p.boolean,
        "force_ssl_redirect",
        M,
        "HTTP requests are redirected to HTTPS even where the Ingress sets no TLS.",
    ),
    _on("permanent-redirect", p.url, "permanent_redirect", M, "All requests are redirected to this URL (301)."),
    _on(
        "permanent-redirect-code",
        p.between(300, 308),
        "permanent_redirect_code",
        L,
        "The status of permanent-redirect.",
    ),
    _on("temporal-redirect", p.url, "temporal_redirect", M, "All requests are redirected to this URL (302)."),
    _on("temporal-redirect-code", p.between(300, 308), "temporal_redirect_code", L, "The status of temporal-redirect."),
    _on("app-root", p.path, "app_root", M, "Requests for exactly / are redirected to this path (302)."),
    _on(
        "from-to-www-redirect",
        p.boolean,
        "from_to_www_redirect",
        L,
        "The host with www. (or without it) is redirected to the one of the rule (308).",
    ),
    _no("relative-redirects", _U, L, "Redirects carry no scheme and host.", "redirects name scheme and host"),
    _no(
        "use-port-in-redirects",
        _U,
        L,
        "Redirects carry the port.",
        "redirects carry a port only where it is not the scheme's own",
    ),
    _no(
        "preserve-trailing-slash",
        _I,
        M,
        "No redirect to a path with a trailing slash.",
        "paths are never redirected for a slash",
    ),
    # paths
    _on(
        "rewrite-target",
        p.target,
        "rewrite_target",
        M,
        "The path that the backend sees; $1 to $9 are groups of the path. Switches use-regex on.",
    ),
    _on(
        "use-regex",
        p.boolean,
        "use_regex",
        L,
        "Paths are case-insensitive expressions matched from the start, for the whole host, other Ingresses included.",
    ),
    # time and size
    _on(
        "proxy-connect-timeout",
        p.duration,
        "connect_timeout",
        L,
        "How long a connection to a backend may take (seconds).",
    ),
    _on(
        "proxy-read-timeout",
        p.duration,
        "read_timeout",
        L,
        "How long nothing may come from a backend (seconds).",
        note="one idle limit for both directions: the longer of read and send",
    ),
    _on(
        "proxy-send-timeout",
        p.duration,
        "send_timeout",
        L,
        "How long nothing may go to a backend (seconds).",
        note="one idle limit for both directions: the longer of read and send",
    ),
    _on(
        "proxy-body-size",
        p.size,
        "body_size",
        M,
        "The largest request body; more is answered 413. 0 is no limit.",
        security=True,
    ),
    _no("client-body-buffer-size", _I, L, "How much of a body is buffered in memory.", _BUFFERS),
    _on(
        "proxy-request-buffering",
        p.on_off,
        "request_buffering",
        L,
        "The request body is read whole before the backend sees it.",
        note="off unless asked for; ingress-nginx has it on by default",
    ),
    _no(
        "proxy-buffering",
        _I,
        L,
        "Answers are buffered.",
        "answers are streamed, as with off; slow clients are held back by flow control",
    ),
    _no("proxy-buffers-number", _I, L, "How many buffers an answer has.", _BUFFERS),
    _no("proxy-buffer-size", _I, L, "The size of the first buffer of an answer.", _BUFFERS),
    _no("proxy-busy-buffers-size", _I, L, "How much of an answer may be on its way while the rest is read.", _BUFFERS),
    _no("proxy-max-temp-file-size", _I, L, "How large a temporary file may be.", "nothing is buffered in files"),
    _no(
        "proxy-http-version",
        _I,
        L,
        "The version of HTTP to the backend.",
        "1.1 is spoken, or what backend-protocol says",
    ),
    # backends
    _on(
        "backend-protocol",
        p.one_of("HTTP", "HTTPS", "AUTO_HTTP", "GRPC", "GRPCS", upper=True),
        "backend_protocol",
        L,
        "How backends are spoken to: HTTP, HTTPS, AUTO_HTTP, GRPC, GRPCS.",
    ),
    _on(
        "load-balance",
        p.one_of("round_robin", "ewma", "least_conn", "random"),
        "load_balance",
        L,
        "How an endpoint is chosen: round_robin or ewma (and least_conn, random).",
    ),
    _on(
        "upstream-hash-by",
        p.hash_key,
        "hash_by",
        H,
        "Requests with the same key go to the same endpoint.",
        note="one variable, not a text of several",
    ),
    _no("upstream-hash-by-subset", _U, L, "Hashing picks a group of endpoints.", "hashing picks one endpoint"),
    _no("upstream-hash-by-subset-size", _U, L, "How many endpoints a group has.", "hashing picks one endpoint"),
    _on("upstream-vhost", p.authority, "upstream_vhost", L, "The Host header that the backend sees."),
    _on(
        "service-upstream",
        p.boolean,
        "service_upstream",
        L,
        "The Service's own address is used instead of its endpoints.",
    ),
    _on(
        "proxy-next-upstream",
        p.retry_on,
        "retry_on",
        M,
        "When a request is tried again.",
        note="timeout retries connection failures only",
    ),
    _on(
        "proxy-next-upstream-tries",
        p.between(0, 100),
        "retry_tries",
        L,
        "How often a request is tried, the first time included; 0 counts as 10.",
        note="no unlimited tries",
    ),
    _no("proxy-next-upstream-timeout", _U, L, "How long a request may be tried again.", "tries are limited by number"),
    _on("affinity", p.one_of("cookie"), "affinity", L, "A cookie keeps a client on one endpoint."),
    _on(
        "affinity-mode",
        p.one_of("balanced", "persistent"),
        "affinity_mode",
        M,
        "balanced moves some clients when endpoints come; persistent never does.",
    ),
    _no(
        "affinity-canary-behavior",
        _U,
        L,
        "Whether a canary keeps its clients.",
        "a canary is chosen anew for each request",
    ),
    _on("session-cookie-name", p.cookie_name, "cookie_name", M, "The name of the affinity cookie."),
    _on("session-cookie-secure", p.boolean, "cookie_secure", L, "The affinity cookie goes over HTTPS only."),
    _on(
        "session-cookie-expires",
        p.duration,
        "cookie_expires",
        M,
        "How long the affinity cookie lives (seconds), where max-age is not given.",
    ),
    _on("session-cookie-max-age", p.duration, "cookie_max_age", M, "How long the affinity cookie lives (seconds)."),
    _on("session-cookie-path", p.path, "cookie_path", M, "The path of the affinity cookie."),
    _on("session-cookie-domain", p.host, "cookie_domain", M, "The domain of the affinity cookie."),
    _on(
        "session-cookie-samesite",
        p.same_site,
        "cookie_same_site",
        L,
        "SameSite of the affinity cookie: None, Lax or Strict.",
    ),
    _no(
        "session-cookie-conditional-samesite-none",
        _U,
        L,
        "Old browsers get no SameSite=None.",
        "SameSite is the same for all browsers",
    ),
    _no(
        "session-cookie-change-on-failure",
        _I,
        L,
        "A failed endpoint gives its clients away.",
        "a client moves when its endpoint is gone",
    ),
    _no("session-cookie-partitioned", _U, L, "The affinity cookie is Partitioned.", "the attribute is not sent"),
    # canaries
    _on(
        "canary",
        p.boolean,
        "canary",
        L,
        "This Ingress is a second version of another one of its namespace with the same host and path.",
    ),
    _on("canary-weight", p.between(0, 1_000_000), "canary_weight", L, "The share of requests that the canary gets."),
    _on("canary-weight-total", p.between(1, 1_000_000), "canary_weight_total", L, "What the share is of (100)."),
    _on(
        "canary-by-header",
        p.header_name,
        "canary_header",
        M,
        "With always in this header the canary answers, with never it does not.",
    ),
    _on(
        "canary-by-header-value",
        p.header_value,
        "canary_header_value",
        M,
        "The value of the header for which the canary answers.",
    ),
    _on(
        "canary-by-header-pattern",
        p.regex,
        "canary_header_pattern",
        M,
        "The expression over the header for which the canary answers.",
    ),
    _on(
        "canary-by-cookie",
        p.cookie_name,
        "canary_cookie",
        M,
        "With always in this cookie the canary answers, with never it does not.",
    ),
    # cross-origin requests
    _on("enable-cors", p.boolean, "enable_cors", L, "Cross-origin requests are answered by policy."),
    _on("cors-allow-origin", p.listed(p.origin), "cors_origins", M, "Origins that are allowed (*)."),
    _on("cors-allow-headers", p.listed(p.header_name), "cors_headers", M, "Request headers that are allowed."),
    _on("cors-allow-methods", p.listed(p.method), "cors_methods", M, "Methods that are allowed."),
    _on(
        "cors-allow-credentials",
        p.boolean,
        "cors_credentials",
        L,
        "Whether credentials may be sent (true, but never with the origin *).",
    ),
    _on("cors-expose-headers", p.listed(p.header_name), "cors_exposed", M, "Answer headers that scripts may read."),
    _on("cors-max-age", p.duration, "cors_max_age", L, "How long a preflight answer may be kept (seconds)."),
    # who may come
    _on(
        "allowlist-source-range",
        p.listed(p.cidr),
        "allow",
        M,
        "Only clients with these addresses are let in.",
        security=True,
    ),
    _on(
        "whitelist-source-range", p.listed(p.cidr), "allow", M, "The old name of allowlist-source-range.", security=True
    ),
    _on(
        "denylist-source-range",
        p.listed(p.cidr),
        "deny",
        M,
        "Clients with these addresses are kept out.",
        security=True,
    ),
    _on(
        "auth-type",
        p.one_of("basic"),
        "auth_type",
        L,
        "basic asks for a user and password; digest is not there and closes the host.",
        security=True,
    ),
    _on("auth-secret", p.text_name, "auth_secret", M, "The Secret with users and password hashes.", security=True),
    _on(
        "auth-secret-type",
        p.one_of("auth-file", "auth-map"),
        "auth_secret_type",
        L,
        "auth-file: htpasswd lines under the key auth; auth-map: users as keys.",
        security=True,
    ),
    _on("auth-realm", p.realm, "auth_realm", M, "The realm that browsers show."),
    _on("auth-url", p.url, "auth_url", H, "A service that is asked before each request.", security=True),
    _on("auth-method", p.method, "auth_method", L, "The method of the question.", security=True),
    _on("auth-signin", p.sign_in, "auth_signin", H, "Where to send clients that are not signed in.", security=True),
    _on(
        "auth-signin-redirect-param",
        p.header_name,
        "auth_signin_parameter",
        M,
        "The parameter with the original URL (rd).",
    ),
    _on(
        "auth-response-headers",
        p.listed(p.header_name),
        "auth_response_headers",
        M,
        "Headers of the answer that the backend gets.",
    ),
    _on(
        "auth-always-set-cookie",
        p.boolean,
        "auth_always_set_cookie",
        L,
        "Cookies of the answer are handed on whatever its status.",
    ),
    _on(
        "auth-proxy-set-headers",
        p.text_name,
        "auth_headers",
        M,
        "A ConfigMap with headers for the question, literal ones.",
        security=True,
    ),
    _on(
        "auth-request-redirect",
        p.literal,
        "auth_redirect",
        M,
        "X-Auth-Request-Redirect of the question: a literal text (the path of the request).",
    ),
    _no("auth-snippet", _R, C, "Text for the location of the question.", _SNIPPET, security=True),
    _no("auth-cache-key", _U, M, "Answers are kept under this key.", "every request is asked for"),
    _no("auth-cache-duration", _U, M, "How long answers are kept.", "every request is asked for"),
    _no("auth-keepalive", _I, L, "Connections to the service are kept.", "connections are always kept"),
    _no("auth-keepalive-share-vars", _I, L, "Variables are shared with the question.", "there are no variables"),
    _no("auth-keepalive-requests", _I, L, "Requests per kept connection.", "connections are always kept"),
    _no("auth-keepalive-timeout", _I, L, "How long a connection is kept.", "connections are always kept"),
    _no("enable-global-auth", _I, L, "Whether the global question holds.", "there is no global question"),
    _no(
        "satisfy",
        _U,
        L,
        "any: one of the access checks is enough.",
        "all checks must be passed, which is the stricter reading",
    ),
    _on(
        "auth-tls-secret",
        p.text_name,
        "tls_secret",
        M,
        "Clients must show a certificate of the authorities in ca.crt of this Secret.",
        note="for exact hosts; the whole host demands it, and plain HTTP is always redirected to HTTPS",
        security=True,
    ),
    _on(
        "auth-tls-verify-client",
        p.one_of("on", "off", "optional", "optional_no_ca"),
        "tls_verify",
        M,
        "Whether a certificate must be shown (on), may be shown (optional), or is not verified (optional_no_ca).",
        security=True,
    ),
    _on(
        "auth-tls-verify-depth",
        p.between(0, 100),
        "tls_depth",
        L,
        "How many authorities may stand between a client's certificate and a trusted one (1).",
        security=True,
    ),
    _no(
        "auth-tls-error-page",
        _U,
        H,
        "Where clients without a certificate are sent.",
        "a connection without the certificate ends in the handshake, before a page can be shown",
    ),
    _on(
        "auth-tls-pass-certificate-to-upstream",
        p.boolean,
        "tls_pass",
        L,
        "The backend gets the client's certificate in ssl-client-cert; ssl-client-subject-dn and -issuer-dn it gets always.",
    ),
    _no("auth-tls-match-cn", _U, H, "The name that a client's certificate must have.", _CLIENT_TLS, security=True),
    # limits
    _on(
        "limit-connections",
        p.between(1, 1_000_000),
        "limit_connections",
        L,
        "How many requests of one client may be under way.",
        security=True,
    ),
    _on(
        "limit-rps",
        p.between(1, 1_000_000),
        "limit_rps",
        L,
        "Requests per second of one client, at each instance.",
        security=True,
    ),
    _on(
        "limit-rpm",
        p.between(1, 1_000_000),
        "limit_rpm",
        L,
        "Requests per minute of one client, at each instance.",
        security=True,
    ),
    _on(
        "limit-burst-multiplier",
        p.between(1, 10_000),
        "limit_burst",
        L,
        "How many times the rate may come at once (5).",
    ),
    _on("limit-allowlist", p.listed(p.cidr), "limit_except", L, "Clients that no limit holds for."),
    _on("limit-whitelist", p.listed(p.cidr), "limit_except", L, "The old name of limit-allowlist."),
    _no("limit-rate", _U, L, "Bytes per second of an answer.", "bandwidth is not limited"),
    _no("limit-rate-after", _U, L, "From which byte on the rate holds.", "bandwidth is not limited"),
    # headers and answers
    _on("custom-headers", p.text_name, "custom_headers", M, "A ConfigMap with headers that answers get."),
    _on("x-forwarded-prefix", p.header_value, "forwarded_prefix", M, "X-Forwarded-Prefix of requests."),
    _on("connection-proxy-header", p.header_value, "connection_header", L, "The Connection header of requests."),
    _on(
        "custom-http-errors",
        p.codes,
        "custom_errors",
        L,
        "Answers with these codes are replaced by the default backend's.",
    ),
    _on(
        "default-backend",
        p.text_name,
        "default_backend",
        L,
        "The Service that answers for a Service without endpoints and for custom-http-errors.",
        note="the Service is asked for GET / with X-Code, X-Format, X-Original-URI and so on, also where there are no endpoints",
    ),
    _no("disable-proxy-intercept-errors", _U, L, "Errors of the class are not replaced.", "a class replaces no errors"),
    _on("proxy-cookie-path", p.replacement, "cookie_paths", M, "Paths in Set-Cookie are replaced."),
    _on("proxy-cookie-domain", p.replacement, "cookie_domains", M, "Domains in Set-Cookie are replaced."),
    _on("proxy-redirect-from", p.location, "location_from", M, "Beginnings of Location that are replaced."),
    _on("proxy-redirect-to", p.location, "location_to", M, "What they are replaced by."),
    _on(
        "server-alias",
        p.listed(p.host),
        "server_alias",
        H,
        "More hosts with the same rules, unless a rule of another Ingress has the host.",
    ),
    _on("mirror-target", p.url, "mirror_target", H, "A copy of each request goes here."),
    _on("mirror-host", p.authority, "mirror_host", H, "The Host header of the copy."),
    _no("mirror-request-body", _U, L, "Whether the copy has the body.", "the copy always has the body"),
    _on("enable-access-log", p.boolean, "access_log", L, "Whether requests are logged."),
    _no("enable-rewrite-log", _I, L, "Rewrites are logged.", "weir explain says how a request is rewritten"),
    _no("http2-push-preload", _I, L, "Link headers become HTTP/2 pushes.", "browsers have taken HTTP/2 push out"),
    # TLS to backends
    _on(
        "proxy-ssl-secret",
        p.text_name,
        "ssl_secret",
        M,
        "A Secret with the authorities of backends (ca.crt) and our certificate for them.",
        security=True,
    ),
    _on("proxy-ssl-ciphers", p.ciphers, "ssl_ciphers", M, "Ciphers towards backends.", security=True),
    _on("proxy-ssl-protocols", p.protocols, "ssl_protocols", L, "TLS versions towards backends.", security=True),
    _on("proxy-ssl-name", p.host, "ssl_name", H, "The name that a backend's certificate must have.", security=True),
    _on("proxy-ssl-verify", p.on_off, "ssl_verify", L, "Whether a backend's certificate is verified.", security=True),
    _on(
        "proxy-ssl-verify-depth",
        p.between(0, 100),
        "ssl_verify_depth",
        L,
        "How long a backend's chain may be.",
        security=True,
    ),
    _on("proxy-ssl-server-name", p.on_off, "ssl_server_name", L, "Whether backends get the name by SNI."),
    # TLS to clients
    _no(
        "ssl-ciphers",
        _U,
        L,
        "Ciphers towards clients of this host.",
        "ciphers are chosen for a class (spec.tls.ciphers of its parameters)",
    ),
    _no("ssl-prefer-server-ciphers", _I, L, "Whose order of ciphers counts.", "the server's order counts"),
    _on(
        "ssl-passthrough",
        p.boolean,
        "ssl_passthrough",
        L,
        "TLS of the hosts goes unopened to the Service of their path /; HTTP is redirected to HTTPS.",
    ),
    # its load balancer
    _on(
        "scale",
        p.between(1, 100),
        "scale",
        L,
        "A load balancer of its own with so many instances, each on a host of its own. Also without a prefix.",
    ),
    _on(
        "http-port",
        p.between(1, 65535),
        "http_port",
        L,
        "The port for HTTP of a load balancer of its own. Also `http.port`.",
    ),
    _on(
        "https-port",
        p.between(1, 65535),
        "https_port",
        L,
        "The port for HTTPS of a load balancer of its own. Also `https.port`.",
    ),
    _on(
        "allow-http",
        p.boolean,
        "allow_http",
        L,
        "With `false` nothing is served over HTTP: a load balancer of its own does not listen for it, one that others share redirects to HTTPS. Also `allow.http`.",
    ),
    _on(
        "load-balancer",
        p.a(Name),
        "load_balancer",
        L,
        "`own`: a load balancer of its own; `shared`: that of its class, whatever the class says; another word: one for all Ingresses of the namespace that say it.",
    ),
    # what stays out
    _no("fastcgi-index", _U, M, "The index file of FastCGI.", "FastCGI is not spoken"),
    _no("fastcgi-params-configmap", _U, M, "Parameters of FastCGI.", "FastCGI is not spoken"),
    _no("configuration-snippet", _R, C, "Text for the location.", _SNIPPET),
    _no("server-snippet", _R, C, "Text for the server.", _SNIPPET),
    _no("stream-snippet", _R, C, "Text for the stream block.", _SNIPPET),
    _no("enable-modsecurity", _U, L, "A web application firewall.", _WAF),
    _no("enable-owasp-core-rules", _U, L, "The firewall's core rules.", _WAF),
    _no("modsecurity-transaction-id", _U, H, "The firewall's transaction id.", _WAF),
    # workloads as backends
    _on(
        "workload-port",
        p.pod_ports,
        "workload_ports",
        L,
        "The port of pods behind `backend.resource`: a name or number for all workloads, or several as WORKLOAD=PORT; needed where containers do not name exactly one.",
    ),
    _no("modsecurity-snippet", _R, C, "Rules of the firewall.", _SNIPPET),
    _no("enable-opentelemetry", _U, L, "Requests are traced.", "tracing is chosen for the whole load balancer"),
    _no(
        "opentelemetry-trust-incoming-span",
        _U,
        L,
        "Spans of clients are trusted.",
        "tracing is chosen for the whole load balancer",
    ),
    _no(
        "opentelemetry-operation-name", _U, M, "The name of the span.", "tracing is chosen for the whole load balancer"
    ),
)

TABLE: dict[str, Row] = {row.name: row for row in ROWS}

REMOVED: dict[str, str] = {
    "secure-backends": "use backend-protocol: HTTPS",
    "grpc-backend": "use backend-protocol: GRPC",
    "add-base-url": "let the application write its links",
    "base-url-scheme": "let the application write its links",
    "session-cookie-hash": "take it out",
    "mirror-uri": "use mirror-target",
    "global-rate-limit": "use limit-rps",
    "global-rate-limit-window": "use limit-rps",
    "global-rate-limit-key": "use limit-rps",
    "global-rate-limit-ignored-cidrs": "use limit-allowlist",
    "enable-opentracing": "take it out",
    "enable-influxdb": "take it out",
    "influxdb-measurement": "take it out",
    "influxdb-port": "take it out",
    "influxdb-host": "take it out",
    "influxdb-server-name": "take it out",
    "secure-verify-ca-secret": "use proxy-ssl-secret",
}
"""Names that ingress-nginx itself has dropped, with what to do."""
