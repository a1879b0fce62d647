"""DNS records wished."""

from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Hostname, Id, Label
from weirkeeper.model.value import Value
from weirkeeper.model.words import RecordKind


class DnsRecord(Value, frozen=True, kw_only=True):
    """One name with its values; ``ttl`` in seconds."""

    id: Id
    name: Hostname
    kind: RecordKind
    values: tuple[Label, ...]
    ttl: int = 300
    origin: Origin
