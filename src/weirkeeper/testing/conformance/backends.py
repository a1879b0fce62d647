"""The echo backends that all scenarios share: two in clear, one over TLS. In: nothing. Out: running servers, by name."""

import contextlib
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from weirkeeper.testing.certificates import Authority, PemPair
from weirkeeper.testing.echo import EchoServer, echo_thread

SECURE_NAME = "backend.internal"


class Backends(msgspec.Struct, frozen=True, kw_only=True):
    """`a` and `b` answer in clear, `secure` over TLS with a certificate for `backend.internal` by `authority`; it asks clients for one."""

    a: EchoServer
    b: EchoServer
    secure: EchoServer
    authority: Authority


@contextlib.contextmanager
def running_backends() -> Iterator[Backends]:
    """The backends, until the block ends."""
    authority = Authority("conformance backends")
    with contextlib.ExitStack() as stack:
        yield Backends(
            a=stack.enter_context(echo_thread(name="a")),
            b=stack.enter_context(echo_thread(name="b")),
            secure=stack.enter_context(echo_thread(name="secure", tls=_context(authority))),
            authority=authority,
        )


def _context(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, authority.issue(SECURE_NAME))
    context.load_verify_locations(cadata=authority.pem().decode("ascii"))
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _load(context: ssl.SSLContext, pair: PemPair) -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate"), Path(folder, "key")
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key)
