"""Addresses and names that traffic may not be sent to: this machine, link-local (cloud metadata), and the API server.

Comes in: text from an ExternalName, an EndpointSlice or a URL. Goes out: a reason, or nothing.
"""

import ipaddress
import re

API_SERVER_NAMES = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal")

_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ORDINARY = re.compile(rf"(?!(?:0|127|169|22[4-9]|23[0-9])\.){_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII)
"""An IPv4 address outside of all ranges that have a reason below: nearly all are that, and need no closer look."""


def ordinary(text: str) -> bool:
    """Whether this is, at a glance, an address that any endpoint may have; where it is not, look closer."""
    return _ORDINARY.fullmatch(text) is not None


def refused_address(text: str, *, local: bool = False) -> str | None:
    """Why no endpoint may have this address; ``local`` lets loopback through (backends on a developer's machine)."""
    if ordinary(text):
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "is not an IP address"
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback:
        return None if local else "is a loopback address"
    if address.is_link_local:
        return "is a link-local address"
    if address.is_multicast:
        return "is a multicast address"
    return "is the unspecified address" if address.is_unspecified else None


def refused_name(text: str, forbidden: tuple[str, ...] = ()) -> str | None:
    """Why no backend may have this DNS name or address. ``forbidden`` are further names and addresses (the API server's)."""
    name = text.lower().strip("[]").rstrip(".")
    if name in API_SERVER_NAMES or name in forbidden:
        return "is the API server"
    if name in METADATA_NAMES:
        return "is a metadata service"
    if name == "localhost" or name.endswith((".localhost", ".localdomain")):
        return "is this machine"
    last = name.rpartition(".")[2]
    if ":" in name or last.isdigit() or (last.startswith("0x") and last[2:].isalnum()):
        return refused_address(name)
    return None
