"""What we present and what we trust."""

from weirkeeper.model.origin import Origin
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Digest, Hostname, Id, PemText, Timestamp
from weirkeeper.model.value import Value


class Certificate(Value, frozen=True, kw_only=True):
    """A chain (PEM, leaf first) with its key. ``names`` are the DNS names of the leaf, lower case; ``not_after`` is RFC 3339 in UTC."""

    id: Id
    chain: PemText
    key: Secret
    names: tuple[Hostname, ...] = ()
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
