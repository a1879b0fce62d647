"""What Envoy can do through this provider: only what is translated and proven on a real Envoy."""

from weirkeeper.model.features import Capabilities, Limits
from weirkeeper.providers.envoy.translate.basic_auth import SCHEMES

SUPPORTED = """
RegexPathMatch StringPrefixPathMatch HTTPRouteHeaderMatching RegexHeaderMatch HTTPRouteQueryParamMatching HTTPRouteMethodMatching SchemeMatch
RegexHostMatch HTTPRouteRequestHeaderModification HTTPRouteResponseHeaderModification HTTPRouteBackendRequestHeaderModification
HTTPRouteHostRewrite HTTPRoutePathRewrite RegexPathRewrite HTTPRouteSchemeRedirect HTTPRoutePortRedirect HTTPRoutePathRedirect RegexRedirect
HTTPRouteRequestMirror HTTPRouteRequestMultipleMirrors HTTPRouteRequestPercentageMirror GRPCRouteRequestMirror HTTPRouteRequestTimeout HTTPRouteBackendTimeout IdleTimeout HTTPRouteRetry RetryStatuses RetryBudget
WeightedBackends RefusedShare CookieAffinity HeaderSession HeaderAffinity SourceIpAffinity ConsistentHash LeastRequest RandomBalancing DirectResponse
BackendProtocolHTTPS HTTPRouteBackendProtocolH2C HTTPRouteBackendProtocolWebSocket BackendProtocolGRPC DnsBackend ServiceAddressBackend
ActiveHealthChecks PassiveHealthChecks CircuitBreakers SlowStart BackendProxyProtocol HTTPRouteCORS PrefixXForwarded
CustomErrorPages CookieRewrite LocationRewrite
IpRules BasicAuth BasicAuthRealm ExternalAuth GrpcExternalAuth ExternalAuthOriginal ExternalAuthHost ExternalAuthMethod ExternalAuthSignIn LocalRateLimit RateLimitExceptions RequestBodyLimit BufferedRequests
BackendTLSPolicy BackendSystemTrust BackendTLSPolicySANValidation BackendClientCertificate TlsVersions TlsCiphers ClientCertificateValidation CertificateDepth
GatewayFrontendClientCertificateValidationInsecureFallback
TLSTermination TLSRoute TLSPassthrough TLSRouteModeTerminate TCPRoute UDPRoute ProxyProtocol AccessLog
"""

CAPABILITIES = Capabilities(
    engine="envoy",
    version="1.40",
    supported=frozenset(SUPPORTED.split()),
    degrades={
        "RetryBackoff": "a pause is as long as chance makes it: up to that long at first, longer from try to try",
        "PeakEwma": "the one of two endpoints with fewer requests under way is chosen, whatever their latency",
        "IpRulesStatus": "refused addresses get 403",
    },
    limits=Limits(regex_length=1024, password_schemes=SCHEMES),
)
