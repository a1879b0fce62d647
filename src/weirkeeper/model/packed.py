"""Values as bytes, where there are many of them and each is seldom read.

Comes in: a struct type. Goes out: both ways between its values and MessagePack. A struct costs 50 to 300 bytes of memory besides its texts, bytes nothing.
What may not live here: what is packed, which the tables decide.
"""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Packed(Generic[T]):
    """The packing of one type of struct."""

    def __init__(self, kind: type[T]) -> None:
        """For values of just this type."""
        self._encoder = msgspec.msgpack.Encoder(order="deterministic")
        self._decoder = msgspec.msgpack.Decoder(kind)

    def pack(self, value: T, /) -> bytes:
        """The bytes of a value; of equal values the same."""
        room = bytearray()
        self._encoder.encode_into(value, room)
        return bytes(room)  # what the encoder answers itself is up to half again as large in memory as it says

    def unpack(self, body: bytes, /) -> T:
        """The value again; equal to what was packed."""
        return self._decoder.decode(body)
