"""The items of NGINX: entries of its shared dictionary, and what the file that it is started from needs. Pure.

Comes in: nothing. Goes out: structs that travel as JSON. The body of an item of a kind in ``PREFIXES`` is the entry itself, as Lua reads it;
what Lua does not know of it is for the file.
"""

from typing import Any, Literal

import msgspec

from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.providers.items import digest

PORT, HOST, BACKEND, ENDPOINTS = "port", "host", "backend", "endpoints"
CERTIFICATE, SERVER_NAME, BUNDLE, LED = "certificate", "server-name", "bundle", "led"
PREFIXES = {PORT: "p:", HOST: "h:", BACKEND: "b:", ENDPOINTS: "e:", CERTIFICATE: "c:", SERVER_NAME: "n:"}

KEYS = "certificates"
DATAGRAMS = " udp"
"""Behind the address of a port of datagrams."""


class Way(Value, frozen=True, kw_only=True):
    """What a request needs that NGINX can only be told in its file: a named location. Equal ones are one.

    ``timed``: the request has a limit of its own. ``again`` are words of ``proxy_next_upstream``; ``codes`` are answers that pages replace; ``body`` is how many bytes one may have; ``trust`` is a bundle's file or the platform's, empty: nothing is verified.
    """

    timed: bool = False
    again: tuple[str, ...] = ()
    codes: tuple[int, ...] = ()
    body: int | None = None
    http2: bool = False
    tls: bool = False
    trust: str = ""
    revoked: bool = False
    depth: int | None = None
    versions: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of its location."""
        return "@way-" + digest(msgspec.json.encode(self))


ORDINARY = Way()
"""What ``location /`` does itself."""


class Ways(Value, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """The ways that an entry names."""

    ways: tuple[Way, ...] = ()


class Shows(Value, frozen=True, kw_only=True):
    """What backends are told of a client's certificate."""

    details: bool = False
    certificate: bool = False


class Secured(Value, frozen=True, kw_only=True):
    """TLS of a server block. ``verify`` is empty where clients are asked for nothing."""

    versions: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    verify: str = ""
    trust: str = ""
    revoked: bool = False
    depth: int | None = None


class Policy(Value, frozen=True, kw_only=True):
    """TLS for one name of a port that differs from the rest, and the group that it leads to. ``refused``: nobody may come in, for what is asked of clients cannot be verified."""

    hostname: str
    group: str
    certificate: str | None = None
    shows: Shows | None = None
    refused: bool = False
    secured: Secured = Secured()


class Times(Value, frozen=True, kw_only=True):
    """Limits of time of a port's connections (ms), of its headers (bytes) and of its streams."""

    header: int = 10_000
    idle: int = 60_000
    kept: int = 3_600_000
    header_bytes: int = 61_440
    streams: int = 100


class Stream(Value, frozen=True, kw_only=True):
    """That a port leads bytes on: all of them, or by the name that TLS asks for (``tls``). ``web`` are names of listeners of HTTPS, ``closed`` those of TLS alone; ``rest_http``: what nobody names is HTTPS.

    ``accepts``: clients say in front whose a connection is (PROXY protocol).
    """

    protocol: Literal["tcp", "tls", "udp"] = "tcp"
    accepts: bool = False
    http: bool = False
    web: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    rest_http: bool = False


class Port(Value, frozen=True, kw_only=True):
    """The listeners of one port. The fields before ``binds`` are read by Lua at each request, the others are for the file."""

    port: int
    group: str
    tls: bool = False
    proxied: bool = False
    default_certificate: str | None = None
    policies: tuple[Policy, ...] = ()
    http: dict[str, Any] = {}
    client: dict[str, Any] = {}
    validates: bool = False
    shows: Shows | None = None
    refused: bool = False
    binds: tuple[str, ...] = ()
    http2: bool = False
    logged: bool = True
    server_header: str = "append"
    secured: Secured = Secured()
    times: Times = Times()
    stream: Stream | None = None

    @property
    def udp(self) -> bool:
        """Whether it is a port of datagrams."""
        return self.stream is not None and self.stream.protocol == "udp"

    @property
    def place(self) -> tuple[int, bool]:
        """The port, told from the one of the same number that is of the other kind."""
        return self.port, self.udp

    @property
    def places(self) -> tuple[str, ...]:
        """Where it listens, as NGINX writes it."""
        return tuple(one.removesuffix(DATAGRAMS) for one in self.binds)

    @property
    def within(self) -> str:
        """The socket where HTTPS is taken that came by a port of streams."""
        return f"stream-https-{self.port}.sock"

    @property
    def entry(self) -> str:
        """The name of its entry. What server blocks and the entry must agree on is in it, so that each worker reads the one that belongs to its file."""
        return f"{self.port}{'.udp' if self.udp else ''}." + digest(
            msgspec.json.encode([self.tls, self.proxied, [(one.hostname, one.group) for one in self.policies]])
        )


