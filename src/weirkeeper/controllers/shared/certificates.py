"""From a Secret to a certificate that an engine can be given, or why not.

Comes in: wishes for the certificate in a Secret. Goes out: a parsed and checked certificate with what its users should know. A certificate is parsed, matched with
its key and measured here, so that a bad one removes only itself. An expired one is still served: clients decide, and the condition says so.
"""

import base64
import binascii
from collections.abc import Iterable

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from weirkeeper.controllers.base import CertificateWish, Inputs
from weirkeeper.flow import Graph, Read, Table
from weirkeeper.kube.types import Secret as KubeSecret
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import Part
from weirkeeper.model.origin import Origin
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Digest, Hostname, Id, PemText, Refused, Sentence, Timestamp, parse

LONGEST_PEM = 65536
"""Characters of one PEM text; a crafted longer one would burn time in the parser (GHSA-r4pg-vg54-wxx4)."""

SMALLEST_RSA = 2048
"""Bits below which an RSA key is refused, as engines do at their default security level."""


class CertificateResult(msgspec.Struct, frozen=True):
    """A certificate, where there is one to serve, and what is wrong or will be."""

    certificate: Certificate | None
    problems: tuple[Finding, ...] = ()


def declare_certificates(
    graph: Graph, inputs: Inputs, wishes: Table[Part, CertificateWish]
) -> Table[Part, CertificateResult]:
    """Declare the table of checked certificates, one for each wish whose Secret is known to be there or to be missing."""
    secrets = inputs.of(KubeSecret)

    def result(read: Read, _: Part, wish: CertificateWish) -> CertificateResult | None:
        secret = read.get(secrets, wish.secret)
        if secret is not None:
            return certificate_of(secret, wish)
        known = read.get(inputs.complete, "Secret") or read.get(inputs.complete, wish.secret)
        if not known:
            return None  # pending: what was served stays
        return _refused(wish, Reason.SECRET_NOT_FOUND, f"Secret {wish.secret.key} does not exist", "create it")

    return graph.derive("certificate_results", wishes, result)


def certificate_of(secret: KubeSecret, wish: CertificateWish) -> CertificateResult:
    """The certificate of a ``kubernetes.io/tls`` Secret (fields ``tls.crt`` and ``tls.key``), checked."""
    texts = []
    for field in ("tls.crt", "tls.key"):
        text = secret_text(secret, field)
        if isinstance(text, Refused):
            return _refused(wish, Reason.INVALID_SECRET, f"Secret {wish.secret.key}: {text.why}", "mend the Secret")
        texts.append(text)
    return _checked(texts[0], texts[1], wish, secret.origin())


def secret_text(secret: KubeSecret, field: str) -> str | Refused:
    """A field of a Secret as text; ``stringData`` counts where a file has it."""
    plain = (secret.string_data or {}).get(field)
    if plain is not None:
        return plain
    encoded = (secret.data or {}).get(field)
    if encoded is None:
        return Refused(f"the field {field} is missing")
    try:
        return base64.b64decode(encoded, validate=False).decode()
    except (binascii.Error, UnicodeDecodeError):
        return Refused(f"the field {field} is not base64 of text")


def _checked(chain: str, key: str, wish: CertificateWish, origin: Origin) -> CertificateResult:
    if max(len(chain), len(key)) > LONGEST_PEM:
        return _refused(
            wish, Reason.INVALID_CERTIFICATE, f"PEM is longer than {LONGEST_PEM} characters", "shorten the chain"
        )
    leaf = _leaf(chain)
    if isinstance(leaf, Refused):
        return _refused(wish, Reason.INVALID_CERTIFICATE, f"tls.crt {leaf.why}", "put a PEM chain there, leaf first")
    trouble = _key_trouble(key, leaf)
    if trouble:
        return _refused(
            wish, Reason.INVALID_CERTIFICATE, f"tls.key {trouble}", "put the key of tls.crt there, not encrypted"
        )
    certificate = Certificate(
        id=wish.id,
        chain=PemText(chain),
        key=Secret(key),
        names=_names(leaf),
        not_before=_stamp(leaf.not_valid_before_utc.isoformat()),
        not_after=_stamp(leaf.not_valid_after_utc.isoformat()),
        fingerprint=Digest(leaf.fingerprint(hashes.SHA256()).hex()),
        origin=origin,
    )
    return CertificateResult(certificate, _mismatches(certificate.names, wish))


def _leaf(chain: str) -> x509.Certificate | Refused:
    if isinstance(parse(PemText, chain), Refused):
        return Refused("holds characters that PEM does not have")
    try:
        certificates = x509.load_pem_x509_certificates(chain.encode())
    except (ValueError, UnsupportedAlgorithm) as problem:
        return Refused(f"does not parse: {str(problem)[:200]}")
    return certificates[0]


def _key_trouble(key: str, leaf: x509.Certificate) -> str:
    if isinstance(parse(PemText, key), Refused):
        return "holds characters that PEM does not have"
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return "is encrypted with a passphrase"
    except (ValueError, UnsupportedAlgorithm):
        return "does not parse"
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return "is neither an RSA nor an elliptic-curve key"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < SMALLEST_RSA:
        return f"is an RSA key of {private.key_size} bits; {SMALLEST_RSA} is the least"
    try:
        same = private.public_key() == leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        same = False
    return "" if same else "does not belong to the certificate"


def _names(leaf: x509.Certificate) -> tuple[Hostname, ...]:
    try:
        names: Iterable[str] = leaf.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    checked = (parse(Hostname, name.lower()) for name in names)
    return tuple(sorted({name for name in checked if not isinstance(name, Refused)}))


def covers(names: Iterable[Hostname], host: Hostname) -> bool:
    """Whether a certificate with these names is valid for the host (RFC 6125: a wildcard stands for one label)."""
    suffix = "*." + host.partition(".")[2]
    return any(name in (host, suffix) for name in names)


def _mismatches(names: tuple[Hostname, ...], wish: CertificateWish) -> tuple[Finding, ...]:
    strangers = [] if wish.client else [host for host in wish.hosts if not covers(names, host)]
    if not strangers:
        return ()
    return (
        Finding(
            severity=Severity.WARNING,
            reason=Reason.CERTIFICATE_HOST_MISMATCH,
            for_user=Sentence(
                f"the certificate in Secret {wish.secret.key} is not valid for {', '.join(strangers[:5])}"
            ),
            remedy=Sentence("issue a certificate that names these hosts; clients will refuse this one"),
            origin=wish.origin,
            effect=Effect.DEGRADED,
        ),
    )


def _refused(wish: CertificateWish, reason: Reason, why: str, remedy: str) -> CertificateResult:
    finding = Finding(
        severity=Severity.ERROR,
        reason=reason,
        for_user=Sentence(_clean(why)),
        remedy=Sentence(remedy),
        origin=wish.origin,
        effect=Effect.FAILS_CLOSED,
        affected=(Id(wish.id),),
    )
    return CertificateResult(None, (finding,))


def _clean(text: str) -> str:
    return "".join(c if " " <= c <= "~" else " " for c in text)


def _stamp(text: str) -> Timestamp:
    return Timestamp(text.replace("+00:00", "Z"))
