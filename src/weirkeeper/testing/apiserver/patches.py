"""JSON merge patch (RFC 7396) and JSON patch (RFC 6902) on decoded JSON. Pure: what goes in is never changed.

In: a document and a patch. Out: the patched document, or `PatchFailed` with the step that failed.
"""

import copy
from typing import Any


class PatchFailed(Exception):
    """A step of a JSON patch names what is not there, or a test did not hold."""


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(document: Any, steps: list[dict[str, Any]]) -> Any:
    """RFC 6902: the steps in order, all or none."""
    patched = copy.deepcopy(document)
    for step in steps:
        patched = _step(patched, step)
    return patched


def _step(document: Any, step: dict[str, Any]) -> Any:
    path = pointer(step.get("path", ""))
    match step.get("op"):
        case "add":
            return _put(document, path, copy.deepcopy(_value(step)), insert=True)
        case "replace":
            _get(document, path)
            return _put(document, path, copy.deepcopy(_value(step)), insert=False)
        case "remove":
            return _remove(document, path)
        case "test":
            if _get(document, path) != _value(step):
                raise PatchFailed(f"test of {step['path']} did not hold")
            return document
        case "move":
            source = pointer(step.get("from", ""))
            moved = _get(document, source)
            return _put(_remove(document, source), path, moved, insert=True)
        case "copy":
            return _put(document, path, copy.deepcopy(_get(document, pointer(step.get("from", "")))), insert=True)
        case unknown:
            raise PatchFailed(f"unknown operation {unknown!r}")


def pointer(text: str) -> list[str]:
    """The steps of a JSON pointer (RFC 6901)."""
    if not text:
        return []
    if not text.startswith("/"):
        raise PatchFailed(f"{text!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _value(step: dict[str, Any]) -> Any:
    if "value" not in step:
        raise PatchFailed("the step has no value")
    return step["value"]


def _get(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[_index(document, part)]
    return document


def _put(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        at = len(parent) if path[-1] == "-" else _index(parent, path[-1], spare=insert)
        parent[at : at if insert else at + 1] = [value]
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise PatchFailed(f"{path[-1]!r} is inside a plain value")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    parent = _get(document, path[:-1])
    del parent[_index(parent, path[-1])]
    return document


def _index(parent: Any, part: str, *, spare: bool = False) -> Any:
    if isinstance(parent, dict) and part in parent:
        return part
    if isinstance(parent, list) and part.isascii() and part.isdigit() and int(part) < len(parent) + spare:
        return int(part)
    raise PatchFailed(f"there is no {part!r}")
