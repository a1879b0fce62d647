"""Listeners of Gateways and ListenerSets: what each of them asks for, and what is wrong with it.

Comes in: Gateways and ListenerSets of ours. Goes out: ``Entry`` (a listener as it is wished), ``Verdict`` (whether it may stand beside the others of its port), and ``Listening``
(what it serves). Who of those of a port may stand is decided in ``conflicts``, whether a route fits is decided in ``attachment``; what becomes of them in the model is in ``ports``.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from weirkeeper.controllers.base import CertificateWish, Inputs
from weirkeeper.controllers.gateway.classes import OurGateway
from weirkeeper.controllers.gateway.grants import Grants, permitted
from weirkeeper.controllers.gateway.trust import trusted
from weirkeeper.controllers.shared.certificates import key_pair
from weirkeeper.controllers.shared.hostnames import ANY, hostname
from weirkeeper.controllers.shared.ids import below, id_of, place
from weirkeeper.controllers.shared.report import field
from weirkeeper.controllers.shared.secrets import known_absent
from weirkeeper.flow import Read
from weirkeeper.kube.conditions import Judgement
from weirkeeper.kube.gateway_types import (
    GROUP,
    AllowedRoutes,
    FrontendValidation,
    GatewayObject,
    ListenerSpec,
    ObjectReference,
    RouteKind,
)
from weirkeeper.kube.types import Secret
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import ClientValidation
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Hostname, Id, Refused, shown
from weirkeeper.model.value import Value
from weirkeeper.model.words import TlsMode

OWN, OF_SET = 0, 1


class Protocol(NamedTuple):
    """What a protocol of a listener means: what it shares ports with, and which routes it takes."""

    family: str
    kinds: tuple[str, ...]


PROTOCOLS: dict[str, Protocol] = {
    "HTTP": Protocol("http", ("HTTPRoute", "GRPCRoute")),
    "HTTPS": Protocol("tls", ("HTTPRoute", "GRPCRoute")),
    "TLS": Protocol("tls", ("TLSRoute",)),
    "TCP": Protocol("tcp", ("TCPRoute",)),
    "UDP": Protocol("udp", ("UDPRoute",)),
}
MODES: dict[str | None, TlsMode] = {
    None: "terminate",
    "": "terminate",
    "Terminate": "terminate",
    "Passthrough": "passthrough",
}


class Sight(NamedTuple):
    """What judging references needs to see."""

    inputs: Inputs
    grants: Grants


class EntryKey(NamedTuple):
    """A listener: the Gateway that has it, the object that it stands in, and its name there."""

    gateway: Ref
    owner: Ref
    name: str


class PortKey(NamedTuple):
    """A port of a Gateway; UDP has ports of its own (``datagrams``)."""

    gateway: Ref
    port: int
    datagrams: bool = False


class Claim(NamedTuple):
    """A host name of a port of a Gateway, for a family of protocols."""

    gateway: Ref
    port: int
    family: str
    hostname: Hostname


class Entry(Value, frozen=True, kw_only=True):
    """A listener as it is wished. ``hostname`` is ``*`` for none; ``rank`` says who goes first; ``clients`` is how its Gateway wants clients' certificates checked at this port."""

    load_balancer: Id
    spec: ListenerSpec
    hostname: Hostname
    rank: tuple[int, str, str, int]
    origin: Origin
    wrong: str = ""
    clients: FrontendValidation | None = None

    @property
    def family(self) -> str:
        """What it shares a port with."""
        known = PROTOCOLS.get(self.spec.protocol)
        return known.family if known is not None else self.spec.protocol


class Verdict(Value, frozen=True, kw_only=True):
    """Why a listener may not stand beside the others of its port; no reason: it may. ``overlaps`` names another one whose host names of TLS are wider or narrower."""

    reason: str = ""
    why: str = ""
    overlaps: str = ""


class Listening(Value, frozen=True, kw_only=True):
    """A listener, judged. ``group`` is its route group; ``tls``: whether TLS ends here; ``serves``: requests come in here."""

    load_balancer: Id
    group: Id
    hostname: Hostname
    port: int
    family: str
    protocol: str
    tls: TlsMode | None = None
    kinds: tuple[str, ...]
    allowed: AllowedRoutes | None
    conflict: Judgement
    accepted: Judgement
    resolved: Judgement
    certificates: tuple[CertificateWish, ...] = ()
    clients: ClientValidation | None = None
    trust: TrustBundle | None = None
    serves: bool
    overlaps: str = ""
    rank: tuple[int, str, str, int]
    origin: Origin


