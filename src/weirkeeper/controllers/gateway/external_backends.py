"""XBackends (GEP-4894): backends outside of the cluster, by their DNS names.

Comes in: an XBackend, and by reading what its TLS refers to. Goes out: ``External``: the backend, or why there is none. Nobody reaches the cluster's own names, the API server
or a metadata service this way. Where the authorities of its TLS cannot be read it is not spoken to at all.
"""

import msgspec

from weirkeeper.controllers.base import CertificateWish
from weirkeeper.controllers.gateway.backend_tls import verified
from weirkeeper.controllers.gateway.listeners import Sight, deeper, referred, usable
from weirkeeper.controllers.gateway.policies import ACCEPTED, MOST_ANCESTORS, ancestor
from weirkeeper.controllers.gateway.trust import FOUND, trusted
from weirkeeper.controllers.shared.addresses import refused_name
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.report import field
from weirkeeper.flow import Graph, Read, Table
from weirkeeper.kube.conditions import Judgement, ParentReport, Report, condition
from weirkeeper.kube.gateway_backends import ExternalTls, XBackend
from weirkeeper.model.backend import Backend, BackendTls, FromDns
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Hostname, Refused, parse, shown
from weirkeeper.model.value import Value
from weirkeeper.model.words import BackendProtocol

PROTOCOLS: dict[str, BackendProtocol] = {
    "": "http1",
    "HTTP": "http1",
    "HTTP11": "http1",
    "HTTP2": "h2c",
    "H2C": "h2c",
    "GRPC": "grpc",
}
"""By Gateway API's names; with TLS ``h2c`` is ``h2``."""
OF_THE_CLUSTER = (".cluster.local", ".svc", ".local")


class External(Value, frozen=True, kw_only=True):
    """A backend with all that it needs, or without ``backend`` the reason why there is none (``accepted``, ``resolved``)."""

    backend: Backend | None = None
    bundle: TrustBundle | None = None
    certificate: CertificateWish | None = None
    accepted: Judgement = ACCEPTED
    resolved: Judgement = FOUND
    generation: int = 0


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
    return Report(controller=controller, generation=one.generation, parents=parents)


def _external(read: Read, sight: Sight, found: XBackend, forbidden: tuple[str, ...]) -> External:
    generation = found.metadata.generation
    where = _where(found, forbidden)
    if isinstance(where, str):
        return External(accepted=_invalid(where), generation=generation)
    spoken = PROTOCOLS.get(found.spec.protocol or "")
    if spoken is None:
        why = f"the protocol {shown(found.spec.protocol or '')} is not spoken to backends here"
        return External(
            accepted=Judgement(good=False, reason="UnsupportedProtocol", message=why), generation=generation
        )
    name = id_of(place(found.ref), found.metadata.name, "x", str(where.port))
    plain = Backend(id=name, protocol=spoken, source=where, origins=(found.origin(),))
    tls = found.spec.tls
    if tls is None or tls.mode == "None":
        return External(backend=plain, generation=generation)
    return _secured(read, sight, found, tls, plain)


def _where(found: XBackend, forbidden: tuple[str, ...]) -> FromDns | str:
    """The name and port, or why nobody is sent there."""
    spec = found.spec
    if spec.type != "ExternalHostname" or spec.external_hostname is None:
        return f"backends of the type {shown(spec.type)} are not known here"
    text = spec.external_hostname.hostname.rstrip(".").lower()
    name, port = parse(Hostname, text), spec.port.port or spec.port.number or 0
    if isinstance(name, Refused) or "*" in text:
        return f"{shown(text)} is not a host name"
    if refused := refused_name(text, forbidden):
        return f"{shown(text)} {refused}"
    if "." not in text or text.endswith(OF_THE_CLUSTER):
        return f"{shown(text)} is a name of the cluster"
    return FromDns(name=name, port=port) if 0 < port <= 65535 else f"{port} is no port"


def _secured(read: Read, sight: Sight, found: XBackend, tls: ExternalTls, plain: Backend) -> External:
    made = _tls(read, sight, found, tls)
    if isinstance(made, Judgement):
        bad = made.reason in ("NoValidCACertificate", "Invalid", "UnsupportedValue")
        accepted, resolved = (made, FOUND) if bad else (ACCEPTED, made)
        return External(accepted=accepted, resolved=resolved, generation=found.metadata.generation)
    wished, bundle, certificate = made
    return External(
        backend=msgspec.structs.replace(
            plain, protocol="h2" if plain.protocol == "h2c" else plain.protocol, tls=wished
        ),
        bundle=bundle,
        certificate=certificate,
        generation=found.metadata.generation,
    )


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
