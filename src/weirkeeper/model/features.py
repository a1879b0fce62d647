"""The names of abilities, what each means, and what a provider has of them.

Gateway API's own names where they exist, ours for the rest. A model field or union variant that needs a feature carries a
``Need`` mark in its annotation; ``compose.needs`` finds the marks in a value, and ``compose.fit`` compares them with a provider's
``Capabilities``. A field without a mark must be listed as core: a test fails otherwise, so a new field cannot escape.
"""

from enum import StrEnum

import msgspec

from weirkeeper.model.passwords import PasswordScheme
from weirkeeper.model.value import Value


class FeatureKind(StrEnum):
    """What the lack of a feature means: core never lacks, security fails closed, cosmetic is ignored with a finding."""

    CORE = "core"
    EXTENDED = "extended"
    SECURITY = "security"
    COSMETIC = "cosmetic"
    LISTENER = "listener"


class Feature(Value, frozen=True, kw_only=True):
    """One named ability."""

    name: str
    kind: FeatureKind
    about: str


class Need(msgspec.Struct, frozen=True):
    """The mark on a field or variant: a value here needs this feature; with ``only`` just these values do, with ``above`` a tuple of more members, with
    ``beyond`` a tuple of other members than these.
    """

    feature: str
    only: tuple[str, ...] = ()
    above: int = 0
    beyond: tuple[int, ...] = ()


def _features(kind: FeatureKind, rows: dict[str, str]) -> dict[str, Feature]:
    return {name: Feature(name=name, kind=kind, about=about) for name, about in rows.items()}


