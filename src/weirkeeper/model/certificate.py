"""What we present and what we trust."""

from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Digest, Hostname, Id, PemText, Timestamp
from weirkeeper.model.value import Value


class Certificate(Value, frozen=True, kw_only=True):
    """A chain (PEM, leaf first) with its key. ``names`` are the hosts that it answers for, lower case, and
    ``default`` says whether it answers for all others; ``not_after`` is RFC 3339 in UTC.
    """

    id: Id
    chain: PemText
    key: Secret
    names: tuple[Hostname, ...] = ()
    default: bool = False
    not_before: Timestamp = Timestamp("")
    not_after: Timestamp = Timestamp("")
    fingerprint: Digest = Digest("")
    stapling: bool = False
    origin: Origin


class TrustBundle(Value, frozen=True, kw_only=True):
    """Certificate authorities (PEM) that a peer's certificate must lead to, and revocations (PEM)."""

    id: Id
    certificates: PemText
    revocations: PemText | None = None
    origin: Origin


class CertificateWish(Value, frozen=True, kw_only=True):
    """The certificate in a Secret is wanted for these hosts (none: for the names in it), by this place of an object.

    ``default`` answers for hosts that no certificate names; ``client`` is shown to backends and answers for no host.
    """

    id: Id
    secret: Ref
    hosts: tuple[Hostname, ...] = ()
    default: bool = False
    client: bool = False
    origin: Origin
