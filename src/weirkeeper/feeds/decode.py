"""A document's plain values to the objects in it.

Comes in: the value of one document. Goes out: for each object in it (a `List` holds several) either the typed object or what is wrong with it, in
words of the field and its remedy; and nothing at all for what is no manifest or none of our business. No files, no lines: whoever read the text knows them.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice, starmap
from typing import NamedTuple

import msgspec

from weirkeeper.controllers.base import Kind
from weirkeeper.controllers.shared.old_forms import modernised
from weirkeeper.feeds.known_fields import known_fields
from weirkeeper.feeds.schema import Fields, unknown
from weirkeeper.feeds.yaml_text import Plain
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import LOCAL, Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import FieldPath, Name, Refused, Sentence, parse, shown

NEAR = ("gateway.networking.k8s.io", "getambassador.io", "weirkeeper.io")
"""Groups about load balancing that we may read one day: an object of theirs that nobody reads now is worth a word."""

FAR = {"apps"}
"""Groups of which we read some kinds, and that are not about load balancing: who writes another kind of them does not mean us."""

Path = tuple[str | int, ...]

MOST_STRANGE = 20
"""How many unknown fields of one object are said."""

_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[([0-9]+)\]|\[(\.\.\.)\]", re.ASCII)
_SAID = re.compile(r"(.*) - at `(?:key in )?\$(.*)`", re.ASCII | re.DOTALL)
_EXPECTED = re.compile(r"Expected `([^`]*)`, got `([^`]*)`", re.ASCII)


class Trouble(NamedTuple):
    """Something wrong, before anybody knows the line. `path` is inside the object; `item` is the object's place in its document."""

    reason: Reason
    why: str
    remedy: str
    path: Path = ()
    severity: Severity = Severity.ERROR


class Decoded(NamedTuple):
    """One object of a document. Without a ref it could not even be named; without an object it can't be read. `strange` are fields that its kind has not."""

    item: Path
    ref: Ref | None
    object: KubeObject | None
    troubles: tuple[Trouble, ...] = ()
    strange: tuple[Trouble, ...] = ()
    findings: tuple[Finding, ...] = ()