FEATURES: dict[str, Feature] = {
    **_features(
        FeatureKind.EXTENDED,
        {
            "RegexPathMatch": "Paths are matched by regular expression (RE2).",
            "StringPrefixPathMatch": "Paths are matched by a string prefix that may end inside a segment.",
            "HTTPRouteHeaderMatching": "Routes match on request headers.",
            "RegexHeaderMatch": "Header values are matched by regular expression.",
            "HTTPRouteQueryParamMatching": "Routes match on query parameters.",
            "HTTPRouteMethodMatching": "Routes match on the request method.",
            "SchemeMatch": "Routes match on whether the client came by HTTP or HTTPS.",
            "SourceIpMatch": "Routes match on the client's address.",
            "HTTPRouteRequestHeaderModification": "Request headers are set, added or removed.",
            "HTTPRouteResponseHeaderModification": "Response headers are set, added or removed.",
            "HTTPRouteBackendRequestHeaderModification": "Request headers are edited per backend.",
            "HTTPRouteHostRewrite": "The Host header is rewritten before the backend.",
            "HTTPRoutePathRewrite": "The path, or its matched prefix, is replaced before the backend.",
            "RegexPathRewrite": "The path is rewritten by regular expression with capture groups.",
            "HTTPRouteSchemeRedirect": "Redirects change the scheme.",
            "HTTPRoutePortRedirect": "Redirects change the port.",
            "HTTPRoutePathRedirect": "Redirects change the path.",
            "RegexRedirect": "Redirects rewrite the path by regular expression.",
            "HTTPRouteRequestMirror": "Requests are copied to a second backend.",
            "HTTPRouteRequestMultipleMirrors": "Requests are copied to several backends.",
            "HTTPRouteRequestPercentageMirror": "A share of requests is copied to a second backend.",
            "GRPCRouteRequestMirror": "Calls by gRPC are copied to a second backend.",
            "HTTPRouteRequestTimeout": "The whole request has a time limit.",
            "HTTPRouteBackendTimeout": "One try at a backend has a time limit.",
            "IdleTimeout": "A stream without bytes is ended after a time.",
            "HTTPRouteRetry": "Failed requests are tried again.",
            "RetryStatuses": "Other answers than 500, 502, 503 and 504 are tried again.",
            "RetryBackoff": "There is a pause between tries.",
            "RetryBudget": "The share of requests that may be retries is limited.",
            "WeightedBackends": "Traffic is split between backends by weight.",
            "RefusedShare": "A share of requests that leads nowhere is answered 500.",
            "CookieAffinity": "A cookie keeps a client on one endpoint.",
            "HeaderAffinity": "A header keeps a client on one endpoint.",
            "HeaderSession": "A header of answers, sent back by clients, keeps them on one endpoint.",
            "SourceIpAffinity": "The client's address keeps it on one endpoint.",
            "ConsistentHash": "Endpoints are chosen by consistent hashing.",
            "LeastRequest": "Endpoints with fewer requests under way are preferred.",
            "RandomBalancing": "Endpoints are chosen at random.",
            "PeakEwma": "Endpoints that answer faster are preferred.",
            "DirectResponse": "The load balancer answers with a text of its own.",
            "CustomErrorPages": "Error answers of a backend are replaced by another backend's.",
            "BufferedRequests": "A request body is read whole before the backend sees it.",
            "BackendProtocolHTTPS": "Backends are spoken to by TLS.",
            "HTTPRouteBackendProtocolH2C": "Backends are spoken to by HTTP/2 without TLS.",
            "HTTPRouteBackendProtocolWebSocket": "Backends may be upgraded to WebSocket.",
            "BackendProtocolGRPC": "Backends speak gRPC.",
            "BackendProtocolFCGI": "Backends speak FastCGI.",
            "DnsBackend": "Backends are found by a DNS name.",
            "ServiceAddressBackend": "Backends are reached by the Service's cluster address.",
            "ActiveHealthChecks": "Endpoints are probed.",
            "PassiveHealthChecks": "Endpoints that fail are ejected for a time.",
            "CircuitBreakers": "Connections and requests to a backend are limited.",
            "SlowStart": "A new endpoint gets its share little by little.",
            "BackendProxyProtocol": "The PROXY protocol is spoken to backends.",
            "HTTPRouteCORS": "Cross-origin requests are answered by policy.",
            "RegexHostMatch": "Hosts are matched by regular expression.",
            "BodyCompression": "Answers are compressed.",
            "CookieRewrite": "Set-Cookie paths and domains are rewritten.",
            "LocationRewrite": "Location headers of answers are rewritten.",
            "BandwidthLimit": "Bytes per second are limited.",
            "PrefixXForwarded": "X-Forwarded-Prefix is sent to backends.",
            "NativePatch": "An engine-specific typed patch is applied.",
            "CircuitPriority": "Requests are given a priority.",
        },
    ),
    **_features(
        FeatureKind.SECURITY,
        {
            "IpRules": "Clients are let in or kept out by address.",
            "BasicAuth": "Users and passwords are asked for (RFC 7617).",
            "DigestAuth": "Users and passwords are asked for (RFC 7616).",
            "ExternalAuth": "A service decides on each request.",
            "GrpcExternalAuth": "A gRPC service decides on each request.",
            "ExternalAuthSignIn": "Clients without a login are redirected to a sign-in page.",
            "ExternalAuthMethod": "The authentication service is asked with a method of its own.",
            "ExternalAuthOriginal": "The authentication service is asked with the request's own method and path.",
            "ExternalAuthHost": "The authentication service is asked under a host of its own.",
            "BasicAuthRealm": "A realm is shown when a password is asked for.",
            "RateLimitExceptions": "Some addresses are not limited.",
            "IpRulesStatus": "Refused addresses get a status of choice.",
            "ListenerConnectionLimit": "Connections of a listener are limited.",
            "JwtAuth": "Requests carry a signed token.",
            "LocalRateLimit": "Requests per time are limited at each instance.",
            "GlobalRateLimit": "Requests per time are limited by a shared service.",
            "ConnectionLimit": "Connections per client are limited.",
            "RequestBodyLimit": "Request bodies over a size are refused with 413.",
            "ClientCertificateValidation": "Clients show a certificate that is verified.",
            "GatewayFrontendClientCertificateValidationInsecureFallback": "Clients are let in whose certificate cannot be verified.",
            "CertificateDepth": "The length of a peer's chain of certificates is limited.",
            "BackendTLSPolicy": "A backend's certificate is verified.",
            "BackendSystemTrust": "A backend's certificate is verified by the authorities of the platform.",
            "BackendTLSPolicySANValidation": "A backend's alternative names are verified.",
            "BackendClientCertificate": "The load balancer shows a certificate to backends.",
            "TlsVersions": "TLS versions are limited.",
            "TlsCiphers": "TLS ciphers are limited.",
        },
    ),
    **_features(
        FeatureKind.LISTENER,
        {
            "TLSTermination": "TLS ends at the load balancer.",
            "TLSRoute": "Ports lead TLS connections on by the name that clients ask for.",
            "TLSPassthrough": "TLS connections go to the backend of their name unopened.",
            "TLSRouteModeTerminate": "TLS ends at the load balancer, and what was in it is forwarded as bytes.",
            "TCPRoute": "TCP connections are forwarded.",
            "UDPRoute": "UDP datagrams are forwarded.",
            "Http3": "HTTP/3 is served.",
            "ProxyProtocol": "The PROXY protocol is accepted.",
        },
    ),
    **_features(
        FeatureKind.COSMETIC,
        {
            "AccessLog": "Requests are logged.",
            "RouteAccessLog": "Requests of a route are left out of the log.",
            "StatsName": "Metrics carry a chosen name.",
            "Tracing": "Requests are traced.",
        },
    ),
}
"""Every feature with its kind and one sentence."""


class UpdateStyle(StrEnum):
    """How a change reaches the engine."""

    LIVE = "live"
    HITLESS_RELOAD = "hitless-reload"
    RESTART = "restart"


class Limits(Value, frozen=True, kw_only=True):
    """How much an engine takes; ``None`` is unlimited. ``password_schemes`` are the kinds of password hashes that it compares."""

    routes: int | None = None
    listeners: int | None = None
    certificates: int | None = None
    regex_length: int | None = None
    password_schemes: frozenset[PasswordScheme] | None = None
    ports: tuple[int, ...] | None = None


class Capabilities(Value, frozen=True, kw_only=True):
    """What one kind of engine can do, declared by its provider and published."""

    engine: str
    version: str
    supported: frozenset[str]
    degrades: dict[str, str] = {}
    limits: Limits = Limits()
    endpoint_updates: UpdateStyle = UpdateStyle.LIVE
    config_updates: UpdateStyle = UpdateStyle.LIVE

    def lacks(self, feature: str) -> bool:
        """Whether a value that needs the feature cannot be programmed, not even by an approximation."""
        return feature not in self.supported and feature not in self.degrades
