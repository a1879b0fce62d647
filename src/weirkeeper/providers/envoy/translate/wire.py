"""Messages put together from parts that are serialised already.

Protobuf merges concatenated messages, so a host's routes are serialised once and copied into whatever holds them: a change of one wildcard
host does not serialise the others again.
"""

from typing import Any


def fields(message: Any, *names: str) -> tuple[int, ...]:
    """The numbers of these fields of a message."""
    return tuple(message.DESCRIPTOR.fields_by_name[name].number for name in names)


def nested(field: int, body: bytes) -> bytes:
    """A length-delimited field with this content."""
    return varint(field << 3 | 2) + varint(len(body)) + body


def varint(value: int) -> bytes:
    """A number in base 128."""
    if value < 128:
        return bytes((value,))
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
