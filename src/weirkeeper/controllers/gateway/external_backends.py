"""XBackends (GEP-4894): backends outside of the cluster, by their DNS names, and pods of their own namespace, by labels (``selected_backends``).

Comes in: an XBackend, and by reading what its TLS refers to. Goes out: ``External``: the backend, or why there is none. Nobody reaches the cluster's own names, the API server
or a metadata service by a name. Where the authorities of its TLS cannot be read it is not spoken to at all.
"""

import msgspec

from weirkeeper.controllers.base import CertificateWish, EndpointSetWish
from weirkeeper.controllers.gateway.backend_tls import verified
from weirkeeper.controllers.gateway.listeners import Sight, deeper, referred, usable
from weirkeeper.controllers.gateway.matches import WrongMatch
from weirkeeper.controllers.gateway.policies import ACCEPTED, MOST_ANCESTORS, ancestor
from weirkeeper.controllers.gateway.selected_backends import selected
from weirkeeper.controllers.gateway.sessions import session
from weirkeeper.controllers.gateway.trust import FOUND, trusted
from weirkeeper.controllers.shared.addresses import refused_name
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.report import field
from weirkeeper.flow import Graph, Read, Table
from weirkeeper.kube.conditions import Judgement, ParentReport, Report, condition
from weirkeeper.kube.gateway_backends import ExternalTls, XBackend
from weirkeeper.kube.workloads import Pod
from weirkeeper.model.backend import Backend, BackendTls, FromDns, FromEndpointSet
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.filters import Affinity
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Hostname, Id, PathText, Refused, parse, shown
from weirkeeper.model.value import Value
from weirkeeper.model.words import BackendProtocol

PROTOCOLS: dict[str, BackendProtocol] = {
    "": "http1",
    "HTTP": "http1",
    "HTTP11": "http1",
    "HTTP2": "h2c",
    "H2C": "h2c",
    "GRPC": "grpc",
    "WSS": "http1",
}
"""By Gateway API's names; with TLS ``h2c`` is ``h2``."""
SELECTOR = "EndpointSelector"
OF_THE_CLUSTER = (".cluster.local", ".svc", ".local")


class External(Value, frozen=True, kw_only=True):
    """A backend with all that it needs, or without ``backend`` the reason why there is none (``accepted``, ``resolved``).

    ``wish``: its members, where they are pods; ``session``: what keeps a client on one of them. ``listed``: the list of its status, which v1.7 calls ``ancestors``.
    """

    backend: Backend | None = None
    wish: EndpointSetWish | None = None
    session: Affinity | None = None
    bundle: TrustBundle | None = None
    certificate: CertificateWish | None = None
    accepted: Judgement = ACCEPTED
    resolved: Judgement = FOUND
    generation: int = 0
    listed: str = "parents"


def declare_externals(graph: Graph, sight: Sight, forbidden: tuple[str, ...]) -> Table[Ref, External]:
    """The table of backends."""
    return graph.derive(
        "gateway.externals", sight.inputs.of(XBackend), lambda read, _, found: _external(read, sight, found, forbidden)
    )


def external_report(one: External, gateways: set[Ref], controller: str) -> Report | None:
    """What is said of a backend, for every Gateway that sends requests to it."""
    if not gateways:
        return None
    conditions = (condition("Accepted", one.accepted), condition("ResolvedRefs", one.resolved))
    told = sorted(gateways)[:MOST_ANCESTORS]
    parents = tuple(ParentReport(reference=ancestor(gateway), conditions=conditions) for gateway in told)
    return Report(controller=controller, generation=one.generation, parents=parents, of=one.listed)


def _external(read: Read, sight: Sight, found: XBackend, forbidden: tuple[str, ...]) -> External:
    made = _backend(read, sight, found, forbidden)
    listed = "ancestors" if found.spec.port.port is None else "parents"
    return msgspec.structs.replace(made, generation=found.metadata.generation, listed=listed)


def _backend(read: Read, sight: Sight, found: XBackend, forbidden: tuple[str, ...]) -> External:
    port = found.spec.port.number or found.spec.port.port or 0
    if not 0 < port <= 65535:
        return External(accepted=_invalid(f"{port} is no port"))
    name = id_of(place(found.ref), found.metadata.name, "x", str(port))
    where = _where(sight, found, name, port, forbidden)
    if isinstance(where, Judgement):
        return External(accepted=where)
    spoken, kept, tls = PROTOCOLS.get(found.spec.protocol or ""), _session(found), found.spec.tls
    if spoken is None:
        why = f"the protocol {shown(found.spec.protocol or '')} is not spoken to backends here"
        return External(accepted=Judgement(good=False, reason="UnsupportedProtocol", message=why))
    if isinstance(kept, Judgement):
        return External(accepted=kept)
    source = where if isinstance(where, FromDns) else FromEndpointSet(id=where.id)
    plain = External(
        backend=Backend(id=name, protocol=spoken, source=source, origins=(found.origin(),)),
        wish=where if isinstance(where, EndpointSetWish) else None,
        session=kept,
    )
    if tls is not None and tls.mode != "None":
        return _secured(read, sight, found, tls, plain)
    return External(accepted=_invalid("WSS is spoken by TLS")) if found.spec.protocol == "WSS" else plain


