"""What came back: a value, the same for HTTP/1.1 and HTTP/2. No sockets here."""

import hashlib

import msgspec

from weirkeeper.testing.echo.answer import EchoReply


class AnswerLost(ConnectionError):
    """The connection or stream ended after the request had begun and before the whole answer was there."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it came; headers in their order, names in the case that the server chose."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()
    protocol: str = "HTTP/1.1"
    peer: bytes | None = None  # DER of the certificate that the server showed

    @property
    def echo(self) -> EchoReply:
        """What the echo backend saw; an answer that is no echo raises and shows itself."""
        try:
            return msgspec.json.decode(self.body, type=EchoReply)
        except msgspec.DecodeError as error:
            raise AssertionError(f"no echo answered, but {self.status} {self.headers} {self.body[:300]!r}") from error

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def fingerprint(self) -> str | None:
        """SHA-256 of the server's certificate, hex: compare with `PemPair.fingerprint()`."""
        return hashlib.sha256(self.peer).hexdigest() if self.peer is not None else None

    def header(self, name: str) -> str | None:
        """The first header of that name, any case."""
        return next(iter(self.all_headers(name)), None)

    def all_headers(self, name: str) -> list[str]:
        """All headers of that name, in their order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]
