"""Why does this row exist? The recorded reads, as a tree.

Comes in: the steps of a graph, a table and a key. Goes out: a value that can be printed, compared and thrown away.
Nothing is run again, and nothing that was not read is looked at.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from weirkeeper.flow.derive import Step
from weirkeeper.flow.table import Handle


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingRead:
    """A row that was looked for and is not there."""

    table: str
    key: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A row and what it was made from, the own input first, then the reads in order of reading.

    `value` is None where the asked row is absent: its reads then say what that was decided from. The value of an index
    group is the tuple of its members. `cut` is true when there was more to tell below than the limits let through.
    """

    table: str
    key: Any
    value: Any
    reads: tuple[Explained | MissingRead, ...]
    cut: bool


def explain(steps: Mapping[Handle, Step], table: Handle, key: Hashable, *, depth: int, breadth: int) -> Explained:
    """The tree under a row, at most `depth` reads deep and `breadth` reads wide."""
    return _Telling(steps, breadth).tell(table, key, depth)


class _Telling:
    """One explanation on its way; a row met twice at the same depth is told once and shared."""

    def __init__(self, steps: Mapping[Handle, Step], breadth: int) -> None:
        self._steps = steps
        self._breadth = breadth
        self._told: dict[tuple[Handle, Any, int], Explained | MissingRead] = {}

    def tell(self, table: Handle, key: Hashable, depth: int) -> Explained:
        step = self._steps[table]
        origin = list(islice(step.kind.origin(key), self._breadth + 1))
        followed = origin[: self._breadth] if depth > 0 else []
        reads = tuple(self._branch(*each, depth - 1) for each in followed)
        cut = len(followed) < len(origin)
        return Explained(table=table.name, key=key, value=step.node.find(key), reads=reads, cut=cut)

    def _branch(self, table: Handle, key: Hashable, depth: int) -> Explained | MissingRead:
        place = (table, key, depth)
        if place not in self._told:
            missing = self._steps[table].node.find(key) is None
            self._told[place] = MissingRead(table=table.name, key=key) if missing else self.tell(table, key, depth)
        return self._told[place]
