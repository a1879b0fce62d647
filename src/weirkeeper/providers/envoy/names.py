"""Names that Envoy and we agree on: type URLs, our filters, internal headers and metadata. Constants only."""

TYPE = "type.googleapis.com/"

LISTENER = TYPE + "envoy.config.listener.v3.Listener"
SCOPE = TYPE + "envoy.config.route.v3.ScopedRouteConfiguration"
ROUTES = TYPE + "envoy.config.route.v3.RouteConfiguration"
CLUSTER = TYPE + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET = TYPE + "envoy.extensions.transport_sockets.tls.v3.Secret"
EXTENSION = TYPE + "envoy.config.core.v3.TypedExtensionConfig"

SCOPE_HEADER = "x-weir-scope"
"""The scope key of a request: set before routing, removed before the backend."""

WALK_HEADER = "x-weir-walk"
"""How far the key filter came with a request: ``again`` or ``done``."""

SKIP_HEADERS = {"weir.basic": "x-weir-skip-basic", "weir.auth": "x-weir-skip-auth", "weir.buffer": "x-weir-skip-buffer"}
"""Filters without a default that does nothing, and the internal header that switches each off (see ``http_filters``)."""

KEYS = "weir.keys"
IP_RULES = "weir.ip"
CORS = "weir.cors"
RATE = "weir.rate"
BASIC = "weir.basic"
AUTH = "weir.auth"
BUFFER = "weir.buffer"
SESSION = "weir.session"

OPTIONAL = (CORS, IP_RULES, RATE, BASIC, AUTH, BUFFER, SESSION)
"""Filters that a route switches on, in the order of their running."""

INTERNAL_HEADERS = (SCOPE_HEADER, WALK_HEADER, *SKIP_HEADERS.values())


def certificate_name(certificate: str) -> str:
    """The secret of a certificate. It holds a ``/``, so no server name can equal it."""
    return "cert/" + certificate


def bundle_name(bundle: str) -> str:
    """The secret of a trust bundle."""
    return "ca/" + bundle
