"""Readable, stable ids: ``Ref`` names an object in a cluster; the other ids are text derived from the source, never from content.

Identity and change are separate questions: an id stays the same while the thing it names changes. Ids are injective because
their parts cannot contain the separators (CVE-2020-8553 and GHSA-fgjj-px3w-67xx were names joined with a legal character).
"""

from typing import NamedTuple

from weirkeeper.model.text import Hostname, Id, trusted
from weirkeeper.model.value import Told

LOCAL = "local"
"""The name of the cluster that objects from files, and from the home cluster, belong to."""


class Ref(Told, frozen=True, kw_only=True, order=True, cache_hash=True):
    """One object: cluster, API group ("" for core), kind, namespace ("" where there is none) and name."""

    cluster: str = LOCAL
    group: str = ""
    kind: str
    namespace: str = ""
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}" if self.cluster == LOCAL else f"{self.kind} {place} in {self.cluster}"

    @property
    def key(self) -> str:
        """``namespace/name``, with the cluster in front when it is not the local one."""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return place if self.cluster == LOCAL else f"{self.cluster}:{place}"


class HostKey(NamedTuple):
    """The identity of a virtual host."""

    load_balancer: Id
    group: Id
    hostname: Hostname


class ServerName(NamedTuple):
    """The identity of a name that TLS clients ask a load balancer for: a host, or ``*.suffix``."""

    load_balancer: Id
    hostname: Hostname


class Part(NamedTuple):
    """The identity of a listener, backend, endpoint set, certificate or bundle within a load balancer."""

    load_balancer: Id
    id: Id


def joined(*parts: str) -> Id:
    """The id made of these parts, separated by ``/``. A ``/``, space or ``%`` inside a part is percent-encoded."""
    return trusted(Id, "/".join(_part(part) for part in parts))


def _part(part: str) -> str:
    if part.isascii() and part.isprintable() and not any(c in part for c in "/% "):
        return part
    return "".join(c if "!" <= c <= "~" and c not in "/%" else "".join(f"%{b:02x}" for b in c.encode()) for c in part)