class Again(Value, frozen=True, kw_only=True):
    """An endpoint is left out after so many failures in a row, for so long (ms)."""

    fails: int
    pause: int


class Toward(Value, frozen=True, kw_only=True):
    """TLS to a backend of bytes; the fields are those of ``Way``."""

    name: str | None = None
    versions: tuple[str, ...] = ()
    ciphers: tuple[str, ...] = ()
    trust: str = ""
    revoked: bool = False
    depth: int | None = None


class Opened(Value, frozen=True, kw_only=True):
    """TLS that ends before bytes: with the listener's own certificate, else the one of the name, else the one for the rest."""

    secured: Secured
    certificate: str | None = None
    default: str | None = None


class Share(Value, frozen=True, kw_only=True):
    """The endpoints of one backend of an L4 route (address, port, weight); without any it closes. ``connect`` in ms."""

    weight: int
    servers: tuple[tuple[str, int, int], ...] = ()
    balance: str = ""
    connect: int = 1
    again: Again | None = None
    tls: Toward | None = None


class Led(Value, frozen=True, kw_only=True):
    """An L4 route. ``refused`` is why NGINX cannot do it."""

    id: str
    port: int
    udp: bool = False
    names: tuple[str, ...] = ()
    idle: int
    shares: tuple[Share, ...] = ()
    opened: Opened | None = None
    refused: str = ""

    @property
    def place(self) -> tuple[int, bool]:
        """The port that it hangs on."""
        return self.port, self.udp

    @property
    def token(self) -> str:
        """A name of its own, whatever it leads to."""
        return digest(self.id)

    @property
    def unmanned(self) -> "Led":
        """Itself without endpoints."""
        shares = tuple(msgspec.structs.replace(one, servers=()) for one in self.shares)
        return msgspec.structs.replace(self, shares=shares)

    @property
    def manned(self) -> tuple[object, ...]:
        """Its endpoints alone."""
        return tuple(one.servers for one in self.shares)


class Fading(Value, frozen=True, kw_only=True):
    """What the next file still has for workers of the one before, which lead to its sockets until they end: HTTPS of ports that are led no more, and routes that are gone."""

    ports: tuple[Port, ...] = ()
    led: tuple[Led, ...] = ()


class Streams(Value, frozen=True, kw_only=True):
    """All routes of bytes; of each name of TLS the certificate, where TLS ends before some of them; and what fades."""

    led: tuple[Led, ...] = ()
    named: tuple[tuple[str, str], ...] = ()
    fading: Fading = Fading()

    @property
    def unmanned(self) -> "Streams":
        """Itself without endpoints, and without what fades."""
        return Streams(led=tuple(one.unmanned for one in self.led), named=self.named)


NO_STREAMS = Streams()


class Bundle(Value, frozen=True, kw_only=True):
    """Authorities, and revocations."""

    certificates: str
    revocations: str | None = None


def certificate_file(certificate: str) -> str:
    """Where a chain with its key lies, for TLS that ends before bytes."""
    return f"{KEYS}/{digest(certificate)}.pem"


def bundle_file(bundle: Id) -> str:
    """Where the authorities of a bundle lie, from the folder of the engine."""
    return f"ca/{digest(bundle)}.pem"


def revoked_file(file: str) -> str:
    """Where its revocations lie."""
    return file.removesuffix(".pem") + ".crl"
