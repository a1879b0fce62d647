"""What a GatewayClass says it supports (``status.supportedFeatures``): what the controller does by itself, and what the engine adds.

Comes in: the features that a provider has. Goes out: Gateway API's names (sigs.k8s.io/gateway-api, pkg/features), sorted. A name is claimed where the conformance suite can ask for it.
"""

from collections.abc import Collection

from weirkeeper.model.text import Label

_OWN = """
Gateway ReferenceGrant HTTPRoute ListenerSet GatewayPort8080 GatewayHTTPListenerIsolation GatewayHTTPSListenerDetectMisdirectedRequests
GatewayAddressEmpty GatewayStaticAddresses HTTPRouteNamedRouteRule HTTPRouteParentRefPort HTTPRouteDestinationPortMatching
"""
OWN = tuple(_OWN.split())
"""Those that need nothing of an engine but what every one has."""

OF_FLEETS = ("GatewayInfrastructure",)
"""What needs instances that we start."""

_SAME = """
BackendTLSPolicy BackendTLSPolicySANValidation GatewayFrontendClientCertificateValidationInsecureFallback HTTPRouteBackendProtocolWebSocket HTTPRouteBackendRequestHeaderModification HTTPRouteBackendTimeout HTTPRouteCORS HTTPRouteHostRewrite HTTPRouteMethodMatching
HTTPRoutePathRedirect HTTPRoutePathRewrite HTTPRoutePortRedirect HTTPRouteQueryParamMatching HTTPRouteRequestMirror HTTPRouteRequestMultipleMirrors
HTTPRouteRequestPercentageMirror HTTPRouteRequestTimeout HTTPRouteResponseHeaderModification HTTPRouteRetry HTTPRouteSchemeRedirect TCPRoute TLSRoute
TLSRouteModeTerminate UDPRoute
"""
BY_ENGINE = {
    **{name: name for name in _SAME.split()},
    "GRPCRoute": "BackendProtocolGRPC",
    "HTTPRouteBackendProtocolH2C": "HTTPRouteBackendProtocolH2C BackendProtocolGRPC",
    "GRPCRouteNamedRouteRule": "BackendProtocolGRPC",
    "GatewayBackendClientCertificate": "BackendClientCertificate",
    "GatewayFrontendClientCertificateValidation": "ClientCertificateValidation",
    "HTTPRoute303RedirectStatusCode": "HTTPRoutePathRedirect",
    "HTTPRoute307RedirectStatusCode": "HTTPRoutePathRedirect",
    "HTTPRoute308RedirectStatusCode": "HTTPRoutePathRedirect",
    "HTTPRouteRetryBackendTimeout": "HTTPRouteRetry",
    "HTTPRouteRetryConnectionError": "HTTPRouteRetry",
    "TLSRouteModeMixed": "TLSPassthrough",
}
"""Gateway API's name, and the features of ours that it takes. Where gRPC is served to the letter, clients may speak HTTP/2 without TLS: its test of backends that do asks so."""


def supported(features: Collection[str], *, fleets: bool = False) -> tuple[Label, ...]:
    """The names that can be claimed with an engine that has these features; ``fleets``: whether we start instances."""
    by_engine = (name for name, need in BY_ENGINE.items() if set(need.split()) <= set(features))
    return tuple(Label(name) for name in sorted([*OWN, *by_engine, *(OF_FLEETS if fleets else ())]))
