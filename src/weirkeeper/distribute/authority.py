"""Our own certificate authority: who may be an instance of which load balancer, and who is a replica of the control plane. Pure but for new keys.

Comes in: the moment, certificate requests, names. Goes out: certificates, and the authority as the fields of a Secret. Nothing here talks to anybody.

Theory of operation. A root signs for years (``ROOT_LIFE``). Everybody trusts a *bundle* of roots, which travels with each new certificate. At two thirds
of its life a root gets a successor, which is in the bundle at once and signs only after a whole life of a certificate: then everybody has renewed and
trusts it. The old root leaves the bundle when another such life has passed, for then nothing that it signed is valid. ``succeeded`` is that whole rule;
whoever holds the Secret calls it now and then.
"""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from weirkeeper.distribute.identity import subject
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Id, Refused, shown
from weirkeeper.model.value import Value

ROOT_LIFE = dt.timedelta(days=3650)
LEAF_LIFE = dt.timedelta(hours=24)
BACKDATE = dt.timedelta(hours=1)
"""Certificates begin to be valid that long before they are made: clocks differ, and one that is behind would find them not valid yet."""

RENEWAL = 2 / 3
SERVER_NAME = "control-plane.weirkeeper.io"
"""The DNS name in every replica's certificate. Clients verify it, whatever address they dial."""

_READABLE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_CURVES = ("secp256r1", "secp384r1")


class AuthorityKeys(Value, frozen=True, kw_only=True):
    """What the Secret of the authority holds: the root that signs and its key, all roots that are trusted, and the successor where there is one. PEM."""

    certificate: str
    key: Secret
    bundle: str
    next_certificate: str = ""
    next_key: Secret = Secret("")


class Issued(Value, frozen=True, kw_only=True):
    """A certificate with the roots to trust; ``key`` is empty where the asker keeps it. ``renew`` and ``expires`` are seconds since 1970."""

    chain: str
    authority: str
    expires: float
    renew: float
    key: Secret = Secret("")


def new_authority(now: dt.datetime, life: dt.timedelta = ROOT_LIFE) -> AuthorityKeys:
    """A fresh authority with one root."""
    certificate, key = _root(now, life)
    return AuthorityKeys(certificate=certificate, key=key, bundle=certificate)


def authority_from(fields: Mapping[str, bytes]) -> AuthorityKeys | Refused:
    """The authority in the (decoded) fields of a Secret, or why it is none."""
    texts = {name: value.decode("ascii", "replace") for name, value in fields.items()}
    missing = [name for name in ("tls.crt", "tls.key", "ca.crt") if not texts.get(name)]
    if missing:
        return Refused(f"lacks {', '.join(missing)}")
    keys = AuthorityKeys(
        certificate=texts["tls.crt"],
        key=Secret(texts["tls.key"]),
        bundle=texts["ca.crt"],
        next_certificate=texts.get("next.crt", ""),
        next_key=Secret(texts.get("next.key", "")),
    )
    try:
        trusted = x509.load_pem_x509_certificates(keys.bundle.encode())
        pairs = [(_load(root), _signer(key)) for root, key in _pairs(keys)]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        return Refused(f"cannot be read: {error}")
    if any(root.public_key() != signer.public_key() for root, signer in pairs):
        return Refused("holds a key that is not the certificate's")
    why = next((why for root, _ in pairs if (why := _no_root(root, trusted))), "")
    return Refused(why) if why else keys


def _pairs(keys: AuthorityKeys) -> list[tuple[str, Secret]]:
    """The roots with their keys."""
    following = [(keys.next_certificate, keys.next_key)] if keys.next_certificate else []
    return [(keys.certificate, keys.key), *following]


def _no_root(root: x509.Certificate, trusted: Sequence[x509.Certificate]) -> str:
    """Why what this certificate signs would be trusted by nobody (RFC 5280, 6.1.4); empty where it would. How long it holds is not asked: clocks differ."""
    try:
        signs = root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        signs = False
    if not signs:
        return "holds a certificate that is none of an authority"
    return "" if root in trusted else "holds a certificate that is not among the trusted ones in ca.crt"


def secret_fields(keys: AuthorityKeys) -> dict[str, bytes]:
    """The fields of the Secret, not yet in base64."""
    fields = {"tls.crt": keys.certificate, "tls.key": keys.key.open(), "ca.crt": keys.bundle}
    if keys.next_certificate:
        fields |= {"next.crt": keys.next_certificate, "next.key": keys.next_key.open()}
    return {name: text.encode() for name, text in fields.items()}


def succeeded(
    keys: AuthorityKeys, now: dt.datetime, leaf_life: dt.timedelta = LEAF_LIFE, life: dt.timedelta = ROOT_LIFE
) -> AuthorityKeys | None:
    """The authority after the next step of its succession, or None where nothing is due."""
    if not keys.next_certificate:
        if now >= renewal(keys.certificate):
            certificate, key = _root(now, life)
            return AuthorityKeys(
                certificate=keys.certificate,
                key=keys.key,
                bundle=keys.bundle.rstrip("\n") + "\n" + certificate,
                next_certificate=certificate,
                next_key=key,
            )
    elif now >= made_at(keys.next_certificate) + leaf_life:
        return AuthorityKeys(certificate=keys.next_certificate, key=keys.next_key, bundle=keys.bundle)
    bundle = _trusted(keys, now, leaf_life)
    return None if bundle == keys.bundle else _with_bundle(keys, bundle)


