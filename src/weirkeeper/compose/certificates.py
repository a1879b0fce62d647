"""Which certificate answers for which host, when several objects bring one.

Comes in: every wish for a certificate, with who wished it. Goes out: which Secrets are wished at all and for what, and for each host the certificate that
answers for it: a row of its own, so a new host costs the same whether ten others share its Secret or ten thousand. A host is answered for by what an object
*says* (its TLS hosts), never by names that merely stand in a certificate: so nobody takes over a host by putting its name into a certificate of their own.
The oldest claim on the host wins, then the first by name.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from weirkeeper.model.certificate import Certificate, CertificateWish
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Part, Ref, ServerName
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Hostname, Id


class CertificateClaim(NamedTuple):
    """One wish of one object: the certificate's identity, the object, and its position in the object's wishes."""

    part: Part
    ref: Ref
    position: int


class CertificateUse(NamedTuple):
    """Something that at least one object wishes of a certificate: to answer for all other hosts, for named hosts, or for the names in it."""

    part: Part
    use: Literal["default", "hosts", "names"]


class CertificateReport(NamedTuple):
    """What those who wish a certificate are told of it; a renewed certificate with the same names changes nothing here. ``names`` is None without one."""

    problems: tuple[Finding, ...]
    names: tuple[Hostname, ...] | None


def secrets_wished(load_balancer: Id, wishes: Iterable[CertificateWish]) -> Iterator[tuple[Part, Ref]]:
    """The Secret of each certificate; the same for all objects that wish it."""
    return ((Part(load_balancer, wish.id), wish.secret) for wish in wishes)


def certificate_uses(load_balancer: Id, wishes: Iterable[CertificateWish]) -> Iterator[tuple[CertificateUse, bool]]:
    """What one object's wishes want of each certificate."""
    for wish in wishes:
        part = Part(load_balancer, wish.id)
        if wish.default:
            yield CertificateUse(part, "default"), True
        if not wish.client:
            yield CertificateUse(part, "hosts" if wish.hosts else "names"), True


def common_wish(part: Part, secret: Ref) -> CertificateWish:
    """What all objects that wish this certificate have in common."""
    return CertificateWish(id=part.id, secret=secret, origin=Origin(ref=secret))


def claimed_names(claim: CertificateClaim, wish: CertificateWish) -> Iterator[ServerName]:
    """The hosts that one wish wants the certificate for."""
    if not wish.client:
        yield from (ServerName(claim.part.load_balancer, host) for host in wish.hosts)


def winning_certificate(claims: Sequence[tuple[CertificateClaim, CertificateWish]]) -> Part:
    """Of all claims on one host, the certificate of the oldest; of equally old ones that of the first object by name."""
    return min(claims, key=lambda row: (*_age(row[1]), row[0].part))[0].part


def served_certificate(certificate: Certificate, *, by_names: bool, default: bool) -> Certificate:
    """The certificate as engines get it: ``names`` stay only where nobody says for which hosts it is."""
    return msgspec.structs.replace(certificate, names=certificate.names if by_names else (), default=default)


def _age(wish: CertificateWish) -> tuple[str, str]:
    return (wish.origin.created_at or "9999", wish.origin.ref.key)
