"""What an agent was told, in a file, so that a new start needs nobody: each round appended, the newest word on an item counts.

Comes in: rounds. Goes out: the items with their versions, as far as they were written whole. The folder is memory where keys must not reach a disk; the file is its owner's alone.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

Key = tuple[str, str]
SPARE = 16 << 20
"""So many bytes may be old words before the file is written anew."""


class Kept(NamedTuple):
    """An item: its version, empty where the engine does not have it, and its bytes."""

    version: str
    body: bytes


class _Record(msgspec.Struct, array_like=True, frozen=True):
    kind: str
    name: str
    version: str
    body: bytes | None


class Journal:
    """One file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sizes: dict[Key, int] = {}
        self._size = self._live = 0

    def read(self) -> dict[Key, Kept]:
        """What was written last. The file is written anew, without what a kill left half written."""
        found: dict[Key, Kept] = {}
        for record in _records(self._path):
            if record.body is None:
                found.pop((record.kind, record.name), None)
            else:
                found[record.kind, record.name] = Kept(record.version, record.body)
        self._rewrite(found)
        return found

    def write(self, changes: Mapping[Key, bytes | None], versions: Mapping[Key, str]) -> None:
        """Append these changes."""
        parts = [_packed(key, versions.get(key, ""), body) for key, body in changes.items()]
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            file.write(b"".join(parts))
        for (key, body), part in zip(changes.items(), parts, strict=True):
            self._live -= self._sizes.pop(key, 0)
            if body is not None:
                self._sizes[key] = len(part)
                self._live += len(part)
            self._size += len(part)
        if self._size > 2 * self._live + SPARE:
            self.read()

    def _rewrite(self, items: Mapping[Key, Kept]) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        beside.unlink(missing_ok=True)
        parts = {key: _packed(key, one.version, one.body) for key, one in items.items()}
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(b"".join(parts.values()))
        beside.replace(self._path)
        self._sizes = {key: len(part) for key, part in parts.items()}
        self._size = self._live = sum(self._sizes.values())


def _packed(key: Key, version: str, body: bytes | None) -> bytes:
    record = msgspec.msgpack.encode(_Record(*key, version, body))
    return len(record).to_bytes(4, "big") + record


def _records(path: Path) -> list[_Record]:
    try:
        raw = path.read_bytes()
    except OSError:
        return []
    found, at, decode = [], 0, msgspec.msgpack.Decoder(_Record).decode
    while at + 4 <= len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "big")
        try:
            found.append(decode(raw[at + 4 : end]))
        except msgspec.DecodeError:
            break
        at = end
    return found
