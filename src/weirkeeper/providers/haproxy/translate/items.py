"""What an engine item of HAProxy holds: pieces that the agent puts together to one configuration, its maps and its servers.

Comes in: nothing. Goes out: structs that travel as JSON. Every text in ``lines``, ``acls`` and ``rules`` is written already, word by word, by ``quoting``.
"""

from collections.abc import Iterable

from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.providers import items

PORT, HOST, ENDPOINTS, CERTIFICATE, SERVER_NAME, BUNDLE = (
    "haproxy.Port", "haproxy.Host", "haproxy.Endpoints", "haproxy.Certificate", "haproxy.ServerName", "haproxy.Bundle",
)  # fmt: skip


BYTES = ("mode tcp", "timeout server 3600000ms", "timeout tunnel 3600000ms")
"""A section that leads connections on and wishes for nothing else."""


class Section(Value, frozen=True, kw_only=True):
    """One HAProxy backend: its lines but for the servers, and whose endpoints its servers are, with the keywords of each.

    Its name holds a digest of all this: a section never changes, another one takes its place. ``checked``: its servers are probed.
    """

    name: str
    lines: tuple[str, ...] = ()
    source: Id | None = None
    named: tuple[str, int] | None = None
    keywords: tuple[str, ...] = ()
    checked: bool = False

    @property
    def pooled(self) -> bool:
        """Whether an empty section of the pool can take its place: nothing in it but servers that can be added while HAProxy runs."""
        return self.lines in {(), BYTES} and self.source is not None and not self.reads

    @property
    def of_bytes(self) -> bool:
        """Whether connections are led on in it as they are: such sections have a pool of their own."""
        return self.lines[:1] == BYTES[:1]

    @property
    def ring(self) -> bool:
        """Whether its servers are found on a ring of hashes."""
        return any(line.startswith(("balance hash", "balance random")) for line in self.lines)

    @property
    def scripted(self) -> bool:
        """Whether a rule of it calls the script."""
        return any(line.startswith(("http-request lua.", "http-response lua.")) for line in self.lines)

    @property
    def reads(self) -> bool:
        """Whether its servers need files which HAProxy reads at its start alone."""
        return bool({"ca-file", "crt"} & {*self.keywords})


class Fork(Value, frozen=True, kw_only=True):
    """Routes of one place that differ by conditions: the first whose conditions hold; ``otherwise`` when none does."""

    name: str
    acls: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    otherwise: str = ""


class Host(Value, frozen=True, kw_only=True):
    """One virtual host: where its paths lead (``routes.map``), how shares are dealt (``shares.map``), and the sections and forks that these name.

    ``users`` are the users of its routes with what their passwords must hash to (``users.map``). An L4 route is one as well: ``streams`` say where its names lead (``streams.map``).
    """

    routes: dict[str, str] = {}
    shares: dict[str, str] = {}
    users: dict[str, str] = {}
    streams: dict[str, str] = {}
    sections: tuple[Section, ...] = ()
    forks: tuple[Fork, ...] = ()


class Server(Value, frozen=True, kw_only=True, array_like=True):
    """One endpoint."""

    address: str
    port: int
    weight: int = 1


class Endpoints(Value, frozen=True, kw_only=True):
    """The servers of every section whose source this is."""

    servers: tuple[Server, ...] = ()


class Policy(Value, frozen=True, kw_only=True):
    """TLS for one name of a port that differs from the rest: the options of its lines in the list of certificates, and the group that it leads to."""

    hostname: str
    options: str
    certificates: tuple[Id, ...]
    group: str


class Stream(Value, frozen=True, kw_only=True):
    """How a port leads connections on. ``asks``: by the name in TLS that stays closed; ``ends``: TLS ends here, with these ``options``, for the names that say so.

    ``levels`` are the numbers of labels that its wildcards have behind the first one. ``rows`` are names of listeners that no route has, with where they lead.
    """

    asks: bool = False
    ends: bool = False
    accepts: str = ""
    options: str = ""
    levels: int = 0
    rows: dict[str, str] = {}
    lines: tuple[str, ...] = ()


class Port(Value, frozen=True, kw_only=True):
    """One frontend. ``binds`` are addresses; ``options`` follow each of them, and ``tls`` says that a list of certificates does as well.

    ``levels``: numbers of labels behind the stars of its wildcards that stand for any number of labels, the highest first. ``validates``: some of its
    clients show certificates. ``believes``: some of them say by which scheme they came. ``stream``: connections are led on as they are; those that are HTTPS (``http``) come to the frontend from inside then.
    """

    port: int
    binds: tuple[str, ...]
    options: str = ""
    tls: bool = False
    default_certificate: Id | None = None
    policies: tuple[Policy, ...] = ()
    group: str
    lines: tuple[str, ...] = ()
    levels: tuple[int, ...] = ()
    validates: bool = False
    believes: bool = False
    http: bool = True
    stream: Stream | None = None


class Chain(Value, frozen=True, kw_only=True):
    """A certificate with its key as one PEM file, and the names that it stands for."""

    pem: str
    names: tuple[str, ...] = ()


class Named(Value, frozen=True, kw_only=True):
    """Which certificate answers for a host."""

    certificate: Id


class Bundle(Value, frozen=True, kw_only=True):
    """Authorities, and revocations."""

    certificates: str
    revocations: str | None = None


BODIES: dict[str, type[Value]] = {
    PORT: Port, HOST: Host, ENDPOINTS: Endpoints, CERTIFICATE: Chain, SERVER_NAME: Named, BUNDLE: Bundle,
}  # fmt: skip


def digest(*parts: str | bytes) -> str:
    """A short name for a content: it stands in every line that names a section, a list or a file."""
    return items.digest(*parts, size=6)


def readable(text: str, longest: int = 40) -> str:
    """A text of ours as part of a name that HAProxy takes: it only helps people, a digest tells names apart."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in text)[:longest]


def unique(sections: Iterable[Section]) -> tuple[Section, ...]:
    """Each section once, by name."""
    return tuple(found for _, found in sorted({one.name: one for one in sections}.items()))


def bundle_file(bundle: Id) -> str:
    """Where the authorities of a bundle lie, from the folder of the engine."""
    return f"ca/{readable(bundle)}.{digest(bundle)}.pem"


def certificate_file(certificate: Id) -> str:
    """Where a certificate lies, from the folder of the engine."""
    return f"certificates/{readable(certificate)}.{digest(certificate)}.pem"
