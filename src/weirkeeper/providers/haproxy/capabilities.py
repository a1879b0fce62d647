"""What this provider can do with HAProxy 2.6. A feature stands here only when the conformance suite proves it; what is not here is refused before it comes here."""

from weirkeeper.model.features import Capabilities, Limits, UpdateStyle
from weirkeeper.providers.haproxy.translate.guards import SCHEMES

SUPPORTED = """
RegexPathMatch StringPrefixPathMatch HTTPRouteHeaderMatching RegexHeaderMatch HTTPRouteQueryParamMatching RegexHostMatch HTTPRouteMethodMatching SchemeMatch SourceIpMatch
HTTPRouteRequestHeaderModification HTTPRouteResponseHeaderModification HTTPRouteBackendRequestHeaderModification
HTTPRouteHostRewrite HTTPRoutePathRewrite RegexPathRewrite RegexRedirect HTTPRouteSchemeRedirect HTTPRoutePortRedirect HTTPRoutePathRedirect DirectResponse
HTTPRouteRetry IdleTimeout WeightedBackends CookieAffinity HeaderAffinity SourceIpAffinity ConsistentHash LeastRequest RandomBalancing
BackendProtocolHTTPS HTTPRouteBackendProtocolH2C HTTPRouteBackendProtocolWebSocket BackendProtocolGRPC DnsBackend ServiceAddressBackend
ActiveHealthChecks SlowStart BackendProxyProtocol HTTPRouteCORS CookieRewrite PrefixXForwarded LocationRewrite
IpRules IpRulesStatus ExternalAuth ExternalAuthHost ExternalAuthMethod ExternalAuthSignIn BasicAuth BasicAuthRealm LocalRateLimit ConnectionLimit RateLimitExceptions
BackendTLSPolicy BackendSystemTrust BackendClientCertificate
TLSTermination TLSRoute TLSPassthrough TLSRouteModeTerminate TCPRoute ClientCertificateValidation GatewayFrontendClientCertificateValidationInsecureFallback TlsVersions TlsCiphers ProxyProtocol ListenerConnectionLimit AccessLog RouteAccessLog
"""

CAPABILITIES = Capabilities(
    engine="haproxy",
    version="2.6",
    supported=frozenset(SUPPORTED.split()),
    degrades={
        "RefusedShare": "the share of a backend that is not there goes to the others",
        "PeakEwma": "the endpoint with the fewest connections is chosen, whatever its latency",
        "HTTPRouteRequestTimeout": "each wait for the backend is limited, not the request as a whole",
        "HTTPRouteBackendTimeout": "each wait for the backend is limited, not the try as a whole",
        "RetryStatuses": "of answers only 401, 403, 404, 408, 425 and 500 to 504 are tried again",
        "RetryBackoff": "there is no pause between tries",
        "ExternalAuthOriginal": "of bodies at most about 12 KiB can be shown to the service, and only those that say their length; others are refused",
        "RetryBudget": "how often each request is tried again is limited, not the share of all",
        "PassiveHealthChecks": "all endpoints may be left out at once, and one comes back when it takes a connection",
        "BackendTLSPolicySANValidation": "of several names only the first is compared and asked for, and a backend that is to be known by a URI is not reached",
        "BufferedRequests": "of a body about 12 KiB are read before the backend sees it",
        "CustomErrorPages": "of the load balancer's own errors only those are replaced that come of a Service without endpoints",
        "HTTPRouteRequestMirror": "a request is copied when its body has a length, of at most about 12 KiB",
        "HTTPRouteRequestMultipleMirrors": "a request is copied when its body has a length, of at most about 12 KiB",
        "HTTPRouteRequestPercentageMirror": "a request is copied when its body has a length, of at most about 12 KiB",
        "GRPCRouteRequestMirror": "calls are not copied",
        "RequestBodyLimit": "a body that does not say its length is refused above about 12 KiB, whatever the limit",
        "CertificateDepth": "a chain of certificates may be of any length",
        "CircuitBreakers": "the requests under way to a backend are limited for each group of equal routes; retries and connections are not counted apart",
    },
    limits=Limits(password_schemes=SCHEMES),
    config_updates=UpdateStyle.HITLESS_RELOAD,
)
