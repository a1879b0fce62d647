"""BackendTLSPolicies, and the certificate that a Gateway shows to backends.

Comes in: policies, Gateways, and by reading ConfigMaps and Secrets. Goes out: ``Secured``: how the backends of a Service are spoken to, or that they must not be; and what the owners of policies are
told. A policy whose authorities cannot be read closes its backends: nobody is spoken to unverified because a reference is wrong.
"""

import msgspec

from weirkeeper.controllers.base import CertificateWish, Inputs
from weirkeeper.controllers.gateway.classes import OurGateway
from weirkeeper.controllers.gateway.grants import Grants
from weirkeeper.controllers.gateway.listeners import Sight, deeper, referred, usable
from weirkeeper.controllers.gateway.policies import ACCEPTED, Policies, Policy, declare_targets, service_targets
from weirkeeper.controllers.gateway.trust import FOUND, WRONG_KIND, trusted
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.report import field
from weirkeeper.flow import Graph, Read, Table
from weirkeeper.kube.conditions import Judgement
from weirkeeper.kube.gateway_policies import BackendTLSPolicy, BackendValidation
from weirkeeper.model.backend import Backend, BackendTls, FromEndpointSet
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.endpoint import EndpointSetWish
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import HeaderValue, Hostname, Id, Label, Refused, parse
from weirkeeper.model.value import Value


class Secured(Policy, frozen=True, kw_only=True):
    """A policy with what it comes to; without ``tls`` its backends are closed."""

    tls: BackendTls | None
    bundle: TrustBundle | None
    resolved: Judgement


class Identity(Value, frozen=True, kw_only=True):
    """The certificate that a Gateway shows to backends, or why it has none."""

    wish: CertificateWish | None
    judged: Judgement


def declare_policies(graph: Graph, inputs: Inputs, grants: Grants) -> Policies[Secured]:
    """The tables of policies."""
    table: Table[Ref, Secured] = graph.derive(
        "gateway.backend_tls", inputs.of(BackendTLSPolicy), lambda read, _, found: _secured(read, inputs, grants, found)
    )
    return declare_targets(graph, "backend_tls", table)


def closed(backend: Backend, service: Ref) -> tuple[Backend, EndpointSetWish]:
    """A backend in the place of one that must not be spoken to: it has no endpoints, since no Service can have its name."""
    name = Id(f"{backend.id}~closed")
    nobody = msgspec.structs.replace(service, name=f"{service.name}~closed")
    return (
        Backend(id=name, source=FromEndpointSet(id=name), origins=backend.origins),
        EndpointSetWish(id=name, service=nobody, port_name=Label("")),
    )


def identity_of(read: Read, sight: Sight, ours: OurGateway) -> Identity | None:
    """What a Gateway shows to backends; nothing where it wishes for nothing."""
    tls = ours.gateway.spec.tls
    wished = tls.backend.client_certificate_ref if tls is not None and tls.backend is not None else None
    if wished is None:
        return None
    ref = referred(ours.gateway.ref, wished, "Secret")
    wrong = usable(read, sight, ours.gateway.ref, ref)
    if wrong is not None:
        reason = "InvalidClientCertificateRef" if wrong.reason == "InvalidCertificateRef" else wrong.reason
        return Identity(wish=None, judged=msgspec.structs.replace(wrong, reason=reason))
    origin = deeper(ours.origin, field("spec.tls.backend.clientCertificateRef"))
    wish = CertificateWish(id=id_of(place(ref), ref.name, "identity"), secret=ref, client=True, origin=origin)
    return Identity(wish=wish, judged=FOUND)


def _secured(read: Read, inputs: Inputs, grants: Grants, found: BackendTLSPolicy) -> Secured:
    wished, ref = found.spec.validation, found.ref
    name = id_of("backend-tls", place(ref), ref.name)
    bundle, resolved = None, FOUND
    if wished.ca_certificate_refs:
        at = found.origin(field("spec.validation.caCertificateRefs"))
        bundle, resolved = trusted(read, inputs, grants, ref, wished.ca_certificate_refs, name=name, origin=at)
    tls = verified(wished, bundle)
    if resolved.reason == WRONG_KIND:  # policies have another word for it than Gateways
        resolved = msgspec.structs.replace(resolved, reason="InvalidKind")
    return Secured(
        targets=tuple(service_targets(ref, found.spec.target_refs or ())),
        rank=(found.metadata.creation_timestamp or "9999", ref.key),
        tls=None if isinstance(tls, Judgement) else tls,
        bundle=bundle,
        accepted=tls if isinstance(tls, Judgement) else ACCEPTED,
        resolved=resolved,
        generation=found.metadata.generation,
    )


def verified(wished: BackendValidation, bundle: TrustBundle | None) -> BackendTls | Judgement:
    """How a backend is spoken to whose certificate is checked so, or why it cannot be."""
    by_platform = wished.well_known_ca_certificates == "System"
    if bundle is None and not by_platform:
        return Judgement(
            good=False, reason="NoValidCACertificate", message="no authority can be read, so nobody is trusted"
        )
    names = [parse(Hostname, one.hostname or "") for one in wished.subject_alt_names or () if one.type == "Hostname"]
    uris = [parse(HeaderValue, one.uri or "") for one in wished.subject_alt_names or () if one.type == "URI"]
    server = parse(Hostname, wished.hostname) if "*" not in wished.hostname else Refused("is a wildcard")
    wrong = next((one for one in (server, *names, *uris) if isinstance(one, Refused)), None)
    if isinstance(server, Refused) or wrong is not None:
        return Judgement(good=False, reason="Invalid", message=f"a name {wrong.why}" if wrong is not None else "")
    return BackendTls(
        server_name=server,
        trust=bundle.id if bundle is not None else None,
        system_trust=by_platform,
        verify=True,
        san_dns=tuple(one for one in names if not isinstance(one, Refused)),
        san_uri=tuple(one for one in uris if not isinstance(one, Refused)),
    )