class Decoder:
    """Knows which kinds are read, and of which cluster the objects are."""

    def __init__(self, kinds: Mapping[tuple[str, str], Kind], cluster: str = LOCAL) -> None:
        self._kinds = kinds
        self._cluster = cluster
        self._fields = {name: known_fields(kind) for name, kind in kinds.items()}
        self._near = ({group for group, _ in kinds if group} | set(NEAR)) - FAR

    def objects(self, value: Plain) -> Iterator[Decoded]:
        """Every object of a document that somebody reads, or should hear about."""
        for item, document in _flattened(value):
            today, told = modernised(document) if isinstance(document, dict) else (document, None)
            for _, one in _flattened(today):  # one old object may be several of today's
                decoded = self._object(item, one, old=told is not None)
                if decoded is not None:
                    yield decoded if told is None else _with(decoded, told)
                    told = None

    def _object(self, item: Path, document: Plain, *, old: bool) -> Decoded | None:
        if not isinstance(document, dict):
            if document is None:
                return None
            return _nameless(
                item, "a manifest is a mapping with apiVersion, kind and metadata", "write it as a mapping"
            )
        version, kind = document.get("apiVersion"), document.get("kind")
        if not isinstance(version, str) or not isinstance(kind, str):
            return self._formless(item, document)
        decoded = self._typed(item, document)
        return decoded if old or decoded is None else decoded._replace(strange=self._strange(document))

    def _strange(self, document: dict[str, Plain]) -> tuple[Trouble, ...]:
        """The fields that the kind does not have; what was made of an old form has none."""
        group, _, _ = str(document["apiVersion"]).rpartition("/")
        fields = self._fields.get((group, str(document["kind"])))
        return () if fields is None else tuple(islice(starmap(_strange, unknown(document, fields)), MOST_STRANGE))

    def _formless(self, item: Path, document: dict[str, Plain]) -> Decoded | None:
        if not ("metadata" in document and ("spec" in document or "kind" in document or "apiVersion" in document)):
            return None  # values of a chart, settings of a tool: no manifest
        absent = "apiVersion" if not isinstance(document.get("apiVersion"), str) else "kind"
        return _nameless(item, f"{absent} is missing", f"add {absent} at the top level")

    def _typed(self, item: Path, document: dict[str, Plain]) -> Decoded | None:
        api_version, kind_name = str(document["apiVersion"]), str(document["kind"])
        group, _, version = api_version.rpartition("/")
        kind = self._kinds.get((group, kind_name))
        named = _named(document, kind, group, kind_name, self._cluster)
        if kind is None:
            return self._foreign(item, group, kind_name, named)
        if isinstance(named, Trouble):
            return Decoded(item, None, None, (named,))
        if version not in (kind.version, *kind.also):
            wanted = f"{group}/{kind.version}" if group else kind.version
            return Decoded(item, named, None, (Trouble(
                Reason.OLD_FORM, f"apiVersion {shown(api_version)} of {kind_name} is not read",
                f"write apiVersion: {wanted}, with the fields of that version", ("apiVersion",),
            ),))  # fmt: skip
        made = _converted(document, kind, named, self._cluster)
        if isinstance(made, Trouble):
            return Decoded(item, named, None, (made,))
        return Decoded(item, named, made)

    def _foreign(self, item: Path, group: str, kind: str, named: Ref | Trouble) -> Decoded | None:
        if group not in self._near or isinstance(named, Trouble):
            return None
        meant = get_close_matches(kind[:80], [name for of, name in self._kinds if of == group], n=1, cutoff=0.8)
        return Decoded(item, named, None, (Trouble(
            Reason.UNKNOWN_KIND, f"nothing here reads {shown(kind)} of {shown(group)}",
            f"did you mean {meant[0]}?" if meant else "nothing to do if another program reads it",
            ("kind",), Severity.WARNING if meant else Severity.INFO,
        ),))  # fmt: skip


def finding(trouble: Trouble, ref: Ref, place: str) -> Finding:
    """The finding for an object at a place in a file (`shop.yaml:12`)."""
    kept = trouble.severity is Severity.INFO or trouble.reason is Reason.UNKNOWN_FIELD
    effect = Effect.IGNORED if kept else Effect.OBJECT_REJECTED
    return Finding(
        severity=trouble.severity,
        reason=trouble.reason,
        for_user=sentence(f"{place}: {trouble.why}"),
        remedy=sentence(trouble.remedy),
        origin=Origin(ref=ref, path=FieldPath(printed(trouble.path))),
        effect=effect,
    )


def sentence(text: str) -> Sentence:
    """The text without control characters, short enough to be a sentence."""
    return Sentence("".join(c if c.isprintable() or c == "\n" else f"\\u{ord(c):04x}" for c in text[:4096]))


