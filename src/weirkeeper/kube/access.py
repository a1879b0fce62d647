"""How one API server is reached: its URL, whom it is trusted as, which proxy, and who we are.

Comes in: texts and files named by a kubeconfig or a pod. Goes out: what the client needs for each request. Files are looked at again when they may have
changed; a file that can't be read any more, or holds nonsense, leaves what was read last.
"""

import os
import ssl
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from weirkeeper.kube.errors import AccessRefused, Unauthorized

REREAD = 60.0
"""Files with credentials are looked at again at most this often (seconds), as client-go does, and after a 401."""

Clock = Callable[[], float]


class Pair(NamedTuple):
    """A client certificate and its key, both PEM."""

    certificate: bytes
    key: bytes


class Credentials(Protocol):
    """Who we are, as of now."""

    async def authorization(self) -> str | None:
        """The value of the `Authorization` header; raises `Unauthorized` where it can't be had."""
        ...

    async def certificate(self) -> Pair | None:
        """The client certificate that these credentials bring, where they bring one."""
        ...

    def renewed(self) -> bool:
        """Called after a 401: forget what was kept. Whether it makes sense to try again at once."""
        ...

    async def close(self) -> None:
        """End what runs."""
        ...


class StaticToken:
    """A token that never changes, or none at all."""

    def __init__(self, token: str = "") -> None:
        self._header = f"Bearer {token}" if token else None

    async def authorization(self) -> str | None:
        """The header."""
        return self._header

    async def certificate(self) -> Pair | None:
        """None."""
        return None

    def renewed(self) -> bool:
        """Nothing can be renewed."""
        return False

    async def close(self) -> None:
        """Nothing runs."""


class FileToken:
    """A token in a file that is written anew from time to time (projected service account tokens)."""

    def __init__(self, path: Path, fallback: str = "", *, clock: Clock = time.monotonic) -> None:
        self._path = path
        self._token = fallback
        self._clock = clock
        self._read_at: float | None = None

    async def authorization(self) -> str | None:
        """The token as of at most `REREAD` seconds ago; the one before where the file can't be read now."""
        if self._read_at is None or self._clock() - self._read_at >= REREAD:
            self._read()
        return bearer(self._token, f"the token file {self._path}")

    async def certificate(self) -> Pair | None:
        """None."""
        return None

    def renewed(self) -> bool:
        """Read again now; worth a second try where the token is another one."""
        before = self._token
        self._read()
        return self._token != before

    async def close(self) -> None:
        """Nothing runs."""

    def _read(self) -> None:
        try:
            found = self._path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return  # asked again at the next request
        self._token = found or self._token
        self._read_at = self._clock()


def is_token(text: str) -> bool:
    """Whether this can stand in a header: printable ASCII without spaces."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def bearer(token: str, source: str) -> str:
    """The header's value; `Unauthorized` where this is no token. `source` says where it came from."""
    if not is_token(token):
        raise Unauthorized(f"{source} holds no token, or can't be read", reason="NoCredentials")
    return f"Bearer {token}"


class Trust(NamedTuple):
    """Whom to trust, and the client certificate, as texts or as files. Without an authority the system's roots count."""

    authority: bytes | Path | None = None
    certificate: bytes | Path | None = None
    key: bytes | Path | None = None
    verify: bool = True


class Tls:
    """The TLS context of a `Trust`, made anew when one of its files or the credentials' certificate changes."""

    def __init__(self, trust: Trust, *, clock: Clock = time.monotonic) -> None:
        self._trust = trust
        self._clock = clock
        self._looked_at = clock()
        self._stamps = self._stamped()
        self._pair: Pair | None = None
        self._context = context_of(trust, None)

    def context(self, pair: Pair | None = None) -> ssl.SSLContext:
        """The context for the next connection; `pair` is what the credentials bring, and counts before a configured one."""
        changed = self._changed()
        if pair != self._pair or changed:
            try:
                self._context, self._pair = context_of(self._trust, pair), pair
            except AccessRefused as error:  # what was read before holds; a new certificate that is none can't be used
                if pair != self._pair:
                    raise Unauthorized(str(error), reason="NoCredentials") from error
        return self._context

    def look_again(self) -> None:
        """Look at the files at the next request, whenever that is."""
        self._looked_at = -REREAD

    def _changed(self) -> bool:
        now = self._clock()
        if now - self._looked_at < REREAD:
            return False
        self._looked_at = now
        before, self._stamps = self._stamps, self._stamped()
        return before != self._stamps

    def _stamped(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(one) for one in self._trust[:3] if isinstance(one, Path))