def _where(
    sight: Sight, found: XBackend, name: Id, port: int, forbidden: tuple[str, ...]
) -> FromDns | EndpointSetWish | Judgement:
    """The name and port, or the pods; or why nobody is sent there."""
    spec = found.spec
    if spec.type == SELECTOR and not sight.inputs.reads(Pod):
        why = "pods are not read here (the setting workloads)"
        return Judgement(good=False, reason="UnsupportedValue", message=why)
    if spec.type == SELECTOR and spec.external_hostname is None:
        made: FromDns | EndpointSetWish | str = selected(found, name, port)
    elif spec.type == "ExternalHostname" and spec.external_hostname is not None and spec.endpoint_selector is None:
        made = _outside(spec.external_hostname.hostname, port, forbidden)
    else:
        made = f"a backend of the type {shown(spec.type)} is not known here, or has not what its type needs and nothing else"
    return _invalid(made) if isinstance(made, str) else made


def _outside(hostname: str, port: int, forbidden: tuple[str, ...]) -> FromDns | str:
    text = hostname.rstrip(".").lower()
    name = parse(Hostname, text)
    if isinstance(name, Refused) or "*" in text:
        return f"{shown(text)} is not a host name"
    if refused := refused_name(text, forbidden):
        return f"{shown(text)} {refused}"
    if "." not in text or text.endswith(OF_THE_CLUSTER):
        return f"{shown(text)} is a name of the cluster"
    return FromDns(name=name, port=port)


def _session(found: XBackend) -> Affinity | Judgement | None:
    """What keeps a client on one pod, on all paths (GEP-1619, v1.7)."""
    wished = found.spec.session_persistence
    if wished is not None and found.spec.type != SELECTOR:
        return _invalid("sessionPersistence is for backends of the type EndpointSelector")
    try:
        return session(wished, found.ref, "backend", 1, path=PathText("/"))
    except WrongMatch as wrong:
        return _invalid(str(wrong))


def _secured(read: Read, sight: Sight, found: XBackend, tls: ExternalTls, plain: External) -> External:
    made = _tls(read, sight, found, tls)
    if isinstance(made, Judgement):
        bad = made.reason in ("NoValidCACertificate", "Invalid", "UnsupportedValue")
        accepted, resolved = (made, FOUND) if bad else (ACCEPTED, made)
        return External(accepted=accepted, resolved=resolved)
    wished, bundle, certificate = made
    backend = plain.backend
    if backend is not None:
        protocol: BackendProtocol = "h2" if backend.protocol == "h2c" else backend.protocol
        backend = msgspec.structs.replace(backend, protocol=protocol, tls=wished)
    return msgspec.structs.replace(plain, backend=backend, bundle=bundle, certificate=certificate)


def _tls(
    read: Read, sight: Sight, found: XBackend, tls: ExternalTls
) -> tuple[BackendTls, TrustBundle | None, CertificateWish | None] | Judgement:
    if tls.mode not in ("ServerOnly", "ClientAndServer"):
        return Judgement(good=False, reason="UnsupportedValue", message=f"the mode {shown(tls.mode)} of TLS is not known here")  # fmt: skip
    ref, bundle = found.ref, None
    if tls.validation.ca_certificate_refs:
        at, name = found.origin(field("spec.tls.validation.caCertificateRefs")), id_of("external", place(ref), ref.name)
        refs = tls.validation.ca_certificate_refs
        bundle, judged = trusted(read, sight.inputs, sight.grants, ref, refs, name=name, origin=at)
        if bundle is None:
            return judged
    wished = verified(tls.validation, bundle)
    if isinstance(wished, Judgement):
        return wished
    if tls.mode == "ServerOnly":
        return wished, bundle, None
    certificate = _certificate(read, sight, found, tls)
    if isinstance(certificate, Judgement):
        return certificate
    return msgspec.structs.replace(wished, client_certificate=certificate.id), bundle, certificate


def _certificate(read: Read, sight: Sight, found: XBackend, tls: ExternalTls) -> CertificateWish | Judgement:
    if tls.client_certificate_ref is None:
        return _invalid("TLS with a client certificate needs one")
    secret = referred(found.ref, tls.client_certificate_ref, "Secret")
    wrong = usable(read, sight, found.ref, secret)
    if wrong is not None:
        return wrong
    at = deeper(found.origin(), field("spec.tls.clientCertificateRef"))
    return CertificateWish(id=id_of(place(secret), secret.name, "identity"), secret=secret, client=True, origin=at)


def _invalid(why: str) -> Judgement:
    return Judgement(good=False, reason="Invalid", message=why)
