"""Where in the types of Gateway API's kinds something is referred to: found in the types, so that no new field is forgotten."""

import types
import typing
from collections.abc import Iterator

import msgspec

from weirkeeper.controllers.gateway.kinds import KINDS
from weirkeeper.kube.types import KubeStruct

NAMED, PLACED = {"kind", "name"}, {"kind", "namespace"}


def reference_fields() -> set[str]:
    """Paths of all fields that hold the kind and the name, or the namespace, of an object."""
    return {path for kind in KINDS if "gateway" in kind.group for path in _below(kind.type, kind.kind)}


def _below(struct: type[msgspec.Struct], path: str) -> Iterator[str]:
    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        if field.name == "metadata":
            continue
        for inner, many in _structs(hints[field.name]):
            here = f"{path}.{field.encode_name}{'[]' if many else ''}"
            names = {one.name for one in msgspec.structs.fields(inner)}
            if names >= NAMED or names >= PLACED:
                yield here
            yield from _below(inner, here)


def _structs(hint: object, *, many: bool = False) -> Iterator[tuple[type[msgspec.Struct], bool]]:
    """The structs in the type of a field, and whether it holds several."""
    if isinstance(hint, type) and issubclass(hint, KubeStruct):
        yield hint, many
    origin = typing.get_origin(hint)
    several = many or origin not in (typing.Union, types.UnionType)
    for one in typing.get_args(hint):
        yield from _structs(one, many=several)
