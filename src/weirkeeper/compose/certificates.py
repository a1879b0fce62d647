"""Which certificate answers for which host, when several objects bring one.

Comes in: every wish for a certificate, with who wished it. Goes out: one wish for each Secret, and the certificate bound to the hosts that it answers
for. A host is answered for by what an object *says* (its TLS hosts), never by names that merely stand in a certificate: so nobody takes over
a host by putting its name into a certificate of their own. The oldest claim wins, then the first by name.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from weirkeeper.model.certificate import Certificate, CertificateWish
from weirkeeper.model.ids import Part, Ref
from weirkeeper.model.text import Hostname


class CertificateClaim(NamedTuple):
    """One wish of one object: the certificate's identity, the object, and its position in the object's wishes."""

    part: Part
    ref: Ref
    position: int


def merged_wish(members: Sequence[tuple[CertificateClaim, CertificateWish]]) -> CertificateWish:
    """What all these objects together wish of one Secret; the origin is the oldest one's."""
    oldest = min((wish for _, wish in members), key=_age)
    return msgspec.structs.replace(
        oldest,
        hosts=tuple(sorted({host for _, wish in members for host in wish.hosts})),
        default=any(wish.default for _, wish in members),
        client=all(wish.client for _, wish in members),
    )


def bound_certificate(
    part: Part,
    wish: CertificateWish,
    certificate: Certificate,
    claims: Mapping[Hostname, Sequence[tuple[Part, CertificateWish]]],
) -> Certificate:
    """The certificate with ``names`` set to the hosts that it answers for."""
    if wish.client:
        names: tuple[Hostname, ...] = ()
    elif wish.hosts:
        names = tuple(host for host in wish.hosts if _winner(claims[host]) == part)
    else:
        names = certificate.names
    return msgspec.structs.replace(certificate, names=names, default=wish.default)


def _winner(claims: Sequence[tuple[Part, CertificateWish]]) -> Part:
    return min(claims, key=lambda claim: (*_age(claim[1]), claim[0]))[0]


def _age(wish: CertificateWish) -> tuple[str, str]:
    return (wish.origin.created_at or "9999", wish.origin.ref.key)
