"""Ids from the parts of a source object: injective, printable, at most 512 characters.

Comes in: names, hosts, paths as they stand in objects. Goes out: an ``Id``. A part's ``/``, ``%``, space and all that is not visible ASCII is
percent-encoded; an id that would be too long ends in a digest of the whole.
"""

import hashlib
import re

from weirkeeper.model.ids import LOCAL, Ref
from weirkeeper.model.text import Id, trusted

LONGEST = 512
_VISIBLE = frozenset(chr(c) for c in range(0x21, 0x7F)) - frozenset("/%")
_PLAIN = re.compile(r"[!-$&-.0-~]*", re.ASCII)
_CODES = {c: f"%{c:02x}" for c in range(256)}
_ESCAPES = {c: _CODES[c] for c in range(0x80) if chr(c) not in _VISIBLE}


def id_of(*parts: str) -> Id:
    """The id made of these parts."""
    return _bounded("/".join([escaped(part) for part in parts]))


def below(whole: Id, *parts: str, joint: str = "/") -> Id:
    """The id of something inside, or at (``joint`` is ``@``), what already has an id."""
    return _bounded(f"{whole}{joint}{'/'.join([escaped(part) for part in parts])}")


def _bounded(text: str) -> Id:
    if len(text) > LONGEST:
        text = f"{text[:440]}~{hashlib.sha256(text.encode()).hexdigest()}"
    return trusted(Id, text)


def escaped(part: str) -> str:
    """A part without separators."""
    if _PLAIN.fullmatch(part):
        return part  # nearly all are; to look is cheaper than to translate
    if part.isascii():
        return part.translate(_ESCAPES)
    return "".join(c if c in _VISIBLE else "".join(_CODES[b] for b in c.encode(errors="replace")) for c in part)


def place(ref: Ref) -> str:
    """The first part of an id: the namespace, with the cluster in front when it is not the local one."""
    return ref.namespace if ref.cluster == LOCAL else f"{ref.cluster}:{ref.namespace}"