def issue_instance(
    keys: AuthorityKeys,
    request: str,
    load_balancer: Id,
    instance: str,
    now: dt.datetime,
    *,
    life: dt.timedelta = LEAF_LIFE,
) -> Issued | Refused:
    """A certificate for an instance of this load balancer. Of the request only the key counts: names are ours to give."""
    wished = _requested(request)
    if isinstance(wished, Refused):
        return wished
    named = instance if _READABLE.fullmatch(instance) else "instance"
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(subject(load_balancer))])
    return _issue(keys, wished, named, names, (ExtendedKeyUsageOID.CLIENT_AUTH,), now=now, life=life)


def issue_replica(
    keys: AuthorityKeys, names: Sequence[str], now: dt.datetime, *, life: dt.timedelta = LEAF_LIFE
) -> Issued:
    """A certificate with its key for a replica of the control plane: server for instances, client of other replicas. ``names`` are DNS names and addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    wished = dict.fromkeys((SERVER_NAME, *names))
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in wished])
    usages = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    issued = _issue(keys, key.public_key(), "control plane", alternatives, usages, now=now, life=life)
    return Issued(
        chain=issued.chain, authority=issued.authority, expires=issued.expires, renew=issued.renew, key=_pem(key)
    )


def new_request() -> tuple[Secret, str]:
    """A fresh key and the request for a certificate of it, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return _pem(key), request.public_bytes(serialization.Encoding.PEM).decode()


def renewal(chain: str) -> dt.datetime:
    """When the first certificate of this chain is to be renewed: at two thirds of its life. ``ValueError`` where it is none."""
    found = _load(chain)
    began = made_at(chain)
    return began + (found.not_valid_after_utc - began) * RENEWAL


def made_at(chain: str) -> dt.datetime:
    """When the first certificate of this chain was made, by the clock of who made it. ``ValueError`` where it is none."""
    return _load(chain).not_valid_before_utc + BACKDATE


def expiry(chain: str) -> dt.datetime:
    """When the first certificate of this chain ends. ``ValueError`` where it is none."""
    return _load(chain).not_valid_after_utc


def _issue(
    keys: AuthorityKeys,
    public: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    named: str,
    names: x509.SubjectAlternativeName,
    usages: Sequence[x509.ObjectIdentifier],
    *,
    now: dt.datetime,
    life: dt.timedelta,
) -> Issued:
    root, signer = _load(keys.certificate), _signer(keys.key)
    ends = min(now + life, root.not_valid_after_utc)
    key_usage = _key_usage(certificates=False)
    leaf = (
        _builder(named, root.subject, now, ends)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    chain = leaf.public_bytes(serialization.Encoding.PEM).decode()
    return Issued(chain=chain, authority=keys.bundle, expires=ends.timestamp(), renew=renewal(chain).timestamp())


def _root(now: dt.datetime, life: dt.timedelta) -> tuple[str, Secret]:
    """A root of a name of its own: two of one name would be mistaken for each other."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    named = f"weirkeeper authority {identifier.digest.hex()[:12]}"
    builder = _builder(named, None, now, now + life).public_key(key.public_key())
    made = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)


def _builder(named: str, issuer: x509.Name | None, now: dt.datetime, ends: dt.datetime) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, named)])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(ends)
    )


def _key_usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _requested(text: str) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey | Refused:
    try:
        request = x509.load_pem_x509_csr(text.encode())
        genuine = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return Refused("the request is no certificate request in PEM")
    key = request.public_key()
    if not genuine:
        return Refused("the request is not signed with its own key")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return key
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 4096:
        return key
    return Refused("the request's key is neither ECDSA P-256 or P-384 nor RSA of 2048 to 4096 bits")


def _trusted(keys: AuthorityKeys, now: dt.datetime, leaf_life: dt.timedelta) -> str:
    """The bundle without roots that signed nothing that is still valid."""
    kept = {_load(pem).fingerprint(hashes.SHA256()) for pem in (keys.certificate, keys.next_certificate) if pem}
    # A successor begins to sign one leaf life after it was made; what its predecessor signed until then lasts one more.
    settled = not keys.next_certificate and now >= made_at(keys.certificate) + 2 * leaf_life
    roots = x509.load_pem_x509_certificates(keys.bundle.encode())
    left = [root for root in roots if root.fingerprint(hashes.SHA256()) in kept or not settled]
    return "".join(root.public_bytes(serialization.Encoding.PEM).decode() for root in left)


def _with_bundle(keys: AuthorityKeys, bundle: str) -> AuthorityKeys:
    return AuthorityKeys(
        certificate=keys.certificate,
        key=keys.key,
        bundle=bundle,
        next_certificate=keys.next_certificate,
        next_key=keys.next_key,
    )


def _load(chain: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(chain.encode())


def _signer(key: Secret) -> ec.EllipticCurvePrivateKey:
    found = serialization.load_pem_private_key(key.open().encode(), None)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ValueError(f"the authority's key is not ECDSA but {shown(type(found).__name__)}")  # noqa: TRY004
    return found


def _pem(key: ec.EllipticCurvePrivateKey) -> Secret:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return Secret(key.private_bytes(encoding, form, serialization.NoEncryption()).decode())


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
