"""Names that Envoy and we agree on: type URLs, our filters, internal headers and metadata. Constants only."""

TYPE = "type.googleapis.com/"

LISTENER = TYPE + "envoy.config.listener.v3.Listener"
SCOPE = TYPE + "envoy.config.route.v3.ScopedRouteConfiguration"
ROUTES = TYPE + "envoy.config.route.v3.RouteConfiguration"
CLUSTER = TYPE + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = TYPE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET = TYPE + "envoy.extensions.transport_sockets.tls.v3.Secret"
EXTENSION = TYPE + "envoy.config.core.v3.TypedExtensionConfig"

SERVER_NAME = "weirkeeper.ServerName"
"""No resource of Envoy's: which secret stands behind a name that it asks for by SNI."""

SCOPE_HEADER = "x-weir-scope"
"""The scope key of a request: set before routing, removed before the backend."""

STATE_HEADER = "x-weir-state"
"""What the key filter has found for an oddly written host: ``done``, then the names of the filters that are switched off."""

DETAILS_HEADER = "x-weir-details"
"""Why Envoy answers, written into an answer where the route changes its answers, and removed by the filter that does so."""

KEYS = "weir.keys"
ANSWERS = "weir.answers"
PIECES = "pieces-{}"
"""The key filter's script for hosts in pieces, by the number of segments that choose the piece."""

IP_RULES = "weir.ip"
CORS = "weir.cors"
RATE = "weir.rate"
BASIC = "weir.basic"
AUTH = "weir.auth"
JUDGE = "weir.judge"
BUFFER = "weir.buffer"
SESSION = "weir.session"

OPTIONAL = (ANSWERS, CORS, IP_RULES, RATE, BASIC, AUTH, JUDGE, BUFFER, SESSION)
"""Filters that a route switches on, in the order of their running."""

DEMANDING = (BASIC, AUTH, JUDGE, BUFFER)
"""Those without a default that does nothing (see ``http_filters``)."""

INTERNAL_HEADERS = (SCOPE_HEADER, STATE_HEADER)


def certificate_name(certificate: str) -> str:
    """The secret of a certificate. It holds a ``/``, so no server name can equal it."""
    return "cert/" + certificate


def bundle_name(bundle: str) -> str:
    """The secret of a trust bundle."""
    return "ca/" + bundle
