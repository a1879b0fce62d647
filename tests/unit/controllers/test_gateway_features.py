"""What a GatewayClass says it supports: names as upstream has them, and with Envoy all of them."""

import pytest

from weirkeeper.controllers.gateway.features import supported
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.providers.haproxy import PROVIDER as HAPROXY
from weirkeeper.providers.nginx import PROVIDER as NGINX

CORE = {"Gateway", "GRPCRoute", "HTTPRoute", "ReferenceGrant", "TLSRoute"}
IN_NO_PROFILE = {"GRPCRouteNamedRouteRule"}
_EXTENDED = """
BackendTLSPolicy BackendTLSPolicySANValidation GatewayAddressEmpty GatewayBackendClientCertificate GatewayFrontendClientCertificateValidation
GatewayFrontendClientCertificateValidationInsecureFallback GatewayHTTPListenerIsolation GatewayHTTPSListenerDetectMisdirectedRequests
GatewayInfrastructure GatewayPort8080 GatewayStaticAddresses HTTPRoute303RedirectStatusCode HTTPRoute307RedirectStatusCode
HTTPRoute308RedirectStatusCode HTTPRouteBackendProtocolH2C HTTPRouteBackendProtocolWebSocket HTTPRouteBackendRequestHeaderModification
HTTPRouteBackendTimeout HTTPRouteCORS HTTPRouteDestinationPortMatching HTTPRouteHostRewrite HTTPRouteMethodMatching HTTPRouteNamedRouteRule
HTTPRouteParentRefPort HTTPRoutePathRedirect HTTPRoutePathRewrite HTTPRoutePortRedirect HTTPRouteQueryParamMatching HTTPRouteRequestMirror
HTTPRouteRequestMultipleMirrors HTTPRouteRequestPercentageMirror HTTPRouteRequestTimeout HTTPRouteResponseHeaderModification HTTPRouteRetry
HTTPRouteRetryBackendTimeout HTTPRouteRetryConnectionError HTTPRouteSchemeRedirect ListenerSet TCPRoute TLSRouteModeMixed TLSRouteModeTerminate UDPRoute
"""
EXTENDED = set(_EXTENDED.split())
"""Of the gateway side (sigs.k8s.io/gateway-api, pkg/features, v1.6.3)."""


def test_with_envoy_everything_is_claimed() -> None:
    assert len(EXTENDED) == 42
    assert set(supported(ENVOY.capabilities.supported, fleets=True)) == CORE | EXTENDED | IN_NO_PROFILE


@pytest.mark.parametrize("provider", [HAPROXY, NGINX], ids=lambda one: one.name)
def test_no_name_is_ours_and_the_core_of_http_is_there(provider) -> None:
    claimed = set(supported(provider.capabilities.supported))
    assert claimed < CORE | EXTENDED | IN_NO_PROFILE
    assert {"Gateway", "HTTPRoute", "ReferenceGrant"} < claimed
    assert "GatewayInfrastructure" not in claimed


@pytest.mark.parametrize(
    ("provider", "number"), [(HAPROXY, 35), (NGINX, 39)], ids=lambda one: getattr(one, "name", one)
)
def test_how_many_of_the_extended_names_are_claimed(provider, number) -> None:
    assert len(EXTENDED & set(supported(provider.capabilities.supported, fleets=True))) == number


def test_calls_are_claimed_where_clients_may_make_them_without_tls() -> None:
    """NGINX 1.22 speaks HTTP/2 by TLS alone."""
    assert "GRPCRoute" in supported(HAPROXY.capabilities.supported)
    assert "GRPCRoute" not in supported(NGINX.capabilities.supported)
