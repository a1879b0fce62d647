"""The Kubernetes fields that we read, and no others: what is not declared here is never kept.

Comes in: JSON or YAML of an object. Goes out: small frozen structs. Controllers see these and nothing else of ``kube``.
Field names are the API's own (camel case on the wire). Unknown fields are skipped, as the API server's own clients do.
"""

from sys import intern
from typing import Annotated, ClassVar, Self

import msgspec

from weirkeeper.model.ids import LOCAL, Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import FieldPath, Timestamp, Uid

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class KubeStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False, omit_defaults=True):
    """Base of all API structs."""


class Metadata(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What identifies an object, and its annotations and labels."""

    name: str
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str | None = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class KubeObject(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Any object. ``api_version`` and ``kind`` are as read; ``cluster`` is set by the feed."""

    api_version: str = ""
    kind: str
    metadata: Metadata
    cluster: str = LOCAL

    metadata_only: ClassVar[bool] = False
    """Whether nothing but the metadata is asked for (`PartialObjectMetadata` on the wire)."""

    @property
    def ref(self) -> Ref:
        """Its identity."""
        group = intern(self.api_version.rpartition("/")[0])
        m = self.metadata
        return Ref(
            cluster=self.cluster, group=group, kind=intern(self.kind), namespace=intern(m.namespace), name=m.name
        )

    def without_status(self) -> Self:
        """The object as its owner wrote it. What is read of a status that we write ourselves must not look like a change of the object."""
        return self

    @property
    def annotations(self) -> dict[str, str]:
        """Its annotations; empty where there are none."""
        return self.metadata.annotations or {}

    def origin(self, path: str = "") -> Origin:
        """The origin of what comes from this object, or from a field of it."""
        m = self.metadata
        return Origin(
            ref=self.ref, path=FieldPath(path), uid=Uid(m.uid), created_at=Timestamp(m.creation_timestamp or "")
        )


class ServiceBackendPort(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A Service port by name or by number."""

    name: str = ""
    number: int = 0


class IngressServiceBackend(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A Service and one of its ports."""

    name: str
    port: ServiceBackendPort = ServiceBackendPort()


class TypedLocalReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """An object in the same namespace."""

    api_group: str | None = None
    kind: str
    name: str


class IngressBackend(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Where an Ingress sends requests: a Service or another object."""

    service: IngressServiceBackend | None = None
    resource: TypedLocalReference | None = None


class IngressPath(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A path with its type and backend."""

    path: str = ""
    path_type: str = "ImplementationSpecific"
    backend: IngressBackend = IngressBackend()


class HttpRule(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The paths of a rule."""

    paths: tuple[IngressPath, ...] = ()


class IngressRule(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A host and its paths."""

    host: str = ""
    http: HttpRule | None = None


class IngressTls(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Hosts and the Secret with their certificate."""

    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What is wished."""

    ingress_class_name: str | None = None
    default_backend: IngressBackend | None = None
    tls: tuple[IngressTls, ...] | None = ()
    rules: tuple[IngressRule, ...] | None = ()


class PortStatus(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A port at which an address answers."""

    port: int
    protocol: str = "TCP"
    error: str | None = None


class AddressStatus(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One entry of ``status.loadBalancer.ingress``: an IP address or a host name, and its ports."""

    ip: str = ""
    hostname: str = ""
    ports: tuple[PortStatus, ...] | None = ()


class LoadBalancerStatus(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """``status.loadBalancer`` of an Ingress or a Service."""

    ingress: tuple[AddressStatus, ...] | None = ()


class ObjectStatus(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The status of an Ingress or a Service."""

    load_balancer: LoadBalancerStatus = LoadBalancerStatus()


class VersionedMetadata(Metadata, frozen=True, kw_only=True, rename="camel"):
    """Metadata of an object that we write to: the version that a write must name."""

    resource_version: str = ""


class Ingress(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """networking.k8s.io/v1 Ingress. ``status`` and the resource version are for whoever writes the status, and for nobody else."""

    metadata: VersionedMetadata
    spec: IngressSpec = IngressSpec()
    status: ObjectStatus | None = None

    def without_status(self) -> Self:
        """The Ingress as its owner wrote it."""
        if self.status is None and not getattr(self.metadata, "resource_version", ""):
            return self
        return msgspec.structs.replace(
            self, status=None, metadata=msgspec.structs.replace(self.metadata, resource_version="")
        )


class ParametersReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The object with a class's parameters."""

    api_group: str | None = None
    kind: str
    name: str
    scope: str = "Cluster"
    namespace: str = ""


class IngressClassSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Who implements the class, and with which parameters."""

    controller: str = ""
    parameters: ParametersReference | None = None


class IngressClass(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """networking.k8s.io/v1 IngressClass."""

    spec: IngressClassSpec = IngressClassSpec()


class ServicePort(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One port of a Service."""

    name: str = ""
    protocol: str = "TCP"
    port: Port = 0
    target_port: int | str | None = None
    node_port: int = 0
    app_protocol: str | None = None


class ServiceSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What a Service offers."""

    type: str = "ClusterIP"
    ports: tuple[ServicePort, ...] | None = ()
    external_name: str = ""
    cluster_i_p: str = msgspec.field(default="", name="clusterIP")
    cluster_i_ps: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    external_i_ps: tuple[str, ...] | None = msgspec.field(default=(), name="externalIPs")
    selector: dict[str, str] | None = None
    external_traffic_policy: str = ""


class Service(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """v1 Service."""

    spec: ServiceSpec = ServiceSpec()
    status: ObjectStatus | None = None


class EndpointConditions(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Whether an endpoint takes traffic; ``None`` ready counts as ready (EndpointSlice API)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One endpoint with its addresses."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    node_name: str | None = None
    zone: str | None = None


class SlicePort(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One port of a slice."""

    name: str | None = ""
    protocol: str | None = "TCP"
    port: int | None = None
    app_protocol: str | None = None


class EndpointSlice(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """discovery.k8s.io/v1 EndpointSlice."""

    address_type: str = "IPv4"
    endpoints: tuple[SliceEndpoint, ...] | None = ()
    ports: tuple[SlicePort, ...] | None = ()


class Secret(KubeObject, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """v1 Secret; ``data`` values are base64, ``string_data`` plain (files only)."""

    type: str = "Opaque"
    data: dict[str, str] | None = None
    string_data: dict[str, str] | None = None


class ConfigMap(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """v1 ConfigMap."""

    data: dict[str, str] | None = None


class Namespace(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """v1 Namespace (metadata only)."""

    metadata_only: ClassVar[bool] = True


class NodeTaint(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What keeps pods away from a node."""

    key: str = ""
    value: str = ""
    effect: str = ""


class NodeSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Who may run on it."""

    unschedulable: bool = False
    taints: tuple[NodeTaint, ...] | None = ()


class NodeCondition(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One thing that is said of a node; without its times, which change all the time."""

    type: str = ""
    status: str = ""


class NodeAddress(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One address of a node: InternalIP, ExternalIP, Hostname, InternalDNS or ExternalDNS."""

    type: str = ""
    address: str = ""


class NodeStatus(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """How it is, and where."""

    conditions: tuple[NodeCondition, ...] | None = ()
    addresses: tuple[NodeAddress, ...] | None = ()


class Node(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """v1 Node."""

    spec: NodeSpec = NodeSpec()
    status: NodeStatus | None = None


class PartialObjectMetadata(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """Any object of which the metadata alone matters."""

    metadata_only: ClassVar[bool] = True
