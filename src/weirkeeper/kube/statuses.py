"""The entries of a status list that several controllers may share, and which of them are ours to change.

`status.loadBalancer.ingress` is one atomic list: whoever writes it writes all of it. So a write starts from the list as it is, takes out entries of ours that are no
longer wished, adds those that are missing, and leaves every other one in its place, byte for byte (docs/decisions/0008-status-ownership.md).

Comes in: the list as it is, the list as wished, and the entries that this install has ever published. Goes out: the list to write, or nothing where it is
right. Pure. An entry is compared whole, ports included: the same address with other ports, or without, is somebody else's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from weirkeeper.kube.types import AddressStatus, KubeObject, ObjectStatus, VersionedMetadata

Json = dict[str, Any]
Entries = tuple[AddressStatus, ...]


class Stated(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """Any object with such a status, as an answer to a write brings it: whose it is, in which version, and the status."""

    metadata: VersionedMetadata
    status: ObjectStatus | None = None


def merged(current: Entries, wished: Entries, ours: Collection[AddressStatus]) -> Entries | None:
    """The list to write, or nothing: without those in `ours` that are not wished, and with what is missing."""
    kept = [entry for entry in current if entry in wished or entry not in ours]
    missing = [entry for entry in wished if entry not in kept]
    found = (*kept, *missing)
    return None if found == current else found


def normal(entries: Sequence[AddressStatus] | None) -> Entries:
    """Entries as they are compared: no ports are none, whether the list was left out or empty."""
    return tuple(
        entry if entry.ports is not None else AddressStatus(ip=entry.ip, hostname=entry.hostname)
        for entry in entries or ()
    )


def status_patch(resource_version: str, entries: Entries) -> Json:
    """The merge patch of the status subresource that puts this list there, if nobody wrote the object in between."""
    listed = [as_json(entry) for entry in entries]
    return {
        "metadata": {"resourceVersion": resource_version},
        "status": {"loadBalancer": {"ingress": listed or None}},
    }


def as_json(entry: AddressStatus) -> Json:
    """The entry as the API has it; `protocol` is required there."""
    place = {name: text for name, text in (("ip", entry.ip), ("hostname", entry.hostname)) if text}
    ports = [
        {"port": port.port, "protocol": port.protocol} | ({"error": port.error} if port.error is not None else {})
        for port in entry.ports or ()
    ]
    return {**place, "ports": ports} if ports else place


def last_writer(object: Mapping[str, Any]) -> str:  # noqa: A002 - the API's word
    """Who wrote the list last, by the server's own book (`metadata.managedFields`); empty where that is not known.

    The list is atomic, so exactly one manager has it: the last one that changed it (Kubernetes: Server-Side Apply, "Merge strategy").
    """
    for row in (object.get("metadata") or {}).get("managedFields") or ():
        status = ((row.get("fieldsV1") or {}).get("f:status") or {}).get("f:loadBalancer")
        if row.get("subresource") == "status" and status is not None and "f:ingress" in status:
            return str(row.get("manager") or "")
    return ""
