"""WebSocket frames (RFC 6455), for the echo backend and the test client. Sans-IO: bytes in, frames out, and back.

No extensions, no fragmentation of what we send; fragments that arrive are handed on one by one.
"""

import base64
import hashlib
import struct

import msgspec

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    opcode: int
    payload: bytes
    final: bool = True


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode("ascii")).digest()).decode("ascii")


def encode(frame: Frame, mask: bytes | None = None) -> bytes:
    """The frame's bytes; a client passes a mask of four bytes, a server none."""
    size, masked = len(frame.payload), 0x80 if mask else 0
    head = bytes([frame.opcode | (0x80 if frame.final else 0)])
    if size < 126:
        head += bytes([masked | size])
    elif size < 65536:
        head += bytes([masked | 126]) + struct.pack("!H", size)
    else:
        head += bytes([masked | 127]) + struct.pack("!Q", size)
    return head + (mask + apply_mask(frame.payload, mask) if mask else frame.payload)


def decode(buffer: bytes) -> tuple[Frame, int] | None:
    """The first whole frame of the buffer and how many bytes it took; None while bytes are missing."""
    if len(buffer) < 2:
        return None
    size, at = buffer[1] & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(buffer) < at + width:
            return None
        size, at = int.from_bytes(buffer[at : at + width], "big"), at + width
    mask = None
    if buffer[1] & 0x80:
        mask, at = buffer[at : at + 4], at + 4
    if len(buffer) < at + size:
        return None
    payload = buffer[at : at + size]
    frame = Frame(
        opcode=buffer[0] & 0x0F,
        payload=apply_mask(payload, mask) if mask else payload,
        final=bool(buffer[0] & 0x80),
    )
    return frame, at + size


def apply_mask(payload: bytes, mask: bytes) -> bytes:
    """The payload masked, or unmasked: the operation is its own inverse."""
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")
