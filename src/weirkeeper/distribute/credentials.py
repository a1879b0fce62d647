"""What a replica shows of itself over TLS, always in force: made by our own authority, or read from files that somebody else renews.

Comes in: the keys of the authority, or paths. Goes out: the newest ``MutualTls`` at any moment, as gRPC and as Python's ``ssl`` take it. Streams that are
open stay open when it changes: only the next handshake sees the new one. Private keys are never written: OpenSSL reads them from anonymous memory.
"""

import asyncio
import datetime as dt
import logging
import os
import random
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import grpc
import msgspec
from cryptography import x509

from weirkeeper.distribute.authority import BACKDATE, LEAF_LIFE, SERVER_NAME, AuthorityKeys, expiry, issue_replica

log = logging.getLogger(__name__)

LOOK = 1.0


class MutualTls(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate chain with its key, and the roots that are trusted to sign those of others; all PEM."""

    chain: bytes
    key: bytes
    authority: bytes

    def __repr__(self) -> str:
        return "MutualTls(<hidden>)"


class TlsSource(Protocol):
    """Where the present certificate comes from."""

    def current(self) -> MutualTls:
        """The one in force now. Called from any thread, at every handshake."""
        ...


class FixedTls:
    """One that never changes."""

    def __init__(self, tls: MutualTls) -> None:
        self._tls = tls

    def current(self) -> MutualTls:
        """Always the same."""
        return self._tls


class OwnTls:
    """A replica's certificate from our own authority, renewed at two thirds of its life (``run``) and when the authority changes (``trust``)."""

    def __init__(self, keys: AuthorityKeys, names: Sequence[str], life: dt.timedelta = LEAF_LIFE) -> None:
        self._names, self._life = tuple(names), life
        self.trust(keys)

    def trust(self, keys: AuthorityKeys) -> None:
        """Take these keys from now on."""
        self.keys = keys
        self._renew()

    def current(self) -> MutualTls:
        """The newest one."""
        return self._tls

    def expires(self) -> float:
        """When it ends, in seconds since 1970."""
        return self._expires

    async def run(self) -> None:
        """Renew it until cancelled. Looks often, for clocks jump and machines sleep: one that is not valid yet was made by a clock that was ahead."""
        while True:
            now = _now()
            if now.timestamp() >= self._due or now < self._begins:
                self._renew()
            await asyncio.sleep(min(max(self._due - now.timestamp(), 0.1), LOOK))

    def _renew(self) -> None:
        now = _now()
        made = issue_replica(self.keys, self._names, now, life=self._life)
        self._begins, self._due, self._expires = now - BACKDATE, made.renew, made.expires
        self._tls = MutualTls(
            chain=made.chain.encode(), key=made.key.open().encode(), authority=made.authority.encode()
        )


class FileTls:
    """A certificate in three files that somebody else renews, cert-manager for one: read again when their content changes, if it holds together.

    It must name ``SERVER_NAME``. Whoever holds such a certificate of the authority is a replica: the authority must be of this installation alone.
    """

    def __init__(self, chain: Path, key: Path, authority: Path) -> None:
        """``OSError`` or ``ValueError`` where the files are no such certificate."""
        self._paths = (chain, key, authority)
        self._tls = self._read()
        self._refused: MutualTls | None = None
        _checked(self._tls)  # what does not hold together is not to be started with

    def current(self) -> MutualTls:
        """The newest that was good."""
        return self._tls

    def expires(self) -> float:
        """When it ends, in seconds since 1970."""
        return expiry(self._tls.chain.decode()).timestamp()

    async def run(self) -> None:
        """Look at the files until cancelled. Files that are half written, or gone, change nothing."""
        while True:
            await asyncio.sleep(LOOK)
            self._look()

    def _look(self) -> None:
        try:
            found = self._read()
        except OSError as error:
            log.warning("the certificate in %s cannot be read; the last one stays: %s", self._paths[0], error)
            return
        if found in (self._tls, self._refused):
            return
        try:
            _checked(found)
        except (ssl.SSLError, ValueError) as error:
            self._refused = found
            log.warning("the certificate in %s does not hold together; the last one stays: %s", self._paths[0], error)
            return
        self._tls = found

    def _read(self) -> MutualTls:
        chain, key, authority = (path.read_bytes() for path in self._paths)
        return MutualTls(chain=chain, key=key, authority=authority)


def server_credentials(source: TlsSource) -> grpc.ServerCredentials:
    """GRPC's server side: each handshake shows the present certificate; a client without one of its own does not get in.

    GRPC is told of a certificate only where it is another: each that it is told of makes it put away what handshakes on other threads may be using, and
    a crowd of them ends the process (grpc/grpc#36693; seen with gRPC 1.85 as `Check failed: prior > 0`, or a segmentation fault).
    """
    told = source.current()
    turn = threading.Lock()

    def news() -> grpc.ServerCertificateConfiguration | None:
        nonlocal told
        with turn:
            present = source.current()
            if present is told:
                return None
            told = present
        return _configuration(present)

    # None for no change: gRPC's documentation allows what its type stubs do not
    return grpc.dynamic_ssl_server_credentials(_configuration(told), news, require_client_authentication=True)  # type: ignore[arg-type]


def server_context(tls: MutualTls) -> ssl.SSLContext:
    """``ssl``'s server side: a client may show a certificate of the authority, or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    return _filled(context, tls)


def following_context(source: TlsSource) -> ssl.SSLContext:
    """``ssl``'s server side that follows its source: each handshake begins by taking the present certificate and roots."""
    first = source.current()
    context = server_context(first)
    made = {"of": first, "is": server_context(first)}

    def take(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        present = source.current()
        if made["of"] is not present:
            made.update({"of": present, "is": server_context(present)})
        connection.context = made["is"]  # type: ignore[assignment]

    context.sni_callback = take
    return context


def client_context(tls: MutualTls | None, authority: bytes = b"") -> ssl.SSLContext:
    """``ssl``'s client side: verifies ``SERVER_NAME``, and shows a certificate where there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls is not None:
        return _filled(context, tls)
    context.load_verify_locations(cadata=authority.decode())
    return context


def _checked(tls: MutualTls) -> None:
    """``ssl.SSLError`` or ``ValueError`` where this is no replica's certificate."""
    server_context(tls)
    leaf = x509.load_pem_x509_certificate(tls.chain)
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("the certificate has no names") from None
    if SERVER_NAME not in names.get_values_for_type(x509.DNSName):
        raise ValueError(f"the certificate does not have the DNS name {SERVER_NAME}")


def is_replica(names: Sequence[tuple[str, str]]) -> bool:
    """Whether these alternative names, as ``getpeercert`` gives them, are those of a replica of the control plane."""
    return ("DNS", SERVER_NAME) in names


def spread(seconds: float, share: float = 0.2) -> float:
    """That time, a little sooner or later, so that many do not come at once."""
    return seconds * random.uniform(1 - share, 1 + share)  # noqa: S311 - no secret


def _configuration(tls: MutualTls) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(tls.key, tls.chain)], root_certificates=tls.authority)


def _filled(context: ssl.SSLContext, tls: MutualTls) -> ssl.SSLContext:
    context.load_verify_locations(cadata=tls.authority.decode())
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, tls.key + b"\n" + tls.chain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
