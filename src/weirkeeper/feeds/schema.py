"""Which fields a kind of object has, as compact text, and the fields of a document that its kind does not have.

Comes in: an OpenAPI schema (of an API server, or of a CustomResourceDefinition), or the text made of it; and a document. Goes out: the text; or the unknown
fields. Texts of kinds of Kubernetes stand in `known_fields`. No words for users: those are `decode`'s.

The text: `spec{rules{host,http{paths{path}}}},data*` - a list's items and the list share a name; behind `*` everything is allowed.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from weirkeeper.feeds.yaml_text import Plain
from weirkeeper.kube.types import KubeObject

Path = tuple[str | int, ...]
Fields: TypeAlias = "dict[str, Fields | None]"
"""The fields below a field; none where everything is allowed."""

DEEPEST = 40
ENVELOPE = ("apiVersion", "kind", "metadata")


def fields_text(schema: Mapping[str, Any], definitions: Mapping[str, Any], depth: int = 0) -> str:
    """The fields of an object's schema; ``definitions`` are what its references name."""
    found = []
    for name, below in sorted(_properties(schema, definitions).items()):
        inside = _whole(below, definitions)
        if "properties" in inside and depth < DEEPEST:
            found.append(f"{name}{{{fields_text(inside, definitions, depth + 1)}}}")
        else:
            found.append(f"{name}*" if _is_free(inside) else name)
    return ",".join(found)


def kind_text(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The fields of a kind, without those that every kind has (`ENVELOPE`)."""
    own = {name: below for name, below in _properties(schema, definitions).items() if name not in ENVELOPE}
    return fields_text({"properties": own}, definitions)


def own_fields(made: type[KubeObject]) -> "Fields":
    """The fields of a struct of ours, as they are written; without those that every kind has and those that no manifest has."""
    found = _of_type(msgspec.inspect.type_info(made)) or {}
    return {name: below for name, below in found.items() if name not in (*ENVELOPE, "cluster")}


def _of_type(info: msgspec.inspect.Type) -> "Fields | None":
    match info:
        case msgspec.inspect.StructType(fields=fields):
            return {one.encode_name: _of_type(one.type) for one in fields}
        case msgspec.inspect.ListType(item_type=inner) | msgspec.inspect.VarTupleType(item_type=inner):
            return _of_type(inner)
        case msgspec.inspect.UnionType(types=types):
            inside = [_of_type(one) for one in types]
            return None if None in inside else {k: v for one in inside if one for k, v in one.items()}
        case msgspec.inspect.DictType() | msgspec.inspect.AnyType():
            return None
        case _:
            return {}


def parsed(text: str) -> "Fields":
    """The text as a tree."""
    top: Fields = {}
    open_: list[Fields] = [top]
    name = ""
    for c in text:
        if c == "{":
            inner: Fields = {}
            open_[-1][name] = inner
            open_.append(inner)
            name = ""
        elif c == "*":
            open_[-1][name] = None
            name = ""
        elif c in ",}":
            if name:
                open_[-1][name] = {}
            name = ""
            if c == "}":
                open_.pop()
        else:
            name += c
    if name:
        top[name] = {}
    return top


def unknown(
    document: Plain, fields: Fields, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Fields]]:
    """The paths of fields that the kind does not have, each with the fields that may stand there."""
    if isinstance(document, list):
        for number, one in enumerate(document):
            yield from unknown(one, fields, (*path, number))
    elif isinstance(document, dict) and (fields or not path):
        for name, value in document.items():
            below = fields.get(name, MISSING)
            if below is MISSING:
                yield (*path, name), fields
            elif below:
                yield from unknown(value, below, (*path, name))


MISSING: "Fields" = {"": None}


def _properties(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _whole(schema, definitions).get("properties", {})
    return found


def _whole(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of a value, through references; of a list, that of its items."""
    while True:
        named = schema.get("$ref") or next((one.get("$ref") for one in schema.get("allOf", ())), None)
        if named is not None:
            schema = definitions[named.rpartition("/")[2]]
        elif schema.get("type") == "array":
            schema = schema["items"]
        else:
            return schema


def _is_free(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("type", "object") == "object")
