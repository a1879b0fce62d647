"""Which aspect of a migration each annotation is about. A test compares the names with the table of annotations: none is without an aspect."""

from weirkeeper.migrate.notes import Aspect

_NAMES: dict[Aspect, str] = {
    Aspect.ACCESS_LOG: "enable-access-log",
    Aspect.AFFINITY: """affinity affinity-mode session-cookie-name session-cookie-secure session-cookie-expires session-cookie-max-age session-cookie-path session-cookie-domain
        session-cookie-samesite upstream-hash-by""",
    Aspect.ALIAS: "server-alias",
    Aspect.APP_ROOT: "app-root",
    Aspect.AUTH: """auth-type auth-secret auth-secret-type auth-realm auth-url auth-method auth-signin auth-signin-redirect-param auth-response-headers auth-always-set-cookie
        auth-proxy-set-headers auth-request-redirect""",
    Aspect.BACKEND_TLS: "proxy-ssl-secret proxy-ssl-ciphers proxy-ssl-protocols proxy-ssl-name proxy-ssl-verify proxy-ssl-verify-depth proxy-ssl-server-name",
    Aspect.BALANCING: "load-balance",
    Aspect.BODY_LIMIT: "proxy-body-size",
    Aspect.BUFFERING: "proxy-request-buffering",
    Aspect.CANARY: "canary canary-weight canary-weight-total canary-by-header canary-by-header-value canary-by-header-pattern canary-by-cookie",
    Aspect.CLIENT_CERTIFICATES: "auth-tls-secret auth-tls-verify-client auth-tls-verify-depth auth-tls-pass-certificate-to-upstream",
    Aspect.CONNECT_TIMEOUT: "proxy-connect-timeout",
    Aspect.COOKIES: "proxy-cookie-path proxy-cookie-domain",
    Aspect.CORS: "enable-cors cors-allow-origin cors-allow-headers cors-allow-methods cors-allow-credentials cors-expose-headers cors-max-age",
    Aspect.ERROR_PAGES: "custom-http-errors default-backend",
    Aspect.EXPRESSIONS: "use-regex",
    Aspect.FORWARDED_PREFIX: "x-forwarded-prefix",
    Aspect.FRONT: "scale http-port https-port allow-http load-balancer",
    Aspect.HOST_REWRITE: "upstream-vhost",
    Aspect.HTTPS_REDIRECT: "ssl-redirect force-ssl-redirect",
    Aspect.IDLE_TIMEOUT: "proxy-read-timeout proxy-send-timeout",
    Aspect.IP_RULES: "allowlist-source-range whitelist-source-range denylist-source-range",
    Aspect.LOCATIONS: "proxy-redirect-from proxy-redirect-to",
    Aspect.MIRRORS: "mirror-target mirror-host",
    Aspect.PASSTHROUGH: "ssl-passthrough",
    Aspect.PROTOCOL: "backend-protocol",
    Aspect.RATE_LIMITS: "limit-connections limit-rps limit-rpm limit-burst-multiplier limit-allowlist limit-whitelist",
    Aspect.REDIRECT: "permanent-redirect permanent-redirect-code temporal-redirect temporal-redirect-code",
    Aspect.REQUEST_HEADERS: "connection-proxy-header",
    Aspect.RESPONSE_HEADERS: "custom-headers",
    Aspect.RETRY: "proxy-next-upstream proxy-next-upstream-tries",
    Aspect.REWRITE: "rewrite-target",
    Aspect.SERVICE_ADDRESS: "service-upstream",
    Aspect.WORKLOADS: "workload-port",
    Aspect.WWW: "from-to-www-redirect",
}

ASPECT_OF: dict[str, Aspect] = {name: aspect for aspect, names in _NAMES.items() for name in names.split()}
"""The aspect that an annotation is about, by its name without a prefix."""
