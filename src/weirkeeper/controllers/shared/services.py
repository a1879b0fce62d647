"""Services and their ports, and how each is spoken to when nobody says otherwise.

Comes in: a Service and a port as an object names it. Goes out: a ``Backend`` with a wish for its endpoints, or why there is none. The default backend of
a Service port depends on the Service alone, so all objects that name it share it.
"""

import msgspec

from weirkeeper.controllers.shared.addresses import refused_name
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.reach import PODS, NoBackend, Reach, members
from weirkeeper.kube.types import Service, ServiceBackendPort, ServicePort
from weirkeeper.model.backend import Backend, BackendTls, FromDns
from weirkeeper.model.endpoint import EndpointSetWish
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Hostname, Id, Refused, parse, shown
from weirkeeper.model.words import BackendProtocol, Transport

APP_PROTOCOLS: dict[str, tuple[str, bool]] = {
    "": ("http1", False),
    "http": ("http1", False),
    "https": ("http1", True),
    "h2c": ("h2c", False),
    "grpc": ("grpc", False),
    "grpcs": ("grpc", True),
    "ws": ("http1", False),
    "wss": ("http1", True),
    "kubernetes.io/h2c": ("h2c", False),
    "kubernetes.io/ws": ("http1", False),
    "kubernetes.io/wss": ("http1", True),
}
"""What ``appProtocol`` means: the protocol, and whether it goes over TLS."""


class ServiceBackend(msgspec.Struct, frozen=True, kw_only=True):
    """A backend with the wish for its endpoints; ``strange`` is an appProtocol that nobody knows."""

    backend: Backend
    wish: EndpointSetWish | None
    service: Service
    port: ServicePort
    strange: str = ""


def service_ref(owner: Ref, name: str) -> Ref:
    """A Service in the namespace of its owner."""
    return Ref(cluster=owner.cluster, kind="Service", namespace=owner.namespace, name=name)


def service_backend(
    service: Service | None,
    ref: Ref,
    port: ServiceBackendPort,
    *,
    external_names: bool = False,
    forbidden: tuple[str, ...] = (),
    reach: Reach = PODS,
    transport: Transport = "TCP",
) -> ServiceBackend | NoBackend:
    """The backend of a Service port; ``reach`` says where its members are looked for. A port of UDP is spoken to by datagrams."""
    if service is None:
        return NoBackend(
            reason=Reason.SERVICE_NOT_FOUND,
            why=f"there is no Service {shown(ref.name)} in the namespace {shown(ref.namespace)}; its requests are answered 503",
            remedy="create the Service, or name one that exists",
        )
    external = service.spec.type == "ExternalName"
    found = _port(service, port, transport, external=external)
    if found is None:
        return _no_port(service, port, transport)
    if external:
        return _external(service, ref, found, allowed=external_names, forbidden=forbidden)
    name = id_of(place(ref), ref.name, *(("udp",) if transport == "UDP" else ()), str(found.port))
    where = members(service, ref, found, name, reach)
    if isinstance(where, NoBackend):
        return where
    if transport == "UDP":
        made = Backend(id=name, protocol="udp", source=where.source, origins=(service.origin(),))
        wish = msgspec.structs.replace(where.wish, transport=transport)
        return ServiceBackend(backend=made, wish=wish, service=service, port=found)
    return _spoken(service, found, Backend(id=name, source=where.source, origins=(service.origin(),)), where.wish)


def _spoken(service: Service, port: ServicePort, backend: Backend, wish: EndpointSetWish | None) -> ServiceBackend:
    wished = (port.app_protocol or "").lower()
    protocol, tls = APP_PROTOCOLS.get(wished, ("http1", False))
    if protocol != "http1" or tls:
        backend = msgspec.structs.replace(backend, protocol=protocol, tls=BackendTls() if tls else None)
    strange = "" if wished in APP_PROTOCOLS else wished
    return ServiceBackend(backend=backend, wish=wish, service=service, port=port, strange=strange)


def _port(service: Service, wished: ServiceBackendPort, transport: Transport, *, external: bool) -> ServicePort | None:
    for port in service.spec.ports or ():
        if port.protocol == transport and (port.name == wished.name if wished.name else port.port == wished.number):
            return port
    if external and 0 < wished.number <= 65535:
        return ServicePort(port=wished.number)
    return None


def _no_port(service: Service, wished: ServiceBackendPort, transport: Transport) -> NoBackend:
    named = f"named {shown(wished.name)}" if wished.name else f"with the number {wished.number}"
    known = ", ".join(f"{p.port} ({p.name})" if p.name else str(p.port) for p in (service.spec.ports or ())[:8])
    return NoBackend(
        reason=Reason.PORT_NOT_FOUND,
        why=f"the Service {shown(service.metadata.name)} has no {transport} port {named}; its requests are answered 503",
        remedy=f"use one of its ports: {known or 'it has none'}",
    )


def _external(
    service: Service, ref: Ref, port: ServicePort, *, allowed: bool, forbidden: tuple[str, ...]
) -> ServiceBackend | NoBackend:
    text = service.spec.external_name.rstrip(".").lower()
    why = None if allowed else "this class does not allow ExternalName Services"
    refused = refused_name(text, forbidden)
    name = parse(Hostname, text)
    if why is None and refused:
        why = f"{shown(text)} {refused}"
    if why is None and (isinstance(name, Refused) or "*" in text):
        why = f"{shown(text)} is not a host name"
    if why is not None or isinstance(name, Refused):
        return NoBackend(
            reason=Reason.EXTERNAL_NAME_REFUSED,
            why=f"the Service {shown(ref.name)} is of type ExternalName and {why}; its requests are answered 503",
            remedy="use a Service with endpoints, or ask for spec.allowExternalName in the class parameters",
        )
    source = FromDns(name=name, port=port.port)
    backend = Backend(id=id_of(place(ref), ref.name, str(port.port)), source=source, origins=(service.origin(),))
    return _spoken(service, port, backend, None)


def of_bytes(backend: Backend, protocol: BackendProtocol = "tcp") -> Backend:
    """The same members, led to without a look at what passes; whatever the Service says of HTTP and TLS is between its clients and itself."""
    return msgspec.structs.replace(backend, id=Id(f"{backend.id}~{protocol}"), protocol=protocol, tls=None)


def variant_id(base: Id, owner: Ref) -> Id:
    """The id of a backend that one object speaks to in a way of its own."""
    return Id(f"{base}~{id_of(place(owner), owner.name)}") if len(base) < 200 else id_of(base, place(owner), owner.name)
