"""A text that must not be seen: it prints as ``<secret>`` everywhere and is only opened at the engine's serialiser.

It is encoded as its digest, so that configurations can be printed, compared and stored without it.
"""

import hashlib
from typing import Any


class Secret:
    """A redacted text. Equality and hashing are by content."""

    __slots__ = ("_digest", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha256(text.encode()).hexdigest()[:16]

    def open(self) -> str:
        """The text itself. Call this only where it is handed to an engine."""
        return self._text

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of its SHA-256."""
        return self._digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return f"<secret {self._digest}>"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled")


def hide(value: object) -> object:
    """The printable form of a value that msgspec cannot encode itself (its ``enc_hook``)."""
    if isinstance(value, Secret):
        return repr(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise NotImplementedError(f"cannot print {type(value).__name__}")
