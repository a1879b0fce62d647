"""Certificates for tests: authorities, leaves, and a shelf of broken ones. Fast (EC P-256), never for production.

In: host names and dates. Out: PEM bytes. Nothing is written to disk here.
"""

import datetime
import hashlib
import ipaddress
import ssl

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOUR = datetime.timedelta(hours=1)
DAY = datetime.timedelta(days=1)


class PemPair(msgspec.Struct, frozen=True, kw_only=True):
    """What a TLS Secret holds: a certificate (or chain) and its private key, both PEM; broken ones may hold anything."""

    certificate: bytes
    key: bytes

    def fingerprint(self) -> str:
        """SHA-256 of the leaf's DER, in hex: compare with `PeerCertificate.fingerprint`."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.certificate.decode("ascii"))).hexdigest()


class Authority:
    """A certificate authority with its key in memory."""

    def __init__(self, name: str = "test authority", *, issuer: "Authority | None" = None) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer, signer_name = (issuer.key, issuer.name) if issuer else (self.key, self.name)
        self.certificate = (
            _builder(self.name, signer_name, self.key, None, None)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(signer, hashes.SHA256())
        )

    def pem(self) -> bytes:
        """The authority's own certificate, as a client's trust root."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        *hosts: str,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
        passphrase: bytes | None = None,
        chain: bool = False,
    ) -> PemPair:
        """A leaf for DNS names, IP addresses and `scheme:` URIs; with `chain` the authority's certificate follows."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])] if hosts else [])
        builder = _builder(subject, self.name, key, not_before, not_after)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        leaf = builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return PemPair(certificate=leaf + (self.pem() if chain else b""), key=key_pem(key, passphrase))


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """A private key as PKCS#8 PEM, encrypted when a passphrase is given."""
    encryption: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def broken_pairs(authority: Authority, host: str) -> dict[str, PemPair]:
    """Pairs that no listener may serve, each under the name of what is wrong with it."""
    good, other = authority.issue(host), authority.issue(host)
    certificate, key = good.certificate, good.key
    middle = len(certificate) // 2
    return {
        "key of another certificate": PemPair(certificate=certificate, key=other.key),
        "encrypted key": authority.issue(host, passphrase=b"secret"),
        "garbage certificate": PemPair(certificate=b"not a certificate", key=key),
        "garbage key": PemPair(certificate=certificate, key=b"not a key"),
        "garbage inside the armour": PemPair(certificate=_armoured(b"garbage"), key=key),
        "truncated certificate": PemPair(certificate=certificate[:middle], key=key),
        "truncated key": PemPair(certificate=certificate, key=key[: len(key) // 2]),
        "empty certificate": PemPair(certificate=b"", key=key),
        "empty key": PemPair(certificate=certificate, key=b""),
        "certificate and key swapped": PemPair(certificate=key, key=certificate),
        "leaf not first in its chain": PemPair(certificate=authority.pem() + certificate, key=key),
        "nul bytes": PemPair(certificate=certificate.replace(b"\n", b"\x00"), key=key),
    }


def questionable_pairs(authority: Authority, host: str) -> dict[str, PemPair]:
    """Well-formed pairs that clients will refuse but a listener can serve: bad dates, wrong names."""
    now = datetime.datetime.now(datetime.UTC)
    return {
        "expired": authority.issue(host, not_before=now - 10 * DAY, not_after=now - DAY),
        "not yet valid": authority.issue(host, not_before=now + DAY, not_after=now + 10 * DAY),
        "for another host": authority.issue("another." + host),
        "without names": authority.issue(),
    }


def _armoured(content: bytes) -> bytes:
    return b"-----BEGIN CERTIFICATE-----\n" + content + b"\n-----END CERTIFICATE-----\n"


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.UniformResourceIdentifier(host) if ":" in host else x509.DNSName(host)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    not_before: datetime.datetime | None,
    not_after: datetime.datetime | None,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before or now - HOUR)
        .not_valid_after(not_after or now + 90 * DAY)
    )
