"""The kinds of object that the Gateway API controller reads: those of the standard channel, of the experimental one, and what they refer to."""

from weirkeeper.controllers.base import Kind
from weirkeeper.controllers.shared.parameters import GROUP as PARAMETERS_GROUP
from weirkeeper.controllers.shared.parameters import LoadBalancerClassParameters
from weirkeeper.kube.gateway_backends import XBackend
from weirkeeper.kube.gateway_experimental import CERTIFICATES, ClusterTrustBundle
from weirkeeper.kube.gateway_policies import BackendTLSPolicy, XBackendTrafficPolicy
from weirkeeper.kube.gateway_routes import GRPCRoute, HTTPRoute
from weirkeeper.kube.gateway_streams import TCPRoute, TLSRoute, UDPRoute
from weirkeeper.kube.gateway_types import EXPERIMENTAL, GROUP, Gateway, GatewayClass, ListenerSet, ReferenceGrant
from weirkeeper.kube.types import Namespace

GATEWAY = (GROUP, "Gateway")
"""Where the cluster does not serve this kind, none of them is read."""

KINDS: tuple[Kind, ...] = (
    Kind(group=GROUP, version="v1", kind="GatewayClass", namespaced=False, type=GatewayClass, only_with=GATEWAY),
    Kind(group=GROUP, version="v1", kind="Gateway", type=Gateway, only_with=GATEWAY),
    Kind(group=GROUP, version="v1", kind="ListenerSet", type=ListenerSet, only_with=GATEWAY),
    Kind(group=GROUP, version="v1", kind="HTTPRoute", type=HTTPRoute, only_with=GATEWAY),
    Kind(group=GROUP, version="v1", kind="GRPCRoute", type=GRPCRoute, only_with=GATEWAY),
    Kind(group=GROUP, version="v1", kind="TLSRoute", type=TLSRoute, only_with=GATEWAY),
    Kind(group=GROUP, version="v1", kind="TCPRoute", type=TCPRoute, only_with=GATEWAY),
    Kind(group=GROUP, version="v1", kind="UDPRoute", type=UDPRoute, only_with=GATEWAY),
    Kind(group=GROUP, version="v1beta1", kind="ReferenceGrant", type=ReferenceGrant, also=("v1",), only_with=GATEWAY),
    Kind(
        group=GROUP,
        version="v1",
        kind="BackendTLSPolicy",
        type=BackendTLSPolicy,
        also=("v1alpha3",),
        only_with=GATEWAY,
    ),
    Kind(
        group=EXPERIMENTAL,
        version="v1alpha1",
        kind="XBackendTrafficPolicy",
        type=XBackendTrafficPolicy,
        only_with=GATEWAY,
    ),
    Kind(group=EXPERIMENTAL, version="v1alpha1", kind="XBackend", type=XBackend, only_with=GATEWAY),
    Kind(
        group=CERTIFICATES,
        version="v1beta1",
        kind="ClusterTrustBundle",
        namespaced=False,
        type=ClusterTrustBundle,
        also=("v1alpha1",),
        only_with=GATEWAY,
    ),
    Kind(group="", version="v1", kind="Namespace", namespaced=False, type=Namespace, only_with=GATEWAY),
    Kind(
        group=PARAMETERS_GROUP,
        version="v1alpha1",
        kind="LoadBalancerClassParameters",
        namespaced=False,
        type=LoadBalancerClassParameters,
    ),
)
