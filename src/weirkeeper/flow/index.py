"""Indexes: the rows of a table by group.

A group is kept as one sorted tuple of (key, value), which is what readers get. Edits wait beside it and are merged when
somebody looks, so filling a group of 10,000 sorts once, and a group that nobody reads is never sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from operator import itemgetter
from typing import Any

from weirkeeper.flow.table import Dirty, Facet, Handle, Store

Pairs = tuple[tuple[Any, Any], ...]
_first = itemgetter(0)


class Group:
    """The members of one group."""

    __slots__ = ("_edits", "_pairs", "key", "size")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.size = 0
        self._pairs: Pairs = ()
        self._edits: dict[Any, Any] | None = None

    def edit(self, key: Hashable, value: Any) -> None:
        """Sets or removes (None) a member."""
        if self._edits is None:
            self._edits = {}
        self._edits[key] = value

    def members(self) -> Pairs:
        if self._edits is not None:
            merged = {**dict(self._pairs), **self._edits}
            self._pairs = tuple(sorted(((k, v) for k, v in merged.items() if v is not None), key=_first))
            self._edits = None
        return self._pairs


class Groups:
    """All groups of one index in one graph, and which groups each row is in."""

    __slots__ = ("_fn", "_groups", "_parent", "_places", "_touched", "children", "facet", "table")

    def __init__(self, table: Handle, parent: Store, fn: Callable[[Any, Any], Iterable[Any]]) -> None:
        self.table = table
        self.facet = Facet(table)
        self.children: list[Dirty] = []
        self._parent = parent
        self._fn = fn
        self._groups: dict[Any, Group] = {}
        self._places: dict[Any, tuple[Group, ...]] = {}
        self._touched: Dirty = {}

    @property
    def rows(self) -> dict[Any, Group]:
        return self._groups

    def members(self, group: Hashable) -> Pairs:
        found = self._groups.get(group)
        return found.members() if found is not None else ()

    def find(self, group: Hashable) -> Pairs | None:
        return self.members(group) or None

    def refresh(self, key: Hashable) -> bool:
        """Puts a row into its groups and takes it out of those it left; tells whether the function ran."""
        value = self._parent.rows.get(key)
        wished = dict.fromkeys(self._fn(key, value)) if value is not None else {}
        left = self._places.pop(key, ())
        for group in left:
            group.size -= 1
            if group.key not in wished:
                self._leave(group, key)
        if wished:
            self._places[key] = tuple(self._enter(name, key, value) for name in wished)
        return value is not None

    def publish(self) -> None:
        touched, self._touched = self._touched, {}
        for group in touched:
            for dirty in self.children:
                dirty[group] = None
            self.facet.fire(group)

    def origin(self, group: Hashable) -> Iterable[tuple[Handle, Any]]:
        return ((self._parent.table, key) for key, _ in self.members(group))

    def _enter(self, name: Hashable, key: Hashable, value: Any) -> Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
        group.size += 1
        group.edit(key, value)
        self._touched[name] = None
        return group

    def _leave(self, group: Group, key: Hashable) -> None:
        group.edit(key, None)
        self._touched[group.key] = None
        if group.size == 0:
            del self._groups[group.key]
