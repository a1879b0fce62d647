"""DNS records wished."""

from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Hostname, Id, Label
from weirkeeper.model.value import Value


class DnsRecord(Value, frozen=True, kw_only=True):
    """One name with its values; ``ttl`` in seconds."""

    id: Id
    name: Hostname
    kind: str
    values: tuple[Label, ...]
    ttl: int = 300
    origin: Origin
