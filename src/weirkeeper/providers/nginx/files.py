"""What lies in the folder of an NGINX besides its file: our Lua, authorities, and a certificate that stands where NGINX wants one in its file and is never shown.

Comes in: an assembly. Goes out: texts by path.
"""

import datetime
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from weirkeeper.providers.items import digest
from weirkeeper.providers.nginx.plan import GATE
from weirkeeper.providers.nginx.translate.frame import CONFIGURATION, STAND_IN, Frame, configuration

FOLDER = "weir"


@cache
def scripts() -> Mapping[str, str]:
    """Our Lua by path: constant, no text of a tenant stands in it."""
    found = {one.name: one.read_text() for one in files("weirkeeper.providers.nginx").joinpath("lua").iterdir()}
    return {f"{FOLDER}/{name}": text for name, text in sorted(found.items()) if name.endswith(".lua")}


@cache
def scripts_digest() -> str:
    """By which another version of ours is told."""
    return digest(*(part for pair in scripts().items() for part in pair))


def gate(chosen: Frame) -> Mapping[str, str]:
    """What an NGINX begins with that listens nowhere; its file comes last, so that who waits for it finds the rest."""
    return {**scripts(), CONFIGURATION: configuration((), (), chosen, GATE)}


@cache
def stand_in() -> Mapping[str, str]:
    """A certificate of nobody, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody.invalid")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {STAND_IN: pem + private}
