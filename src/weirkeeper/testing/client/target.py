"""Where a client connects and how the connection begins: address, PROXY prefix, TLS. In: values. Out: an open stream pair."""

import asyncio
import contextlib
import socket
import ssl
import tempfile
from pathlib import Path

import msgspec

from weirkeeper.testing.certificates import PemPair

LIMIT = 4 * 1024 * 1024  # the longest head that a reader takes


class ClientTls(msgspec.Struct, frozen=True, kw_only=True):
    """The handshake: without `trust` (PEM) the server's certificate is taken as it is, to be looked at by the test."""

    sni: str | None = None
    trust: bytes | None = None
    pair: PemPair | None = None
    alpn: tuple[str, ...] = ("http/1.1",)
    minimum: str = "TLSv1_2"
    maximum: str = "MAXIMUM_SUPPORTED"

    def context(self) -> ssl.SSLContext:
        """A fresh context, so that no session is resumed by accident."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.trust is None:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        else:
            context.load_verify_locations(cadata=self.trust.decode("ascii"))
        context.minimum_version, context.maximum_version = ssl.TLSVersion[self.minimum], ssl.TLSVersion[self.maximum]
        if self.alpn:
            context.set_alpn_protocols(list(self.alpn))
        if self.pair is not None:
            _load(context, self.pair)
        return context


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A place to connect to; `source` is the address to come from, `prefix` what is sent before all else."""

    port: int
    address: str = "127.0.0.1"
    tls: ClientTls | None = None
    prefix: bytes = b""
    source: str | None = None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection with its handshake done; refusals are `ConnectionError` or `ssl.SSLError`."""
        with contextlib.ExitStack() as undo:
            plain = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, socket.SOCK_STREAM)
            undo.callback(plain.close)
            plain.setblocking(False)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.source is not None:
                plain.bind((self.source, 0))
            loop = asyncio.get_running_loop()
            await loop.sock_connect(plain, (self.address, self.port))
            if self.prefix:
                await loop.sock_sendall(plain, self.prefix)
            streams = await self._streams(plain)
            undo.pop_all()
            return streams

    async def _streams(self, plain: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(sock=plain, limit=LIMIT)
        if self.tls is None:
            return reader, writer
        transport = writer.transport
        try:
            # an empty name means: send no SNI
            await writer.start_tls(self.tls.context(), server_hostname=self.tls.sni or "")
        except (OSError, asyncio.CancelledError):
            # asyncio leaves the transport of a refused handshake to the collector, which then complains
            writer.transport.abort()
            transport.abort()
            await asyncio.sleep(0)
            raise
        return reader, writer


def peer_of(writer: asyncio.StreamWriter) -> bytes | None:
    """DER of the certificate that the server showed; None without TLS."""
    connection = writer.get_extra_info("ssl_object")
    return connection.getpeercert(binary_form=True) if connection is not None else None


async def closed(writer: asyncio.StreamWriter) -> None:
    """Closes; how the other side takes it is nobody's concern any more."""
    writer.close()
    try:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
    finally:
        writer.transport.abort()  # where the one who asked is cancelled, too
    await asyncio.sleep(0)


def _load(context: ssl.SSLContext, pair: PemPair) -> None:
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "certificate"), Path(folder, "key")
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key)