def printed(path: Path) -> str:
    """`spec.rules[0].host`, the way the findings of controllers write it."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.isascii() and step.isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{shown(step, 120)}]"
    return text[:1024]


def _with(decoded: Decoded, told: Finding) -> Decoded:
    """With a finding about the object as it was written, now under the name that it has."""
    ref = decoded.ref or told.origin.ref
    return decoded._replace(findings=(msgspec.structs.replace(told, origin=Origin(ref=ref, path=told.origin.path)),))


def _flattened(value: Plain, item: Path = ()) -> Iterator[tuple[Path, Plain]]:
    if isinstance(value, list):  # a JSON array of objects, as some tools print
        for number, one in enumerate(value):
            yield (*item, number), one
        return
    kind = value.get("kind") if isinstance(value, dict) else None
    items = value.get("items") if isinstance(value, dict) else None
    if isinstance(value, dict) and isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
        for number, one in enumerate(items):
            typed = {"apiVersion": value.get("apiVersion"), "kind": kind[:-4]} if kind != "List" else {}
            yield (*item, "items", number), {**typed, **one} if isinstance(one, dict) else one
        return
    yield item, value


def _nameless(item: Path, why: str, remedy: str) -> Decoded:
    return Decoded(item, None, None, (Trouble(Reason.INVALID_OBJECT, why, remedy),))


def _strange(path: Path, fields: "Fields") -> Trouble:
    name, parent = str(path[-1]), printed(path[:-1]) or "the object"
    same = [one for one in fields if one.lower() == name.lower()]
    near = same or get_close_matches(name[:80], fields, n=1, cutoff=0.7)
    some = ", ".join(sorted(fields)[:12])
    remedy = f"did you mean {near[0]}?" if near else f"take it out; known here are: {some}"
    return Trouble(
        Reason.UNKNOWN_FIELD, f"{parent} has no field {shown(name)}; it does nothing", remedy, path, Severity.WARNING
    )


def _named(document: dict[str, Plain], kind: Kind | None, group: str, kind_name: str, cluster: str) -> Ref | Trouble:
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        quoted = f"quote the name: {shown(str(name))}" if name not in (None, "") else "add metadata.name"
        return Trouble(Reason.INVALID_NAME, f"{kind_name} has no name", quoted, ("metadata", "name"))
    namespaced = kind is None or kind.namespaced
    namespace = (metadata.get("namespace") or "default") if namespaced else ""
    for field, text in (("name", name), ("namespace", namespace or "default")):
        checked = parse(Name, text) if isinstance(text, str) else Refused("is not a text")
        if isinstance(checked, Refused):
            return Trouble(
                Reason.INVALID_NAME, f"metadata.{field} {checked.why}",
                "use lower-case letters, digits, `-` and `.`; begin and end with a letter or digit", ("metadata", field),
            )  # fmt: skip
    return Ref(cluster=cluster, group=group, kind=kind_name, namespace=str(namespace), name=name)


def _converted(document: dict[str, Plain], kind: Kind, ref: Ref, cluster: str) -> KubeObject | Trouble:
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    whole = {**document, "metadata": {**metadata, "namespace": ref.namespace}, "cluster": cluster}
    try:
        return msgspec.convert(whole, kind.type)
    except msgspec.ValidationError as error:
        return _mistyped(str(error), whole)
    except RecursionError:
        return Trouble(Reason.INVALID_OBJECT, "the object nests too deeply", "flatten it")


def _mistyped(message: str, document: Plain) -> Trouble:
    said = _SAID.fullmatch(message)
    why, where = (said[1], said[2]) if said else (message, "")
    expected = _EXPECTED.fullmatch(why)
    path = _culprit(document, where, expected[1] if expected else "")
    value = _at(document, path)
    if expected is None:
        return Trouble(Reason.INVALID_OBJECT, f"{printed(path) or 'the object'}: {why}", "correct this field", path)
    why = f"{printed(path) or 'the object'} must be {_article(expected[1])}, not {_article(expected[2])}"
    if expected[1].startswith("str") and isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return Trouble(Reason.INVALID_OBJECT, why, f'write it in quotes: "{text}"', path)
    return Trouble(Reason.INVALID_OBJECT, why, f"write {_article(expected[1])} here, or take the field out", path)


_WORDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
          "object": "a mapping", "null": "empty"}  # fmt: skip


def _article(expected: str) -> str:
    return " or ".join(_WORDS.get(part.strip(), part.strip()) for part in expected.split("|"))


def _culprit(document: Plain, where: str, expected: str) -> Path:
    """The path in the document: msgspec writes `[...]` for "some key", and this looks for the key whose value is of another type."""
    path: list[str | int] = []
    for name, index, some in _STEP.findall(where):
        if some:
            inside = _at(document, tuple(path))
            path += [k for k, v in inside.items() if not _is(v, expected)][:1] if isinstance(inside, dict) else []
        else:
            path.append(int(index) if index else name)
    return tuple(path)


def _is(value: Plain, expected: str) -> bool:
    return isinstance(value, str) == expected.startswith("str")


def _at(document: Plain, path: Path) -> Plain:
    for step in path:
        if isinstance(document, dict) and isinstance(step, str):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document
