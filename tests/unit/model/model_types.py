"""Every struct of the model, found by looking: nothing has to be registered, so nothing can be forgotten."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec

import weirkeeper.model


def structs() -> Iterator[type[msgspec.Struct]]:
    for info in pkgutil.iter_modules(weirkeeper.model.__path__):
        module = importlib.import_module(f"weirkeeper.model.{info.name}")
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, msgspec.Struct) and found.__module__ == module.__name__:
                yield found


def fields() -> Iterator[tuple[str, str, Any]]:
    """Struct, field and annotation of every field of the model."""
    for struct in structs():
        hints = get_type_hints(struct, include_extras=True)
        for field in msgspec.structs.fields(struct):
            yield struct.__name__, field.name, hints[field.name]


def leaves(hint: Any) -> Iterator[Any]:
    """The types at the ends of an annotation."""
    parts = get_args(hint)
    if not parts:
        yield hint
    for part in parts:
        yield from leaves(part)
