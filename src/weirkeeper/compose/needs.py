"""What a value needs of its engine: one generic walk over the marks in the model, no code for any feature.

Comes in: any value of the model. Goes out: ``(feature, path)`` pairs, where the path says which field asked.
"""

from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from weirkeeper.model.features import Need


class FieldNeed(msgspec.Struct, frozen=True):
    """One field of a struct as the walk sees it: its default means "not wished", its marks are what it needs otherwise."""

    name: str
    default: object
    needs: tuple[Need, ...]


def needs(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Every feature that this value needs, with the field that needs it; in the order of the fields."""
    if isinstance(value, msgspec.Struct):
        variant, fields = _plan(type(value))
        if variant:
            yield variant, path
        for field in fields:
            part = getattr(value, field.name)
            if part is field.default or part == field.default:
                continue
            where = f"{path}.{field.name}" if path else field.name
            for need in field.needs:
                if _holds(need, part):
                    yield need.feature, where
            if isinstance(part, msgspec.Struct | tuple):
                yield from needs(part, where)
    elif isinstance(value, tuple):
        for position, part in enumerate(value):
            if isinstance(part, msgspec.Struct | tuple):
                yield from needs(part, f"{path}[{position}]")


SKIPPED = frozenset({"origin", "origins", "also", "findings", "created_at"})
"""Fields that speak about where a value came from; no engine sees them."""


@cache
def _plan(kind: type[msgspec.Struct]) -> tuple[str | None, tuple[FieldNeed, ...]]:
    hints = get_type_hints(kind, include_extras=True)
    fields = tuple(
        FieldNeed(info.name, _default(info), _marked(hints[info.name]))
        for info in msgspec.structs.fields(kind)
        if info.name not in SKIPPED and _may_need(hints[info.name])
    )
    return getattr(kind, "NEED", None), fields


def marks(hint: Any) -> tuple[str, ...]:
    """The features that a type annotation is marked with."""
    return tuple(mark.feature for mark in _marked(hint))


def _marked(hint: Any) -> tuple[Need, ...]:
    if get_origin(hint) is not Annotated:
        return ()
    return tuple(mark for mark in get_args(hint)[1:] if isinstance(mark, Need))


def _holds(need: Need, part: object) -> bool:
    """Whether this value of the field needs it: any value that is not the default, or one of those that the mark names."""
    if need.only:
        return part in need.only
    if need.beyond:
        return isinstance(part, tuple) and not set(part) <= set(need.beyond)
    return not need.above or (isinstance(part, tuple) and len(part) > need.above)


def _default(info: msgspec.structs.FieldInfo) -> object:
    if info.default is not msgspec.NODEFAULT:
        return info.default
    return msgspec.NODEFAULT


def _may_need(hint: Any) -> bool:
    """Whether a field can need anything: marked itself, or holding structs."""
    return bool(marks(hint)) or _holds_structs(hint)


def _holds_structs(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return True
    return any(_holds_structs(part) for part in get_args(hint))
