"""Label and field selectors, as the API writes them. Pure.

In: the text of a selector. Out: `Selection`, which says of labels and fields whether they match; or `Refused` (400).
Grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api
"""

import re
from typing import Literal

from weirkeeper.model.value import Value
from weirkeeper.testing.apiserver.kinds import ServedKind
from weirkeeper.testing.apiserver.log import Entry
from weirkeeper.testing.apiserver.refused import bad_request

Operator = Literal["in", "notin", "exists", "absent"]
SET = re.compile(r"\s*([A-Za-z0-9./_-]+)\s+(in|notin)\s*\(([^()]*)\)\s*")
PAIR = re.compile(r"\s*([A-Za-z0-9./_-]+)\s*(==|=|!=)\s*([A-Za-z0-9._-]*)\s*")
ALONE = re.compile(r"\s*(!?)\s*([A-Za-z0-9./_-]+)\s*")
COMMA = re.compile(r",(?![^(]*\))")


class Requirement(Value, frozen=True, kw_only=True):
    """One condition on one label or field."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def holds(self, found: dict[str, str]) -> bool:
        """Whether it is true; what has no such key also is "not in"."""
        match self.operator:
            case "in":
                return found.get(self.key) in self.values
            case "notin":
                return found.get(self.key) not in self.values
            case "exists":
                return self.key in found
            case "absent":
                return self.key not in found


class Selection(Value, frozen=True, kw_only=True):
    """What a list or watch wants: a namespace (empty: all), labels and fields."""

    namespace: str = ""
    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    @property
    def filters(self) -> bool:
        """Whether labels or fields are asked for."""
        return bool(self.labels or self.fields)

    def wants(self, entry: Entry | None) -> bool:
        """Whether an object belongs to it; nothing never does."""
        if entry is None or (self.namespace and entry.namespace != self.namespace):
            return False
        return all(r.holds(entry.labels) for r in self.labels) and all(r.holds(entry.selectable) for r in self.fields)


def selection(kind: ServedKind, namespace: str, labels: str, fields: str) -> Selection:
    """The selection that a request asks for."""
    return Selection(namespace=namespace, labels=label_requirements(labels), fields=field_requirements(kind, fields))


def label_requirements(text: str) -> tuple[Requirement, ...]:
    """The conditions of a label selector."""
    return tuple(_label(part) for part in COMMA.split(text)) if text.strip() else ()


def field_requirements(kind: ServedKind, text: str) -> tuple[Requirement, ...]:
    """The conditions of a field selector; a field that the kind does not offer is refused."""
    return tuple(_field(kind, part) for part in text.split(",")) if text.strip() else ()


def _label(part: str) -> Requirement:
    if found := SET.fullmatch(part):
        values = frozenset(value.strip() for value in found[3].split(","))
        return Requirement(key=found[1], operator="in" if found[2] == "in" else "notin", values=values)
    if found := PAIR.fullmatch(part):
        return Requirement(key=found[1], operator=_sign(found[2]), values=frozenset((found[3],)))
    if found := ALONE.fullmatch(part):
        return Requirement(key=found[2], operator="absent" if found[1] else "exists")
    raise bad_request(f"unable to parse requirement: {part!r}")


def _field(kind: ServedKind, part: str) -> Requirement:
    found = re.fullmatch(r"([A-Za-z.]+)(==|=|!=)([^=!]*)", part)
    if found is None:
        raise bad_request(f"invalid selector: {part!r}; can't understand {part!r}")
    if found[1] not in kind.fields:
        known = ", ".join(f'"{field}"' for field in kind.fields)
        raise bad_request(f'"{found[1]}" is not a known field selector: only {known}')
    return Requirement(key=found[1], operator=_sign(found[2]), values=frozenset((found[3],)))


def _sign(sign: str) -> Operator:
    return "notin" if sign == "!=" else "in"
