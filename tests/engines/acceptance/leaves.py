"""Every text in a value of the model: where it is, of which type, and the same value with another text there.

In: a value. Out: `Leaf`s, found by the annotations of the model alone, so that a new field of a text type is found without a word here.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from weirkeeper.model.origin import Origin
from weirkeeper.model.text import TEXT_TYPES

OURS = frozenset({"id", "load_balancer", "group", "findings", "created_at", "rule_name", "section", "backend"})
"""Names that we make ourselves and places that no engine sees. Ids are made of tenants' names by `ids.joined`, whose sinks are tried through manifests."""


class Leaf(NamedTuple):
    path: tuple[str | int, ...]
    kind: object

    def __str__(self) -> str:
        return ".".join(map(str, self.path))


def leaves(value: Any, hint: Any = None, path: tuple[str | int, ...] = ()) -> Iterator[Leaf]:
    """All texts of tenants in a value."""
    if isinstance(value, Origin):
        return
    if isinstance(value, msgspec.Struct):
        hints = get_type_hints(type(value), include_extras=True)
        for name in type(value).__struct_fields__:
            if name not in OURS:
                yield from leaves(getattr(value, name), hints[name], (*path, name))
    elif isinstance(value, tuple):
        for number, part in enumerate(value):
            yield from leaves(part, hint, (*path, number))
    elif isinstance(value, str):
        kinds = [kind for kind in _types(hint) if kind in TEXT_TYPES]
        if kinds:
            yield Leaf(path, kinds[0])


def replaced(value: Any, path: tuple[str | int, ...], text: str) -> Any:
    """The value with another text at that place."""
    if not path:
        return text
    step, *rest = path
    if isinstance(step, int):
        return (*value[:step], replaced(value[step], tuple(rest), text), *value[step + 1 :])
    return msgspec.structs.replace(value, **{str(step): replaced(getattr(value, str(step)), tuple(rest), text)})


def shape(tree: Any) -> Any:
    """A tree without its leaves: the names of fields, how many members, which types."""
    if isinstance(tree, dict):
        return {key: shape(part) if key != "@type" else part for key, part in tree.items()}
    if isinstance(tree, list):
        return [shape(part) for part in tree]
    return type(tree).__name__


def _types(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _types(part)
