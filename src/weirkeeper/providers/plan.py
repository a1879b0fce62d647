"""The difference between two sets of engine items as a value: counted, printable, refusable. Pure; knows no engine.

Comes in: items before and after, and limits. Goes out: a ``Plan``. It says what would change and why; it does not order the wire.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.providers.base import EngineItem, ItemKey

What = Literal["added", "changed", "removed"]
Items = Mapping[ItemKey, EngineItem]
HostOf = Callable[[ItemKey], str | None]


class Change(Value, frozen=True, kw_only=True):
    """One item: what would happen to it, and the objects that it comes from."""

    what: What
    load_balancer: Id
    kind: str
    name: str
    origins: tuple[str, ...] = ()


class Limits(Value, frozen=True, kw_only=True):
    """How much one plan may do; None is any number."""

    removed: int | None = None
    removed_share: float | None = None
    hosts: int | None = None


class Plan(Value, frozen=True, kw_only=True):
    """Everything that would change, sorted; the hosts that it touches, of how many; and why it is refused, if it is."""

    changes: tuple[Change, ...] = ()
    hosts: tuple[str, ...] = ()
    all_hosts: int = 0
    refusals: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changes)

    def counts(self) -> dict[str, dict[str, int]]:
        """How many items of each kind would be added, changed and removed."""
        found = Counter((short(change.kind), change.what) for change in self.changes)
        kinds = sorted({kind for kind, _ in found})
        return {kind: {what: n for (k, what), n in sorted(found.items()) if k == kind} for kind in kinds}

    def text(self) -> str:
        """The plan for people."""
        if not self:
            return "Nothing changes."
        signs = {"added": "+", "changed": "~", "removed": "-"}
        rows = [
            f"{signs[c.what]} {short(c.kind)} {c.name}" + (f"  ({', '.join(c.origins)})" if c.origins else "")
            for c in self.changes
        ]
        sums = [
            f"{kind}: " + ", ".join(f"{n} {what}" for what, n in row.items()) for kind, row in self.counts().items()
        ]
        touched = f"{len(self.hosts)} of {self.all_hosts} hosts touched"
        return "\n".join([*rows, *sums, touched, *(f"refused: {why}" for why in self.refusals)])

    def json(self) -> str:
        """The plan for programs, in a fixed order."""
        changes = [
            {
                "what": c.what,
                "load_balancer": c.load_balancer,
                "kind": c.kind,
                "name": c.name,
                "origins": list(c.origins),
            }
            for c in self.changes
        ]
        document = {
            "changes": changes,
            "counts": self.counts(),
            "hosts": list(self.hosts),
            "all_hosts": self.all_hosts,
            "refusals": list(self.refusals),
        }
        return json.dumps(document, indent=2)


def plan(before: Items, after: Items, limits: Limits = Limits(), host_of: HostOf = lambda _key: None) -> Plan:  # noqa: B008
    """What leads from one set of items to the other. ``host_of`` names the host that an item serves, where it serves one."""
    changes = tuple(_changes(before, after))
    touched = {ItemKey(c.load_balancer, c.kind, c.name) for c in changes}
    hosts = _hosts(touched, host_of)
    every = _hosts({*before, *after}, host_of)
    return Plan(
        changes=changes, hosts=hosts, all_hosts=len(every), refusals=_refusals(changes, len(before), hosts, limits)
    )


def applied(before: Items, after: Items, wanted: Plan) -> dict[ItemKey, EngineItem]:
    """The items once the plan is done: what a plan means, said in code."""
    found = dict(before)
    for change in wanted.changes:
        key = ItemKey(change.load_balancer, change.kind, change.name)
        if change.what == "removed":
            del found[key]
        else:
            found[key] = after[key]
    return found


def short(kind: str) -> str:
    """The last word of a kind."""
    return kind.rpartition(".")[2]


def _changes(before: Items, after: Items) -> Iterable[Change]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old is None and new is not None:
            yield _change("added", key, new)
        elif new is None and old is not None:
            yield _change("removed", key, old)
        elif old is not None and new is not None and old.version != new.version:
            yield _change("changed", key, new)


def _change(what: What, key: ItemKey, item: EngineItem) -> Change:
    origins = tuple(str(origin) for origin in item.origins)
    return Change(what=what, load_balancer=key.load_balancer, kind=key.kind, name=key.name, origins=origins)


def _hosts(keys: Iterable[ItemKey], host_of: HostOf) -> tuple[str, ...]:
    return tuple(sorted({host for key in keys if (host := host_of(key)) is not None}))


def _refusals(changes: tuple[Change, ...], before: int, hosts: tuple[str, ...], limits: Limits) -> tuple[str, ...]:
    removed = sum(change.what == "removed" for change in changes)
    found = []
    if limits.removed is not None and removed > limits.removed:
        found.append(f"{removed} items would be removed, at most {limits.removed} may be")
    if limits.removed_share is not None and before and removed / before > limits.removed_share:
        found.append(f"{removed} of {before} items would be removed, at most {limits.removed_share:.0%} may be")
    if limits.hosts is not None and len(hosts) > limits.hosts:
        found.append(f"{len(hosts)} hosts would be touched, at most {limits.hosts} may be")
    return tuple(found)
