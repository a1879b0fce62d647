"""What this provider can do with NGINX 1.22, its Lua module and its stream module. A feature stands here only when the conformance suite proves it; what is not here is refused before it comes here."""

from weirkeeper.model.features import Capabilities, Limits, UpdateStyle
from weirkeeper.model.passwords import PasswordScheme

SUPPORTED = """
RegexPathMatch StringPrefixPathMatch HTTPRouteHeaderMatching RegexHeaderMatch HTTPRouteQueryParamMatching RegexHostMatch HTTPRouteMethodMatching SchemeMatch SourceIpMatch
HTTPRouteRequestHeaderModification HTTPRouteResponseHeaderModification HTTPRouteBackendRequestHeaderModification
HTTPRouteHostRewrite HTTPRoutePathRewrite RegexPathRewrite RegexRedirect HTTPRouteSchemeRedirect HTTPRoutePortRedirect HTTPRoutePathRedirect DirectResponse
HTTPRouteRequestMirror HTTPRouteRequestMultipleMirrors HTTPRouteRequestPercentageMirror HTTPRouteRetry HTTPRouteRequestTimeout IdleTimeout WeightedBackends RefusedShare CookieAffinity HeaderSession HeaderAffinity SourceIpAffinity ConsistentHash LeastRequest RandomBalancing PeakEwma
BackendProtocolHTTPS HTTPRouteBackendProtocolH2C HTTPRouteBackendProtocolWebSocket DnsBackend ServiceAddressBackend
ActiveHealthChecks PassiveHealthChecks SlowStart HTTPRouteCORS CookieRewrite PrefixXForwarded LocationRewrite BufferedRequests
IpRules IpRulesStatus ExternalAuth ExternalAuthHost ExternalAuthMethod ExternalAuthSignIn BasicAuth BasicAuthRealm LocalRateLimit ConnectionLimit RateLimitExceptions RequestBodyLimit
BackendTLSPolicy BackendSystemTrust BackendClientCertificate
TCPRoute UDPRoute TLSRoute TLSPassthrough TLSRouteModeTerminate TLSTermination ClientCertificateValidation GatewayFrontendClientCertificateValidationInsecureFallback CertificateDepth TlsVersions TlsCiphers ProxyProtocol AccessLog RouteAccessLog
"""

SCHEMES: frozenset[PasswordScheme] = frozenset(
    {"sha", "ssha", "apr1", "md5-crypt", "bcrypt", "sha256-crypt", "sha512-crypt", "crypt"}
)

CAPABILITIES = Capabilities(
    engine="nginx",
    version="1.22",
    supported=frozenset(SUPPORTED.split()),
    degrades={
        "BackendProtocolGRPC": "clients are spoken to by HTTP/2 only where they come by TLS",
        "CircuitBreakers": "the requests under way to a backend are limited; retries and connections are not counted apart",
        "HTTPRouteBackendTimeout": "each wait for the backend is limited, not the try as a whole",
        "RetryStatuses": "of answers only 403, 404, 429, 500 and 502 to 504 are tried again",
        "RetryBackoff": "there is no pause between tries",
        "ExternalAuthOriginal": "of bodies at most 64 KiB can be shown to the service, and only those that say their length; others are refused",
        "RetryBudget": "how often each request is tried again is limited, not the share of all",
        "BackendTLSPolicySANValidation": "of several names only the first is compared, and the backend is asked for by it; one that is to be known by a URI is not reached",
        "CustomErrorPages": "of the load balancer's own errors only those are replaced that come of a Service without endpoints",
        "GRPCRouteRequestMirror": "calls are not copied",
    },
    limits=Limits(password_schemes=SCHEMES),
    config_updates=UpdateStyle.HITLESS_RELOAD,
)
