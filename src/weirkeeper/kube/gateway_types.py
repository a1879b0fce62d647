"""The fields of Gateways, their listeners and their grants that we read (sigs.k8s.io/gateway-api v1.6 and v1.7), and no others; and what all kinds share.

Comes in: JSON or YAML of an object. Goes out: small frozen structs, as in ``types``. A list that an owner may leave out is empty here.
The status and the resource version are for whoever writes statuses, and for nobody else.
"""

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from weirkeeper.kube.resources import GroupKind, Resource
from weirkeeper.kube.selectors import LabelSelector
from weirkeeper.kube.types import KubeObject, KubeStruct, VersionedMetadata

GROUP = "gateway.networking.k8s.io"
EXPERIMENTAL = "gateway.networking.x-k8s.io"
V1 = "v1"


class GatewayMetadata(VersionedMetadata, frozen=True, kw_only=True, rename="camel"):
    """Metadata with the generation that conditions are about."""

    generation: int = 0


class GatewayObject(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """An object with conditions in its status."""

    metadata: GatewayMetadata
    status: dict[str, Any] | None = None

    def without_status(self) -> Self:
        """The object as its owner wrote it."""
        if self.status is None and not self.metadata.resource_version:
            return self
        return msgspec.structs.replace(
            self, status=None, metadata=msgspec.structs.replace(self.metadata, resource_version="")
        )


class ParametersReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The object with parameters, of a class or of one Gateway."""

    group: str = ""
    kind: str = ""
    name: str = ""
    namespace: str | None = None


class GatewayClassSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Who implements the class, and with which parameters."""

    controller_name: str = ""
    parameters_ref: ParametersReference | None = None


class GatewayClass(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """A class of Gateways."""

    spec: GatewayClassSpec = GatewayClassSpec()


class FromNamespaces(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """From which namespaces something may come: ``All``, ``Same``, ``Selector`` or ``None``."""

    from_: str | None = msgspec.field(default=None, name="from")
    selector: LabelSelector | None = None


class RouteKind(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A kind of route."""

    group: str | None = GROUP
    kind: str = ""


class AllowedRoutes(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Which routes may attach; no kinds are those of the protocol."""

    namespaces: FromNamespaces | None = None
    kinds: tuple[RouteKind, ...] | None = ()


class AllowedListeners(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Which ListenerSets may attach; none where nothing is said."""

    namespaces: FromNamespaces | None = None


class ObjectReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """An object, in the namespace of its referrer where none is named."""

    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str = ""


class ListenerTlsSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """TLS of a listener."""

    mode: str | None = None
    certificate_refs: tuple[ObjectReference, ...] | None = ()
    options: dict[str, str] | None = None


class ListenerFilter(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What is done with a request before it is routed (GEP-5224, experimental in v1.7)."""

    type: str = ""


class ListenerFilters(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Filters of a listener, in order."""

    requests: tuple[ListenerFilter, ...] | None = ()


class ListenerSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A listener of a Gateway or of a ListenerSet."""

    name: str = ""
    hostname: str | None = None
    port: int = 0
    protocol: str = ""
    tls: ListenerTlsSpec | None = None
    allowed_routes: AllowedRoutes | None = None
    filters: ListenerFilters | None = None


class GatewayAddress(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """An address that is asked for; without a value any of its type."""

    type: str | None = "IPAddress"
    value: str = ""


class InfrastructureSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What the objects that are made for a Gateway carry."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    parameters_ref: ParametersReference | None = None


class FrontendValidation(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """How clients' certificates are checked: ``AllowValidOnly`` or ``AllowInsecureFallback``."""

    ca_certificate_refs: tuple[ObjectReference, ...] | None = ()
    mode: str | None = None


class FrontendTls(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """TLS with clients."""

    validation: FrontendValidation | None = None


class FrontendTlsOfPort(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """TLS with clients of one port."""

    port: int = 0
    tls: FrontendTls = FrontendTls()


class FrontendTlsSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """TLS with clients of all ports, and of single ones."""

    default: FrontendTls = FrontendTls()
    per_port: tuple[FrontendTlsOfPort, ...] | None = ()


class BackendTlsSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """TLS with backends: the certificate that the Gateway shows them."""

    client_certificate_ref: ObjectReference | None = None


class GatewayTlsSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """TLS of a whole Gateway."""

    frontend: FrontendTlsSpec | None = None
    backend: BackendTlsSpec | None = None


class GatewaySpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What is wished of a Gateway."""

    gateway_class_name: str = ""
    listeners: tuple[ListenerSpec, ...] | None = ()
    addresses: tuple[GatewayAddress, ...] | None = ()
    infrastructure: InfrastructureSpec | None = None
    allowed_listeners: AllowedListeners | None = None
    tls: GatewayTlsSpec | None = None
    default_scope: str | None = None


class Gateway(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """A load balancer that somebody asks for."""

    spec: GatewaySpec = GatewaySpec()


class ListenerSetSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Listeners for a Gateway of somebody else."""

    parent_ref: ObjectReference = ObjectReference()
    listeners: tuple[ListenerSpec, ...] | None = ()


class ListenerSet(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """More listeners of a Gateway."""

    spec: ListenerSetSpec = ListenerSetSpec()


class GrantFrom(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Who may refer."""

    group: str = ""
    kind: str = ""
    namespace: str = ""


class GrantTo(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """To what; without a name to all of the kind."""

    group: str = ""
    kind: str = ""
    name: str | None = None


class ReferenceGrantSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """From all of these to all of those."""

    from_: tuple[GrantFrom, ...] | None = msgspec.field(default=(), name="from")
    to: tuple[GrantTo, ...] | None = ()


class ReferenceGrant(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """The consent of a namespace to references from others."""

    spec: ReferenceGrantSpec = ReferenceGrantSpec()


class ParentReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What a route wants to attach to."""

    group: str | None = None
    kind: str | None = None
    namespace: str | None = None
    name: str = ""
    section_name: str | None = None
    port: int | None = None


class BackendReference(ObjectReference, frozen=True, kw_only=True, rename="camel"):
    """A backend with its share."""

    port: int | None = None
    weight: int | None = 1


RESOURCES: Mapping[GroupKind, Resource] = {
    (GROUP, kind): Resource(GROUP, V1, plural, kind, namespaced=kind != "GatewayClass")
    for kind, plural in (
        ("GatewayClass", "gatewayclasses"),
        ("Gateway", "gateways"),
        ("ListenerSet", "listenersets"),
        ("HTTPRoute", "httproutes"),
        ("GRPCRoute", "grpcroutes"),
        ("TLSRoute", "tlsroutes"),
        ("TCPRoute", "tcproutes"),
        ("UDPRoute", "udproutes"),
        ("BackendTLSPolicy", "backendtlspolicies"),
    )
} | {
    (EXPERIMENTAL, kind): Resource(EXPERIMENTAL, "v1alpha1", plural, kind)
    for kind, plural in (("XBackendTrafficPolicy", "xbackendtrafficpolicies"), ("XBackend", "xbackends"))
}
"""Where the kinds with conditions are kept, in the version that is read here."""
