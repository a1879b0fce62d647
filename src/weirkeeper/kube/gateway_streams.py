"""The fields of Gateway API's routes of bytes that we read: TLSRoute, TCPRoute, UDPRoute (v1)."""

from weirkeeper.kube.gateway_types import BackendReference, GatewayObject, ParentReference
from weirkeeper.kube.types import KubeStruct


class StreamRule(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Where connections, or datagrams, go."""

    name: str | None = None
    backend_refs: tuple[BackendReference, ...] | None = ()


class StreamRouteSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Parents and rules; only a TLSRoute has host names."""

    parent_refs: tuple[ParentReference, ...] | None = ()
    use_default_gateways: str | None = None
    hostnames: tuple[str, ...] | None = ()
    rules: tuple[StreamRule, ...] | None = ()


class StreamRoute(GatewayObject, frozen=True, kw_only=True, rename="camel"):
    """What all three have in common."""

    spec: StreamRouteSpec = StreamRouteSpec()


class TLSRoute(StreamRoute, frozen=True, kw_only=True, rename="camel"):
    """Connections by the name that their TLS asks for."""


class TCPRoute(StreamRoute, frozen=True, kw_only=True, rename="camel"):
    """Connections of a port."""


class UDPRoute(StreamRoute, frozen=True, kw_only=True, rename="camel"):
    """Datagrams of a port."""
