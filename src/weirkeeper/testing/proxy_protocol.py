"""PROXY protocol prefixes, versions 1 and 2, as a load balancer in front of ours would send them. Pure.

Format: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def proxy_v1(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    """The text form; the family follows from the source address."""
    family = "TCP6" if ipaddress.ip_address(source).version == 6 else "TCP4"
    return f"PROXY {family} {source} {destination} {source_port} {destination_port}\r\n".encode("ascii")


def proxy_v2(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    """The binary form (command PROXY, stream)."""
    first, second = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    family = 0x21 if first.version == 6 else 0x11
    addresses = first.packed + second.packed + struct.pack("!HH", source_port, destination_port)
    return SIGNATURE + struct.pack("!BBH", 0x21, family, len(addresses)) + addresses
