"""Host names: as objects write them, in any letter case, and as we keep them."""

import ipaddress

from weirkeeper.model.text import Hostname, Refused, parse, shown

ANY = Hostname("*")


def hostname(text: str) -> Hostname | Refused:
    """A rule's host in lower case (``*`` for none), or why it is none."""
    if text == "":
        return ANY
    host = text.lower()
    if host == "*":
        return Refused('"*" is not a host; leave the host out to take every host')
    if host[-1].isdigit() and is_address(host):
        return Refused(f"{shown(text)} is an IP address, not a host name")
    return parse(Hostname, host)


def is_address(text: str) -> bool:
    """Whether the text is an IP address."""
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


def covers(pattern: str, host: str) -> bool:
    """Whether a name of a certificate or TLS entry, exact or with one leading wildcard label, takes the host."""
    pattern = pattern.lower()
    if pattern == host:
        return True
    return pattern.startswith("*.") and host.partition(".")[2] == pattern[2:] and not host.startswith("*.")