class Access:
    """How one API server is reached. `server` has no slash at its end; `headers` go with every request (impersonation)."""

    def __init__(
        self,
        server: str,
        *,
        credentials: Credentials | None = None,
        trust: Trust | None = None,
        proxy: str | None = None,
        server_name: str | None = None,
        namespace: str = "default",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.server = server.rstrip("/")
        self.proxy = proxy
        self.server_name = server_name
        self.namespace = namespace
        self.headers = tuple(headers)
        self._credentials = credentials or StaticToken()
        self._tls = Tls(trust or Trust()) if self.server.startswith("https://") else None

    async def authorization(self) -> str | None:
        """The value of the `Authorization` header."""
        return await self._credentials.authorization()

    async def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS context for the next connection; None for plain HTTP. The same object as long as nothing changed."""
        return None if self._tls is None else self._tls.context(await self._credentials.certificate())

    def renewed(self) -> bool:
        """Called after a 401. Whether it makes sense to try again at once, with what is there now."""
        if self._tls is not None:
            self._tls.look_again()
        return self._credentials.renewed()

    def distrusted(self) -> None:
        """Called after TLS failed: the authority may have changed."""
        if self._tls is not None:
            self._tls.look_again()

    async def close(self) -> None:
        """End what runs for the credentials."""
        await self._credentials.close()


def context_of(trust: Trust, pair: Pair | None) -> ssl.SSLContext:
    """A client context; raises `AccessRefused` where a file can't be read or holds no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # many clusters' own authorities lack what the strict check wants
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif trust.authority is None:
        context.load_default_certs()
    else:
        _load_authority(context, _content("certificate-authority", trust.authority))
    if pair is None and trust.certificate is not None and trust.key is not None:
        pair = Pair(_content("client-certificate", trust.certificate), _content("client-key", trust.key))
    if pair is not None:
        _load_pair(context, pair)
    return context


def _load_authority(context: ssl.SSLContext, pem: bytes) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        raise AccessRefused(
            "certificate-authority", "holds no certificate", "give it one or more certificates as PEM"
        ) from error


def _load_pair(context: ssl.SSLContext, pair: Pair) -> None:
    """OpenSSL takes the pair from a file only: one in memory, or one that nobody else may read and that is gone at once."""
    with _private_file(pair.certificate + b"\n" + pair.key) as path:
        try:
            context.load_cert_chain(path, password=b"-")  # never ask a terminal
        except (ssl.SSLError, ValueError, OSError) as error:
            raise AccessRefused(
                "client-certificate", "the certificate and the key do not fit, or the key is encrypted",
                "give a certificate and its own, unencrypted key as PEM",
            ) from error  # fmt: skip


class _PrivateFile:
    """A file with these bytes, in memory where the system has that."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._file = -1
        self._path = ""

    def __enter__(self) -> str:
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("weirkeeper")
            path = f"/proc/self/fd/{self._file}"
        else:
            self._file, path = tempfile.mkstemp()
            self._path = path
        os.write(self._file, self._content)
        return path

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
        if self._path:
            Path(self._path).unlink()


def _private_file(content: bytes) -> _PrivateFile:
    return _PrivateFile(content)


def _content(field: str, source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise AccessRefused(
            field, f"{source} can't be read ({error.strerror})", "give the path of a readable file"
        ) from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