def entries(
    ours: OurGateway, owner: GatewayObject, listeners: Sequence[ListenerSpec], rank: int
) -> Iterator[tuple[EntryKey, Entry]]:
    """The listeners that stand in one object, each name once."""
    gateway, made = ours.gateway.ref, dict[EntryKey, Entry]()
    age = owner.metadata.creation_timestamp or "9999"
    for i, spec in enumerate(listeners):
        host = hostname(spec.hostname or "")
        wrong = f"the host name {host.why}" if isinstance(host, Refused) else ""
        made.setdefault(
            EntryKey(gateway, owner.ref, spec.name),
            Entry(
                load_balancer=ours.load_balancer,
                spec=spec,
                hostname=ANY if isinstance(host, Refused) else host,
                rank=(rank, age if rank else "", owner.ref.key if rank else "", i),
                origin=owner.origin(field(f"spec.listeners[{i}]")),
                wrong=wrong,
                clients=_clients(ours, spec),
            ),
        )
    return iter(made.items())


def _clients(ours: OurGateway, spec: ListenerSpec) -> FrontendValidation | None:
    """What a port says of itself goes before what is said of all (Gateway API, GatewaySpec.tls.frontend)."""
    frontend = ours.gateway.spec.tls.frontend if ours.gateway.spec.tls is not None else None
    if frontend is None or spec.protocol != "HTTPS":
        return None
    of_port = [one.tls for one in frontend.per_port or () if one.port == spec.port]
    return (of_port[0] if of_port else frontend.default).validation


def listening(read: Read, sight: Sight, key: EntryKey, entry: Entry, verdict: Verdict) -> Listening:
    """The listener with all that is to be said of it."""
    spec, protocol = entry.spec, PROTOCOLS.get(entry.spec.protocol)
    kinds, kinds_judged = _kinds(spec.allowed_routes, protocol)
    mode = _mode(entry)
    secure = mode == "terminate"
    wishes, tls_judged = _certificates(read, sight, key.owner, entry) if secure else ((), OK)
    accepted = _accepted(entry, protocol, verdict)
    trust, trust_judged = _trust(read, sight, key, entry)
    if accepted.good and entry.clients is not None and trust is None:
        accepted = Judgement(good=False, reason="NoValidCACertificate", message=trust_judged.message)
    return Listening(
        load_balancer=entry.load_balancer,
        group=group_of(entry, key),
        hostname=entry.hostname,
        port=spec.port,
        family=entry.family,
        protocol=spec.protocol,
        tls=mode,
        kinds=kinds,
        allowed=spec.allowed_routes,
        conflict=Judgement(good=False, reason=verdict.reason, message=verdict.why) if verdict.reason else NO_CONFLICT,
        accepted=accepted,
        resolved=next((one for one in (kinds_judged, tls_judged, trust_judged) if not one.good), OK),
        certificates=wishes,
        clients=_validation(entry, trust),
        trust=trust,
        serves=accepted.good and bool(wishes or not secure),
        overlaps=verdict.overlaps,
        rank=entry.rank,
        origin=entry.origin,
    )


def _trust(read: Read, sight: Sight, key: EntryKey, entry: Entry) -> tuple[TrustBundle | None, Judgement]:
    """Whom the Gateway trusts to sign clients' certificates at this port; the references are the Gateway's, whosever listener it is."""
    if entry.clients is None:
        return None, OK
    name = below(group_of(entry, key), "clients")
    wished = entry.clients.ca_certificate_refs or ()
    return trusted(read, sight.inputs, sight.grants, key.gateway, wished, name=name, origin=entry.origin)


def _validation(entry: Entry, trust: TrustBundle | None) -> ClientValidation | None:
    if entry.clients is None or trust is None:
        return None
    return ClientValidation(trust=trust.id, mode="allow-insecure-fallback" if insecure(entry.clients) else "require")


def insecure(wished: FrontendValidation) -> bool:
    """Whether clients are let in without a certificate that has been verified."""
    return wished.mode == "AllowInsecureFallback"


OK = Judgement(good=True, reason="ResolvedRefs")
NO_CONFLICT = Judgement(good=True, reason="NoConflicts")


def _mode(entry: Entry) -> TlsMode | None:
    """Where TLS of the listener ends; nothing where it has none, or says what is neither."""
    if entry.family != "tls":
        return None
    return MODES.get(entry.spec.tls.mode if entry.spec.tls is not None else None)


def group_of(entry: Entry, key: EntryKey) -> Id:
    """The route group of a listener: in the clear all of a port share one, since nothing but the host tells them apart; with TLS each has its own."""
    if entry.family == "http":
        return below(entry.load_balancer, "http", str(entry.spec.port))
    own = () if key.owner == key.gateway else (key.owner.kind, place(key.owner), key.owner.name)
    return below(entry.load_balancer, "listener", *own, key.name)


