"""Certificates that an engine asks for by SNI: which certificate stands behind each name that it asked for, on one stream.

Comes in: names as clients sent them, and which items changed. Goes out: the item's name for a wire name, the names to look at again, and the
oldest derived names to take back. Pure. A name with a ``/`` is no host name: it is the item of that name itself (docs/decisions/0003).
"""

from collections import OrderedDict
from typing import TypeVar

from weirkeeper.distribute.kinds import SDS
from weirkeeper.distribute.store import Shelf

MOST_DERIVED = 4_000
K = TypeVar("K")
TAKEN_BACK = 50


class Aliases:
    """Wire names and what they stand for."""

    def __init__(self) -> None:
        self.source: dict[str, str | None] = {}
        self._wires: dict[str | None, dict[str, None]] = {}
        self._folded: dict[str, dict[str, None]] = {}
        self._below: dict[str, dict[str, None]] = {}
        self._derived: OrderedDict[str, None] = OrderedDict()

    def resolve(self, shelf: Shelf, wire: str) -> str | None:
        """The name of the item to answer with, or None for no such certificate. Remembers the answer."""
        found = wire if (SDS, wire) in shelf.entries else None if "/" in wire else shelf.secret(wire)
        self.drop(wire)
        host = wire.lower()
        self.source[wire] = found
        self._wires.setdefault(found, {})[wire] = None
        self._folded.setdefault(host, {})[wire] = None
        self._below.setdefault(host.partition(".")[2], {})[wire] = None
        if found is not None and found != wire and not shelf.exact(wire):
            self._derived[wire] = None
        return found

    def drop(self, wire: str) -> None:
        """No longer asked for."""
        if wire not in self.source:
            return
        host = wire.lower()
        _take(self._wires, self.source.pop(wire), wire)
        _take(self._folded, host, wire)
        _take(self._below, host.partition(".")[2], wire)
        self._derived.pop(wire, None)

    def wires(self, source: str) -> dict[str, None]:
        """The names that are answered with this item."""
        return self._wires.get(source, {})

    def touched(self, shelf: Shelf, source: str) -> list[str]:
        """The names whose answer may change because this item did."""
        found = dict(self.wires(source))
        if source in self.source:
            found[source] = None
        entry = shelf.entries.get((SDS, source))
        for host in entry.item.serves if entry is not None else ():
            found.update(self.asked(host))
        if entry is not None and entry.item.default:
            found.update(self.wires_without())
        return list(found)

    def wires_without(self) -> dict[str, None]:
        """The names for which there was no certificate."""
        return self._wires.get(None, {})

    def surplus(self) -> list[str]:
        """The oldest derived names, a batch of them, where there are too many."""
        if len(self._derived) <= MOST_DERIVED:
            return []
        return list(self._derived)[:TAKEN_BACK]

    def asked(self, host: str) -> dict[str, None]:
        """The names asked for, in any letter case, that this host name (exact or ``*.suffix``) could stand for."""
        folded = host.lower()
        return self._below.get(folded[2:], {}) if folded.startswith("*.") else self._folded.get(folded, {})


def _take(index: dict[K, dict[str, None]], key: K, wire: str) -> None:
    group = index[key]
    group.pop(wire, None)
    if not group:
        del index[key]
