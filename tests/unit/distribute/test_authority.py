"""The authority: what it signs, what it refuses, and that a succession of roots leaves nobody without trust at any moment."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from weirkeeper.distribute.authority import (
    ROOT_LIFE,
    SERVER_NAME,
    AuthorityKeys,
    Issued,
    authority_from,
    expiry,
    issue_instance,
    issue_replica,
    new_authority,
    new_request,
    renewal,
    secret_fields,
    succeeded,
)
from weirkeeper.distribute.identity import subject
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Id, Refused

NOW = dt.datetime(2026, 11, 21, 7, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LB = Id("ingress/public/one shop".replace(" ", "-"))


def issued(keys: AuthorityKeys, now: dt.datetime = NOW, life: dt.timedelta = DAY) -> Issued:
    found = issue_instance(keys, new_request()[1], LB, "pod-1", now, life=life)
    assert isinstance(found, Issued)
    return found


def trusts(bundle: str, chain: str, now: dt.datetime) -> bool:
    store = Store(x509.load_pem_x509_certificates(bundle.encode()))
    verifier = PolicyBuilder().store(store).time(now).build_client_verifier()
    try:
        verifier.verify(x509.load_pem_x509_certificate(chain.encode()), [])
    except x509.verification.VerificationError:
        return False
    return True


def test_an_instance_gets_the_names_that_we_give_and_none_that_it_asks_for() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = x509.SubjectAlternativeName(
        [x509.DNSName(SERVER_NAME), x509.UniformResourceIdentifier(subject(Id("other")))]
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    request = request.add_extension(greedy, False).add_extension(x509.BasicConstraints(True, None), True)
    pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    found = issue_instance(new_authority(NOW), pem, LB, "pod\n1", NOW)
    assert isinstance(found, Issued)
    leaf = x509.load_pem_x509_certificate(found.chain.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [one.value for one in names] == [subject(LB)]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert leaf.subject.rfc4514_string() == "CN=instance"
    assert found.key == Secret("")


def test_a_replica_is_server_and_client_by_the_names_given() -> None:
    keys = new_authority(NOW)
    made = issue_replica(keys, ("10.0.0.7", "weirkeeper.system.svc"), NOW)
    leaf = x509.load_pem_x509_certificate(made.chain.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == [SERVER_NAME, "10.0.0.7", "weirkeeper.system.svc"]
    verifier = PolicyBuilder().store(Store(x509.load_pem_x509_certificates(keys.bundle.encode()))).time(NOW)
    verifier.build_server_verifier(x509.DNSName(SERVER_NAME)).verify(leaf, [])
    assert trusts(made.authority, made.chain, NOW)


@pytest.mark.parametrize("what", ["nonsense", "weak", "edwards", "forged"])
def test_a_bad_request_is_refused(what: str) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if what == "nonsense":
        text = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
    elif what == "weak":
        weak = rsa.generate_private_key(65537, 1024)
        text = builder.sign(weak, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    elif what == "edwards":
        other = ed25519.Ed25519PrivateKey.generate()
        text = builder.sign(other, None).public_bytes(serialization.Encoding.PEM).decode()
    else:
        good = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        raw = bytearray(good.public_bytes(serialization.Encoding.DER))
        raw[-1] ^= 1
        text = x509.load_der_x509_csr(bytes(raw)).public_bytes(serialization.Encoding.PEM).decode()
    assert isinstance(issue_instance(new_authority(NOW), text, LB, "pod", NOW), Refused)


def test_renewal_is_at_two_thirds_of_the_life() -> None:
    found = issued(new_authority(NOW), life=dt.timedelta(seconds=60))
    assert expiry(found.chain) == NOW + dt.timedelta(seconds=60)
    assert abs((renewal(found.chain) - NOW).total_seconds() - 40) < 0.01
    assert found.renew == renewal(found.chain).timestamp()


def test_no_certificate_outlives_its_root() -> None:
    keys = new_authority(NOW, dt.timedelta(hours=1))
    assert issued(keys, life=DAY).expires == (NOW + dt.timedelta(hours=1)).timestamp()


def test_the_secret_goes_both_ways_and_shows_no_key() -> None:
    keys = new_authority(NOW)
    next_ = succeeded(keys, NOW + ROOT_LIFE * 0.7)
    assert next_ is not None
    for one in (keys, next_):
        assert authority_from(secret_fields(one)) == one
        assert "PRIVATE" not in repr(one)


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("tls.key", b"", "lacks tls.key"),
        ("tls.key", secret_fields(new_authority(NOW))["tls.key"], "not the certificate's"),
        ("ca.crt", b"nonsense", "cannot be read"),
        ("tls.crt", b"\xff\xfe", "cannot be read"),
        ("ca.crt", secret_fields(new_authority(NOW))["ca.crt"], "not among the trusted ones"),
    ],
    ids=["no key", "another's key", "no roots", "no text", "another's roots"],
)
def test_a_damaged_secret_is_refused_with_a_reason(field: str, value: bytes, why: str) -> None:
    found = authority_from({**secret_fields(new_authority(NOW)), field: value})
    assert isinstance(found, Refused)
    assert why in found.why


def test_a_certificate_that_may_not_sign_is_no_authority() -> None:
    made = issue_replica(new_authority(NOW), (), NOW)
    fields = {"tls.crt": made.chain, "tls.key": made.key.open(), "ca.crt": made.chain}
    found = authority_from({name: text.encode() for name, text in fields.items()})
    assert isinstance(found, Refused)
    assert "none of an authority" in found.why


def test_a_succession_of_roots_leaves_nobody_without_trust() -> None:
    """Everybody renews at two thirds of a day and looks at nothing else; at every hour every certificate is trusted by every bundle in use."""
    life = 30 * DAY
    keys, now = new_authority(NOW, life), NOW
    holders = [issued(keys, NOW - DAY * share / 2, DAY) for share in (0, 0.3, 0.6)]
    roots = set()
    for _ in range(24 * 90):
        now += dt.timedelta(hours=1)
        after = succeeded(keys, now, DAY, life)
        keys = after or keys
        roots.add(keys.certificate)
        holders = [issued(keys, now) if now.timestamp() >= one.renew else one for one in holders]
        server = issue_replica(keys, (), now)
        for one in holders:
            assert trusts(server.authority, one.chain, now), now
            assert trusts(one.authority, server.chain, now), now
        assert len(x509.load_pem_x509_certificates(keys.bundle.encode())) <= 2
    assert len(roots) >= 4
