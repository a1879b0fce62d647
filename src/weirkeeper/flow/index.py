"""Indexes: the rows of a table by group.

A group keeps the sorted keys of its members and nothing else: what readers get, (key, value) in order, is put together from the table when they
look, and kept only where there are many. Edits of a large group wait beside it and are merged then too, so filling a group of 10,000 sorts once,
and a group that nobody reads is never sorted.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from weirkeeper.flow.table import Dirty, Facet, Handle, Store, bare, several

Pairs = tuple[tuple[Any, Any], ...]
FEW = 32


class Group:
    """The members of one group that has, or had, several."""

    __slots__ = ("_edits", "_keys", "_pairs", "name", "size")

    def __init__(self, name: Hashable) -> None:
        self.name = name
        self.size = 0
        self._keys: tuple[Any, ...] = ()
        self._edits: dict[Any, bool] | None = None
        self._pairs: Pairs | None = None

    def edit(self, key: Any, present: bool) -> None:
        """Says that a member is there, has changed, or is gone."""
        self._pairs = None
        if present and self._edits is None and self._has(key):
            return  # it has only changed
        if self._edits is not None or len(self._keys) >= FEW:
            self._edits = self._edits or {}
            self._edits[key] = present
            return
        keys = self._keys
        place = bisect_left(keys, key)
        there = place < len(keys) and keys[place] == key
        if present and not there:
            self._keys = (*keys[:place], key, *keys[place:])
        elif there and not present:
            self._keys = (*keys[:place], *keys[place + 1 :])

    def _has(self, key: Any) -> bool:
        place = bisect_left(self._keys, key)
        return place < len(self._keys) and bool(self._keys[place] == key)

    def members(self, parent: Store) -> Pairs:
        """The members with their values, sorted by key."""
        if self._pairs is not None:
            return self._pairs
        if self._edits is not None:
            merged = {**dict.fromkeys(self._keys, True), **self._edits}
            self._keys = tuple(sorted(key for key, present in merged.items() if present))
            self._edits = None
        pairs = tuple((key, value) for key in self._keys if (value := parent.find(key)) is not None)
        if len(pairs) > FEW:
            self._pairs = pairs
        return pairs


class Groups:
    """All groups of one index in one graph, and which groups each row is in. Most groups have one member and most rows one group: those are kept bare."""

    __slots__ = ("_fn", "_groups", "_parent", "_places", "_touched", "children", "facet", "table")

    def __init__(self, table: Handle, parent: Store, fn: Callable[[Any, Any], Iterable[Any]]) -> None:
        self.table = table
        self.facet = Facet(table)
        self.children: list[Dirty] = []
        self._parent = parent
        self._fn = fn
        self._groups: dict[Any, Any] = {}  # the key of the lone member, or a Group
        self._places: dict[Any, Any] = {}  # as `bare` makes it
        self._touched: Dirty = {}

    @property
    def rows(self) -> dict[Any, Any]:
        return self._groups

    def members(self, group: Hashable) -> Pairs:
        found = self._groups.get(group)
        if isinstance(found, Group):
            return found.members(self._parent)
        value = None if found is None else self._parent.find(found)
        return () if value is None else ((found, value),)

    def find(self, group: Hashable) -> Pairs | None:
        return self.members(group) or None

    def refresh(self, key: Hashable) -> bool:
        """Puts a row into its groups and takes it out of those it left; tells whether the function ran."""
        value = self._parent.find(key)
        wished = dict.fromkeys(self._fn(key, value)) if value is not None else {}
        left = several(self._places.pop(key, ()))
        for name in left:
            if name not in wished:
                self._leave(name, key)
        if wished:
            self._places[key] = bare(self._enter(name, key, fresh=name not in left) for name in wished)
        return value is not None

    def publish(self) -> None:
        touched, self._touched = self._touched, {}
        for group in touched:
            for dirty in self.children:
                dirty[group] = None
            self.facet.fire(group)

    def origin(self, group: Hashable) -> Iterable[tuple[Handle, Any]]:
        return ((self._parent.table, key) for key, _ in self.members(group))

    def _enter(self, name: Hashable, key: Hashable, *, fresh: bool) -> Hashable:
        """Puts a row into a group; answers the group's name, of many equal ones the same."""
        self._touched[name] = None
        found = self._groups.get(name)
        if found is None:
            self._groups[name] = key
        if isinstance(found, Group):
            found.edit(key, True)
            found.size += fresh
            return found.name
        if found is not None and fresh:
            self._groups[name] = group = Group(name)
            group.edit(found, True)
            group.edit(key, True)
            group.size = 2
        return name

    def _leave(self, name: Hashable, key: Hashable) -> None:
        self._touched[name] = None
        found = self._groups[name]
        if not isinstance(found, Group):
            del self._groups[name]
            return
        found.edit(key, False)
        found.size -= 1
        if found.size == 0:
            del self._groups[name]