def _accepted(entry: Entry, protocol: Protocol | None, verdict: Verdict) -> Judgement:
    if protocol is None:
        return Judgement(
            good=False,
            reason="UnsupportedProtocol",
            message=f"the protocol {shown(entry.spec.protocol)} is not served here",
        )
    if verdict.reason:
        return Judgement(good=False, reason=verdict.reason, message=verdict.why)
    if not 0 < entry.spec.port <= 65535:
        return Judgement(good=False, reason="PortUnavailable", message=f"{entry.spec.port} is no port")
    if why := entry.wrong or _beside(entry.spec):
        return Judgement(good=False, reason="UnsupportedValue", message=why)
    if protocol.family == "tls" and _mode(entry) is None:
        return Judgement(
            good=False, reason="UnsupportedValue", message="TLS ends here or passes through, and no other mode is known"
        )
    if entry.spec.protocol == "HTTPS" and _mode(entry) != "terminate":
        return Judgement(
            good=False,
            reason="UnsupportedValue",
            message="a listener for HTTPS ends TLS; passing it through is for the protocol TLS",
        )
    return Judgement(good=True, reason="Accepted")


def _beside(spec: ListenerSpec) -> str:
    """What is wished that its protocol knows nothing of: a listener without it would take more than its owner wrote."""
    if spec.hostname and spec.protocol in ("TCP", "UDP"):
        return f"{spec.protocol} knows no host names"
    if spec.tls is not None and spec.protocol in ("HTTP", "TCP", "UDP"):
        return f"a listener for {spec.protocol} has no TLS"
    filters = (spec.filters.requests if spec.filters is not None else None) or ()
    if filters:
        return f"filters.requests[0]: no {shown(filters[0].type)} before routing is known here, and what it guards is not served without it"
    return ""


def _kinds(allowed: AllowedRoutes | None, protocol: Protocol | None) -> tuple[tuple[str, ...], Judgement]:
    known = protocol.kinds if protocol is not None else ()
    wished = (allowed.kinds if allowed is not None else None) or ()
    if not wished:
        return known, OK
    strange = [one for one in wished if not _known(one, known)]
    kept = tuple(dict.fromkeys(one.kind for one in wished if _known(one, known)))
    if not strange:
        return kept, OK
    why = f"routes of the kind {shown(strange[0].kind)} of {shown(strange[0].group or 'core')} cannot attach here"
    return kept, Judgement(good=False, reason="InvalidRouteKinds", message=why)


def _known(one: RouteKind, known: tuple[str, ...]) -> bool:
    return (GROUP if one.group is None else one.group) == GROUP and one.kind in known


def _certificates(read: Read, sight: Sight, owner: Ref, entry: Entry) -> tuple[tuple[CertificateWish, ...], Judgement]:
    tls = entry.spec.tls
    wishes, judged = list[CertificateWish](), OK
    for i, one in enumerate((tls.certificate_refs if tls is not None else None) or ()):
        ref = referred(owner, one, "Secret")
        wrong = usable(read, sight, owner, ref)
        if wrong is not None:
            judged = judged if not judged.good else wrong
            continue
        origin = deeper(entry.origin, f".tls.certificateRefs[{i}]")
        wishes.append(
            CertificateWish(
                id=id_of(place(ref), ref.name),
                secret=ref,
                hosts=() if entry.hostname == ANY else (entry.hostname,),
                default=entry.hostname == ANY and not wishes,
                origin=origin,
            )
        )
    if not wishes and judged.good:
        judged = Judgement(
            good=False, reason="InvalidCertificateRef", message="a listener that ends TLS needs a certificate"
        )
    return tuple(wishes), judged


def deeper(origin: Origin, more: str) -> Origin:
    """A place inside the place."""
    return origin.at(field(f"{origin.path}{more}"))


def referred(owner: Ref, one: ObjectReference, kind: str, group: str = "") -> Ref:
    """The object that a reference means, seen from its owner."""
    return Ref(
        cluster=owner.cluster,
        group=group if one.group is None else one.group,
        kind=kind if one.kind is None else one.kind,
        namespace=one.namespace or owner.namespace,
        name=one.name,
    )


def usable(read: Read, sight: Sight, owner: Ref, ref: Ref) -> Judgement | None:
    """Why a certificate cannot be used; one that may still come is not judged."""
    if (ref.group, ref.kind) != ("", "Secret"):
        why = f"a certificate is in a Secret, not in a {shown(ref.kind)} of {shown(ref.group or 'core')}"
        return Judgement(good=False, reason="InvalidCertificateRef", message=why)
    if not permitted(read, sight.grants, owner, ref):
        why = (
            f"no ReferenceGrant in the namespace {shown(ref.namespace)} lets this one use the Secret {shown(ref.name)}"
        )
        return Judgement(good=False, reason="RefNotPermitted", message=why)
    secret = read.get(sight.inputs.of(Secret), ref)
    if secret is None:
        if not known_absent(read, sight.inputs, ref):
            return None
        return Judgement(good=False, reason="InvalidCertificateRef", message=f"there is no Secret {shown(ref.key)}")
    pair = key_pair(secret)
    if isinstance(pair, Refused):
        return Judgement(good=False, reason="InvalidCertificateRef", message=f"the Secret {shown(ref.key)} {pair.why}")
    return None
