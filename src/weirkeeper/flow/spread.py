"""Spreading: one row becomes many, under keys of its own choosing.

Two parents may yield the same key. The smallest parent wins, whatever came first; the others are remembered, and the
next one takes over when the winner goes. One parent that yields a key twice is a mistake of the derivation.
What may not live here: running and recording (`derive.py`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable
from typing import Any

from weirkeeper.flow.table import Facet, FlowError, Store, bare, several


class Contest:
    """Several parents under one key; parents are sorted, so the first one wins."""

    __slots__ = ("parents", "values")

    def __init__(self, parent: Any, value: Any) -> None:
        self.parents = [parent]
        self.values = {parent: value}

    def enter(self, parent: Any, value: Any) -> None:
        if parent not in self.values:
            insort(self.parents, parent)
        self.values[parent] = value

    def leave(self, parent: Any) -> None:
        del self.parents[bisect_left(self.parents, parent)]
        del self.values[parent]


class Fan:
    """Which parent yields which keys, written to a store."""

    __slots__ = ("_contests", "_owners", "_store", "_yields", "facet")

    def __init__(self, store: Store) -> None:
        self.facet = Facet(store.table)
        self._store = store
        self._owners: dict[Any, Any] = {}
        self._yields: dict[Any, Any] = {}  # as `bare` makes it
        self._contests: dict[Any, Contest] = {}  # only of keys with more than one parent

    def accept(self, parent: Hashable, rows: tuple[tuple[Any, Any], ...] | None) -> None:
        """Replaces what a parent yields; None when the parent is gone."""
        wished = _unique(rows or ())
        yielded = several(self._yields.get(parent, ()))
        for key in yielded:
            if key not in wished:
                self._withdraw(key, parent)
        for key, value in wished.items():
            self._offer(key, parent, value)
        if wished:
            self._yields[parent] = bare(wished)
        elif yielded:
            del self._yields[parent]

    def contenders(self, key: Hashable) -> tuple[Any, ...]:
        """The parents that yield a key, the winner first."""
        contest = self._contests.get(key)
        if contest is not None:
            return tuple(contest.parents)
        return (self._owners[key],) if key in self._owners else ()

    def _offer(self, key: Hashable, parent: Hashable, value: Any) -> None:
        contest = self._contests.get(key)
        if contest is None:
            if key not in self._owners:
                self._owners[key] = parent
                self.facet.fire(key)
            if self._owners[key] == parent:
                self._store.write(key, value)
                return
            contest = self._contests[key] = Contest(self._owners[key], self._store.find(key))
        if parent not in contest.values:
            self.facet.fire(key)
        contest.enter(parent, value)
        self._crown(key, contest)

    def _withdraw(self, key: Hashable, parent: Hashable) -> None:
        self.facet.fire(key)
        contest = self._contests.get(key)
        if contest is None:
            del self._owners[key]
            self._store.write(key, None)
            return
        contest.leave(parent)
        self._crown(key, contest)
        if len(contest.parents) == 1:
            del self._contests[key]

    def _crown(self, key: Hashable, contest: Contest) -> None:
        winner = self._owners[key] = contest.parents[0]
        self._store.write(key, contest.values[winner])


def _unique(rows: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in rows:
        if key in found:
            raise FlowError(f"yields the key {key!r} twice")
        if value is not None:
            found[key] = value
    return found
