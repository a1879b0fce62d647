"""The texts of kubeconfigs to named entries, merged as kubectl merges the files of $KUBECONFIG. What an entry means is `kubeconfig.py`'s business.

Comes in: paths or texts. Goes out: `Merged`: clusters, users and contexts by name, each with the folder that its paths start in; or `AccessRefused`.

Whoever names a cluster, user, context or the current context first wins, whole entries at a time. Scalars stay texts except true, false and null (YAML 1.2), so a
token like 1e5 or a user called `on` is what it looks like.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from weirkeeper.kube.errors import AccessRefused

LONGEST = 1 << 20
"""Characters of a kubeconfig of ours."""


class Entry(NamedTuple):
    """A named cluster, user or context, and the folder that its paths start in."""

    value: Any
    folder: Path


class Merged(NamedTuple):
    """All entries by name, and the context that counts where none is named."""

    clusters: dict[str, Entry]
    users: dict[str, Entry]
    contexts: dict[str, Entry]
    current: str


class _Texts(yaml.SafeLoader):
    """Scalars are texts, save true, false and null."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_Texts.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")
)
_Texts.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])


def read(path: Path, *, needed: bool) -> tuple[str, Path, str] | None:
    """The text of a file, the folder it lies in and its name; None where it is not there and need not be."""
    try:
        return path.read_text("utf-8"), path.absolute().parent, str(path)
    except FileNotFoundError as error:
        if not needed:
            return None
        raise AccessRefused(str(path), "there is no such file", "give the path of a kubeconfig") from error
    except (OSError, UnicodeDecodeError) as error:
        raise AccessRefused(str(path), f"can't be read ({error})", "give the path of a readable kubeconfig") from error


def merged_texts(files: Sequence[tuple[str, Path, str]]) -> Merged:
    """The entries of these texts (text, folder, name); the first that names a thing wins."""
    merged = Merged({}, {}, {}, "")
    for text, folder, name in files:
        plain = _parsed(text, name)
        for kind, into in (("cluster", merged.clusters), ("user", merged.users), ("context", merged.contexts)):
            for key, value in _entries(plain.get(f"{kind}s"), kind, name):
                into.setdefault(key, Entry(value, folder))
        current = plain.get("current-context")
        if isinstance(current, str) and not merged.current:
            merged = merged._replace(current=current)
    return merged


def _parsed(text: str, name: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise AccessRefused(name, f"is longer than {LONGEST} characters", "give a kubeconfig with one context")
    try:
        plain = yaml.load(text, Loader=_Texts)  # noqa: S506 - a safe loader with fewer types
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f"line {where.line + 1}" if where is not None else "its text"
        raise AccessRefused(name, f"{line} is no YAML", "compare it with what `kubectl config view` prints") from error
    if not isinstance(plain, dict):
        raise AccessRefused(name, "is no kubeconfig", "give a file with clusters, users and contexts")
    return plain


def _entries(listed: object, kind: str, name: str) -> list[tuple[str, Any]]:
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in listed
    ):
        raise AccessRefused(f"{name}: {kind}s", "is not a list of named entries", f"write `- name: …` and `{kind}: …`")
    return [(one["name"], one.get(kind)) for one in listed]


def without_nulls(value: Any, depth: int = 0) -> Any:
    """The value without what is null, which means the same as not written."""
    if depth > 20:
        raise RecursionError("the entry nests too deeply")
    if isinstance(value, dict):
        return {str(key): without_nulls(one, depth + 1) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [without_nulls(one, depth + 1) for one in value if one is not None]
    return value
