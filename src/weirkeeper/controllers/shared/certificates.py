"""Certificates and keys from Secrets, checked before any engine sees them.

Comes in: wishes that name a Secret. Goes out: for each the certificate, or none, and what is wrong with it. No clock is read here: the day comes
from the input table ``clock`` (key ``"day"``, RFC 3339); without it nothing is called expired. An expired certificate is served all the same.
"""

import datetime
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from weirkeeper.controllers.base import CertificateWish, Inputs
from weirkeeper.controllers.shared.hostnames import covers
from weirkeeper.controllers.shared.report import error, warning
from weirkeeper.controllers.shared.secrets import known_absent, secret_text
from weirkeeper.flow import Graph, Read, Source, Table
from weirkeeper.kube.types import Secret as SecretObject
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.origin import Origin
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Digest, Hostname, PemText, Refused, Timestamp, parse, shown
from weirkeeper.model.value import Value

K = TypeVar("K")

MOST_CERTIFICATES = 10
NEAR_END_DAYS = 14
SMALLEST_RSA = 2048
REMEDY = "put a PEM chain (leaf first) under tls.crt and its unencrypted PEM key under tls.key"


class CertificateResult(Value, frozen=True, kw_only=True):
    """A certificate that can be served, or none, and what its owner should know."""

    certificate: Certificate | None = None
    problems: tuple[Finding, ...] = ()


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A chain with its key, proven to belong together."""

    chain: PemText
    key: Secret
    names: tuple[Hostname, ...]
    not_before: str
    not_after: str
    fingerprint: str


def clock(graph: Graph) -> Source[str, str]:
    """The input table of the present day, declared on first use."""
    known = graph.tables.get("clock")
    return known if isinstance(known, Source) else graph.source("clock")


def declare_certificates(
    graph: Graph, inputs: Inputs, wishes: Table[K, CertificateWish]
) -> Table[K, CertificateResult]:
    """The table of results, one for each wish; a Secret that may still come has none yet."""
    secrets = inputs.of(SecretObject)
    days = clock(graph)

    def parsed(read: Read, _: K, wish: CertificateWish) -> Pair | Refused | None:
        secret = read.get(secrets, wish.secret)
        if secret is None:
            return Refused("is not there") if known_absent(read, inputs, wish.secret) else None
        return key_pair(secret)

    pairs: Table[K, Pair | Refused] = graph.derive(f"{wishes.name}.pairs", wishes, parsed)

    def result(read: Read, key: K, pair: Pair | Refused) -> CertificateResult | None:
        wish = read.get(wishes, key)
        return None if wish is None else certificate_result(wish, pair, read.get(days, "day"))

    return graph.derive(f"{wishes.name}.results", pairs, result)


def certificate_result(wish: CertificateWish, pair: Pair | Refused, day: str | None = None) -> CertificateResult:
    """The certificate of a wish with its problems."""
    if isinstance(pair, Refused):
        return CertificateResult(problems=(_unusable(wish, pair),))
    certificate = Certificate(
        id=wish.id,
        chain=pair.chain,
        key=pair.key,
        names=pair.names,
        not_before=Timestamp(pair.not_before),
        not_after=Timestamp(pair.not_after),
        fingerprint=Digest(pair.fingerprint),
        origin=Origin(ref=wish.secret),
    )
    return CertificateResult(
        certificate=certificate, problems=(*_dated(wish, pair, day), *unnamed_hosts(wish, pair.names))
    )


def key_pair(secret: SecretObject) -> Pair | Refused:
    """The chain and key of a Secret, or what is wrong with them."""
    chain, key = secret_text(secret, "tls.crt"), secret_text(secret, "tls.key")
    if isinstance(chain, Refused):
        return chain
    return key if isinstance(key, Refused) else checked_pair(chain, key)


def checked_pair(chain: str, key: str) -> Pair | Refused:
    """A chain and key that belong together, or why not."""
    pem = parse(PemText, chain)
    if isinstance(pem, Refused) or isinstance(parse(PemText, key), Refused):
        return Refused("holds something that is not PEM, or is too large")
    if "ENCRYPTED" in key:
        return Refused("holds an encrypted key, which no server can open")
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
        private = serialization.load_pem_private_key(key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as failure:
        return Refused(f"holds a certificate or key that cannot be read: {shown(str(failure))}")
    if len(certificates) > MOST_CERTIFICATES:
        return Refused(f"holds {len(certificates)} certificates; a chain has at most {MOST_CERTIFICATES}")
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return Refused("holds a key that is neither RSA nor ECDSA")
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < SMALLEST_RSA:
        return Refused(f"holds an RSA key of {private.key_size} bits; {SMALLEST_RSA} are needed")
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name not in {
        "secp256r1",
        "secp384r1",
        "secp521r1",
    }:
        return Refused("holds a key on a curve that TLS clients do not know; P-256 is safe")
    return _pair(pem, key, certificates[0], private)


def _pair(
    pem: PemText, key: str, leaf: x509.Certificate, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> Pair | Refused:
    try:
        same = leaf.public_key() == private.public_key()
        names = _names(leaf)
    except (ValueError, UnsupportedAlgorithm) as failure:
        return Refused(f"holds a certificate that cannot be read: {shown(str(failure))}")
    if not same:
        return Refused("holds a key that does not belong to its first certificate")
    return Pair(
        chain=pem,
        key=Secret(key),
        names=names,
        not_before=_time(leaf.not_valid_before_utc),
        not_after=_time(leaf.not_valid_after_utc),
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
    )


def _names(leaf: x509.Certificate) -> tuple[Hostname, ...]:
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        texts = alternatives.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        texts = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    names = (parse(Hostname, text.lower()) for text in texts)
    return tuple(sorted({name for name in names if not isinstance(name, Refused) and name != "*"}))


def _time(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _unusable(wish: CertificateWish, why: Refused) -> Finding:
    missing = why.why == "is not there"
    return error(
        Reason.SECRET_NOT_FOUND if missing else Reason.INVALID_CERTIFICATE,
        wish.origin,
        f"the Secret {wish.secret.key} {why.why}; its hosts are answered with the default certificate, if there is one",
        f"create the Secret of type kubernetes.io/tls: {REMEDY}" if missing else REMEDY,
        Effect.IGNORED,
    )


def _dated(wish: CertificateWish, pair: Pair, day: str | None) -> tuple[Finding, ...]:
    if not day:
        return ()
    if pair.not_after < day:
        return (
            error(
                Reason.CERTIFICATE_EXPIRED,
                wish.origin,
                f"the certificate in the Secret {wish.secret.key} ended at {pair.not_after}; it is served all the same",
                "renew it and put the new one into the same Secret",
            ),
        )
    soon = datetime.datetime.fromisoformat(day) + datetime.timedelta(days=NEAR_END_DAYS)
    if pair.not_after < _time(soon):
        return (
            warning(
                Reason.CERTIFICATE_NEAR_END,
                wish.origin,
                f"the certificate in the Secret {wish.secret.key} ends at {pair.not_after}",
                "renew it in time",
                Effect.NONE,
            ),
        )
    return ()


def unnamed_hosts(wish: CertificateWish, names: tuple[Hostname, ...]) -> tuple[Finding, ...]:
    """What its owner should know when the certificate does not name a host that it is wished for."""
    missing = [host for host in wish.hosts if not any(covers(name, host) for name in names)]
    if not missing or wish.client:
        return ()
    return (
        warning(
            Reason.CERTIFICATE_HOST_MISMATCH,
            wish.origin,
            f"the certificate in the Secret {wish.secret.key} does not name {', '.join(missing[:5])}; browsers will refuse it",
            "issue a certificate for these hosts, or take them out of the list",
            Effect.NONE,
        ),
    )
