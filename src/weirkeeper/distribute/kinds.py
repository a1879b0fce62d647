"""The kinds of items that delta ADS carries and what an engine does with each, as constants and one question.

Comes in: a type URL. Goes out: how it is subscribed and in which order kinds are sent. No state, no wire format.
"""

GOOGLE = "type.googleapis.com/"
CDS = GOOGLE + "envoy.config.cluster.v3.Cluster"
EDS = GOOGLE + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SDS = GOOGLE + "envoy.extensions.transport_sockets.tls.v3.Secret"
ECDS = GOOGLE + "envoy.config.core.v3.TypedExtensionConfig"
LDS = GOOGLE + "envoy.config.listener.v3.Listener"
SRDS = GOOGLE + "envoy.config.route.v3.ScopedRouteConfiguration"
RDS = GOOGLE + "envoy.config.route.v3.RouteConfiguration"

OURS = GOOGLE + "weirkeeper.v1."
LOAD_BALANCER = OURS + "LoadBalancer"
TRUST_BUNDLE = OURS + "TrustBundle"
CERTIFICATE = OURS + "Certificate"
SHOWN_FOR = OURS + "ServerName"
ENDPOINT_SET = OURS + "EndpointSet"
BACKEND = OURS + "Backend"
VIRTUAL_HOST = OURS + "VirtualHost"
LISTENER = OURS + "Listener"
L4_ROUTE = OURS + "L4Route"

NEUTRAL = (LOAD_BALANCER, TRUST_BUNDLE, CERTIFICATE, SHOWN_FOR, ENDPOINT_SET, BACKEND, VIRTUAL_HOST, LISTENER, L4_ROUTE)
"""Items in words that no engine owns, for agents. They wait for each other never: an agent takes all that comes in one round as one change.
Younger kinds stand behind older ones (``subscription.ASKED``)."""

SERVER_NAME = "weirkeeper.ServerName"
"""Never sent: which secret (the body is its name) stands behind a name that engines ask for by SNI."""

ORDER = (CDS, EDS, SDS, ECDS, LDS, SRDS, RDS, *NEUTRAL)
"""What is there before what: an engine may be told of a kind when those in front of it are on their way."""

BY_NAME = frozenset({EDS, SDS, ECDS, RDS})
"""Asked for by name, after something that names them has arrived. They never hold that something up."""

ROUTES = frozenset({SRDS, RDS})
"""Kinds that send requests to clusters: these wait for what they need, for ever if it never comes."""

PORTS = frozenset({LDS, LISTENER})
"""Kinds that bind ports. One may be taken on one machine and free on another, now taken and then free."""


def rank(kind: str) -> int:
    """The place of a kind in the order of sending; unknown kinds come last."""
    return ORDER.index(kind) if kind in ORDER else len(ORDER)
