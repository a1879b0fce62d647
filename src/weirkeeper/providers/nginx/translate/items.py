"""The items of NGINX: entries of its shared dictionary, and what the file that it is started from needs. Pure.

Comes in: nothing. Goes out: structs that travel as JSON. The body of an item of a kind in ``PREFIXES`` is the entry itself, as Lua reads it;
what Lua does not know of it is for the file.
"""

from typing import Any

import msgspec

from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.providers.items import digest

PORT, HOST, BACKEND, ENDPOINTS = "port", "host", "backend", "endpoints"
CERTIFICATE, SERVER_NAME, BUNDLE = "certificate", "server-name", "bundle"
PREFIXES = {PORT: "p:", HOST: "h:", BACKEND: "b:", ENDPOINTS: "e:", CERTIFICATE: "c:", SERVER_NAME: "n:"}


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

    @property
    def entry(self) -> str:
        """The name of its entry. What server blocks and the entry must agree on is in it, so that each worker reads the one that belongs to its file."""
        return f"{self.port}." + digest(
            msgspec.json.encode([self.tls, self.proxied, [(one.hostname, one.group) for one in self.policies]])
        )


class Bundle(Value, frozen=True, kw_only=True):
    """Authorities, and revocations."""

    certificates: str
    revocations: str | None = None


def bundle_file(bundle: Id) -> str:
    """Where the authorities of a bundle lie, from the folder of the engine."""
    return f"ca/{digest(bundle)}.pem"


def revoked_file(file: str) -> str:
    """Where its revocations lie."""
    return file.removesuffix(".pem") + ".crl"
