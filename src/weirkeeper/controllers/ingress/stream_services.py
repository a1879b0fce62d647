"""Ports of TCP and UDP that ConfigMaps list, as ingress-nginx's ``--tcp-services-configmap`` and ``--udp-services-configmap`` did.

Comes in: a class, and by reading the ConfigMaps that it, or the install, names. Goes out: a listener, a route and a backend for each entry. An entry is a port with
``NAMESPACE/SERVICE:PORT``, for TCP with ``:PROXY`` (clients speak the PROXY protocol) and another ``:PROXY`` (so do we to the Service).
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from weirkeeper.controllers.base import EndpointSetWish, Inputs
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.controllers.shared.ids import below
from weirkeeper.controllers.shared.reach import NoBackend, Reach
from weirkeeper.controllers.shared.report import error, field, warning
from weirkeeper.controllers.shared.secrets import known_absent
from weirkeeper.controllers.shared.services import of_bytes, service_backend
from weirkeeper.flow import Read
from weirkeeper.kube.types import ConfigMap, Service, ServiceBackendPort
from weirkeeper.model.backend import Backend
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, L4Route, WeightedBackend
from weirkeeper.model.text import Id, Name, Refused, parse, shown
from weirkeeper.model.value import Value
from weirkeeper.model.words import Transport

MOST = 1000
"""So many entries of one ConfigMap are read."""


class Streams(msgspec.Struct):
    """What the entries come to."""

    listeners: list[Listener] = []
    routes: list[L4Route] = []
    backends: list[Backend] = []
    wishes: list[EndpointSetWish] = []
    findings: list[Finding] = []


class Front(Value, frozen=True, kw_only=True):
    """The load balancer that serves them. ``taken`` are its ports for HTTP."""

    load_balancer: Id
    origin: Origin
    taken: tuple[int, ...]
    access_log: bool = True
    external_names: bool = False
    reach: Reach


class Entry(NamedTuple):
    """One entry, read: where it leads, and where the PROXY protocol is spoken."""

    service: Ref
    port: ServiceBackendPort
    accepts: bool
    sends: bool


def stream_services(
    read: Read, inputs: Inputs, front: Front, lists: dict[Transport, Ref | None], settings: IngressSettings
) -> Streams:
    """Everything that the ConfigMaps ask for."""
    made = Streams()
    for transport, ref in lists.items():
        if ref is not None:
            _read_list(_Reading(read, inputs, front, settings, made), transport, ref)
    return made


class _Reading(NamedTuple):
    read: Read
    inputs: Inputs
    front: Front
    settings: IngressSettings
    made: Streams


def _read_list(at: _Reading, transport: Transport, ref: Ref) -> None:
    found = at.read.get(at.inputs.of(ConfigMap), ref)
    if found is None:
        if known_absent(at.read, at.inputs, ref):
            text = f"the ConfigMap {ref.key} is not there; no port of {transport} is served"
            at.made.findings.append(warning(Reason.CONFIGMAP_NOT_FOUND, at.front.origin, text, "create it"))
        return
    for number, text in sorted((found.data or {}).items())[:MOST]:
        origin = found.origin(field(f"data[{number}]"))
        why = _entry(at, transport, number, text, origin)
        if why is not None:
            at.made.findings.append(
                error(why.reason, origin, f"{why.why}; the port is not served", why.remedy, Effect.RULE_DROPPED)
            )


def _entry(at: _Reading, transport: Transport, number: str, text: str, origin: Origin) -> NoBackend | None:
    """Puts one entry in, or says what is wrong with it."""
    port = int(number[:6]) if number.isascii() and number.isdigit() else 0
    read = _parsed(text, origin.ref, transport)
    if not 0 < port <= 65535 or read is None:
        why = f"{shown(number)}: {shown(text)} is not a port with NAMESPACE/SERVICE:PORT" + (
            "[:PROXY[:PROXY]]" if transport == "TCP" else ""
        )
        return NoBackend(reason=Reason.INVALID_OBJECT, why=why, remedy="write it so")
    if transport == "TCP" and port in at.front.taken:
        return NoBackend(
            reason=Reason.LISTENER_CONFLICT, why=f"port {port} is the load balancer's own", remedy="choose another port"
        )
    found = service_backend(
        at.read.get(at.inputs.of(Service), read.service), read.service, read.port,
        external_names=at.front.external_names, forbidden=at.settings.api_server, reach=at.front.reach, transport=transport,
    )  # fmt: skip
    shares: tuple[WeightedBackend, ...] = ()
    problem = None
    if isinstance(found, NoBackend):
        problem = NoBackend(reason=found.reason, why=found.why.partition(";")[0], remedy=found.remedy)
    else:
        backend = found.backend if transport == "UDP" else of_bytes(found.backend)
        if read.sends:
            backend = msgspec.structs.replace(backend, id=Id(f"{backend.id}~proxy"), send_proxy_protocol="v1")
        at.made.backends.append(backend)
        at.made.wishes += [] if found.wish is None else [found.wish]
        shares = (WeightedBackend(backend=backend.id),)
    name = below(at.front.load_balancer, transport.lower(), str(port))
    at.made.listeners.append(
        Listener(
            id=name, load_balancer=at.front.load_balancer, group=name, addresses=at.settings.addresses, port=port,
            protocol="udp" if transport == "UDP" else "tcp", accept_proxy_protocol="either" if read.accepts else None,
            access_log=at.front.access_log, origin=origin,
        )
    )  # fmt: skip
    at.made.routes.append(
        L4Route(
            id=name,
            load_balancer=at.front.load_balancer,
            listener=name,
            forward=Forward(backends=shares),
            origin=origin,
        )
    )
    return problem


def _parsed(text: str, owner: Ref, transport: Transport) -> Entry | None:
    place, *words = text.strip().split(":")
    namespace, slash, name = place.partition("/")
    flags = [word.strip().upper() for word in words[1:]]
    most = 2 if transport == "TCP" else 0
    right = slash and not any(isinstance(parse(Name, one), Refused) for one in (namespace, name))
    if not right or not words or not words[0] or len(flags) > most or not set(flags) <= {"PROXY", ""}:
        return None
    wished = words[0].strip()
    port = (
        ServiceBackendPort(number=int(wished[:6]))
        if wished.isascii() and wished.isdigit()
        else ServiceBackendPort(name=wished)
    )
    flags += [""] * (2 - len(flags))
    service = Ref(cluster=owner.cluster, kind="Service", namespace=namespace, name=name)
    return Entry(service, port, *_flags(flags))


def _flags(flags: list[str]) -> Iterator[bool]:
    return (word == "PROXY" for word in flags)
