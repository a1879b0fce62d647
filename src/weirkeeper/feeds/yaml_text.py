"""Text of a manifest file to plain values, bounded, with the place of everything that is wrong.

Comes in: the text of one file. Goes out: `Document`s (plain values and the line they start at) and `Broken`s (line, column, why, remedy). Every document
is parsed alone, so that one that is broken takes no other with it. Nothing about Kubernetes lives here.

Scalars are read as YAML 1.2 says (the core schema, as JSON has them): `no`, `on`, `12:30` and `2026-01-01` are strings, because PyYAML's own rules (YAML 1.1)
make a host called `no` false. A key that appears twice is an error, as it is for a strict API server. Aliases are shared, never copied, and what they
would expand to is counted; collections nest at most `DEEPEST` levels.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import msgspec
import yaml

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

DEEPEST = 64
ALIASED = 100_000
"""How many values all aliases of one document may stand for."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_CONSTANTS: dict[str, Plain] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NUMBER_START = frozenset("+-.0123456789")
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "int", "float", "bool", "null")}
_BYTE = re.compile(r"(.*) \(byte ([0-9]+)\)", re.ASCII | re.DOTALL)

REMEDIES = (
    ("{{", "this looks like a template; render it first, for example `helm template … | weir check -`"),
    ("mapping values are not allowed", "quote the value if it contains `: `, or correct the indentation of this line"),
    ("could not find expected ':'", "add the `:` after the key, or indent the line if it belongs to the text above"),
    ("did not find expected key", "align this line with its neighbours; look for an open quote or bracket above"),
    ("unexpected end of stream", "close the quote that was opened above"),
    ("expected ',' or", "close the bracket, or add the missing comma"),
    ("cannot start any token", "quote the value: it starts with a character that YAML reserves"),
    ("appears twice", "remove one of the two; only one of them would count"),
    ("alias", "write the value out"),
    ("anchor", "define the anchor (`&name`) before it is used"),
)
"""What to do about an error, by a part of the parser's words; the first that fits."""


class Document(NamedTuple):
    """One document: its value, the line (from 1) where it starts, and the text (with its first line) to find places in."""

    value: Plain
    line: int
    text: str
    first_line: int = 1


class Broken(NamedTuple):
    """What is wrong with a document, where (from 1), and what to do about it."""

    line: int
    column: int
    why: str
    remedy: str


class _TextError(Exception):
    """Raised and caught in this module only: a rule of ours that the parser does not know."""

    def __init__(self, why: str, mark: Any) -> None:
        super().__init__(why)
        self.why, self.mark = why, mark


def documents(text: str, *, json: bool = False) -> Iterator[Document | Broken]:
    """The documents of a file, in order. Text that starts like JSON is tried as JSON first, which is faster and takes tabs."""
    if json or text[:64].lstrip()[:1] in ("{", "["):
        found = _json_document(text)
        if json or isinstance(found, Document):
            yield found
            return
    for first_line, chunk in _chunks(text):
        yield from _yaml_documents(chunk, first_line)


class Lines:
    """Where the fields of a document are written. The text is looked through at the first question, once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._node: Any = None

    def of(self, path: tuple[str | int, ...]) -> int:
        """The line in the file of the field at this path, or of its nearest parent that is there."""
        if not path:
            return self._document.line
        node = self._composed()
        line = self._document.line
        for step in path:
            found = _child(node, step)
            if found is None:
                return line
            mark, node = found
            line = self._document.first_line + mark.line
        return line

    def _composed(self) -> Any:
        if self._node is None:
            try:
                self._node = yaml.compose(self._document.text, Loader=_LOADER)
            except (yaml.YAMLError, RecursionError):
                self._node = ()
        return self._node


def _child(node: Any, step: str | int) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark, node.value[step]
    return None


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """The text between document markers, with the line (from 1) at which each piece starts. A `---` in column 0 is a marker wherever it stands."""
    pieces: list[str] = []
    start = 1
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("---") and line[3:4] in ("", " ", "\t", "\r"):
            yield start, "\n".join(pieces)
            start, pieces = number, []
        pieces.append(line)
    yield start, "\n".join(pieces)


def _yaml_documents(chunk: str, first_line: int) -> Iterator[Document | Broken]:
    if not _content(chunk):
        return
    try:
        for value, mark in _built(chunk):
            yield Document(value, first_line + mark.line, chunk, first_line)
    except _TextError as error:
        yield _broken(error.why, error.mark, first_line, chunk)
    except yaml.MarkedYAMLError as error:
        why = ", ".join(part for part in (error.context, error.problem) if part)
        yield _broken(why, error.problem_mark or error.context_mark, first_line, chunk)
    except yaml.YAMLError as error:
        before = chunk[: max(getattr(error, "position", 0), 0)]
        line = first_line + before.count("\n")
        yield Broken(line, len(before) - before.rfind("\n"), _first_line(str(error)), "remove this character")


def _content(chunk: str) -> bool:
    return any(line.strip() and line.lstrip()[0] not in "#%" and line.strip() != "---" for line in chunk.split("\n"))


def _broken(why: str, mark: Any, first_line: int, chunk: str) -> Broken:
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    written = chunk.split("\n")
    while line > 0 and (line >= len(written) or not written[line].strip()):  # the end of the text: show where it ends
        line -= 1
        column = len(written[line]) if line < len(written) else 0
    if written[line][: column + 1].lstrip(" ").startswith("\t"):
        return Broken(first_line + line, column + 1, why, "indent with spaces; YAML allows no tabs there")
    known = (remedy for part, remedy in REMEDIES if part in why or (part == "{{" and part in chunk))
    return Broken(first_line + line, column + 1, why, next(known, "compare this line and the one above with the rest"))


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]


def _json_document(text: str) -> Document | Broken:
    try:
        return Document(msgspec.json.decode(text), 1, text)
    except RecursionError:
        return Broken(1, 1, "the document nests too deeply", f"nest at most {DEEPEST} levels")
    except msgspec.DecodeError as error:
        said = _BYTE.fullmatch(str(error))
        why, offset = (said[1], int(said[2])) if said else (str(error), 0)
        before = text.encode()[:offset]
        line = before.count(b"\n") + 1
        return Broken(line, offset - before.rfind(b"\n"), why, "correct the JSON at this place")


class _Open:
    """A collection that is being read."""

    __slots__ = ("anchor", "into", "key", "keyed", "merges", "size")

    def __init__(self, into: "list[Plain] | dict[str, Plain]", anchor: str | None) -> None:
        self.into, self.anchor = into, anchor
        self.key, self.keyed = "", False
        self.size = 1
        self.merges: list[Plain] = []


class _Builder:
    """Values from events, without recursion."""

    def __init__(self) -> None:
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Plain, int]] = {}
        self._aliased = 0

    def take(self, event: Any) -> tuple[Plain, bool]:
        """The finished document's value and True, or nothing yet and False."""
        if isinstance(event, yaml.ScalarEvent):
            return self._add(_scalar(event), 1, event, event.anchor)
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
            return None, False
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            done = self._stack.pop()
            if done.merges and isinstance(done.into, dict):
                _merge(done.into, done.merges, event)
            return self._add(done.into, done.size, event, done.anchor)
        if isinstance(event, yaml.AliasEvent):
            value, size = self._known(event)
            return self._add(value, size, event, None)
        return None, False

    def _open(self, event: Any) -> None:
        if event.tag is not None and event.tag not in _PLAIN_TAGS and event.tag != "!":
            raise _TextError(f"the tag {event.tag} means nothing in a manifest", event.start_mark)
        if len(self._stack) >= DEEPEST:
            raise _TextError(f"the document nests deeper than {DEEPEST} levels", event.start_mark)
        if self._stack and isinstance(self._stack[-1].into, dict) and not self._stack[-1].keyed:
            raise _TextError("a key is a collection; keys are texts", event.start_mark)
        self._stack.append(_Open({} if isinstance(event, yaml.MappingStartEvent) else [], event.anchor))

    def _known(self, event: Any) -> tuple[Plain, int]:
        known = self._anchors.get(event.anchor)
        if known is None:
            raise _TextError(f"the anchor {event.anchor} is not defined above", event.start_mark)
        self._aliased += known[1]
        if self._aliased > ALIASED:
            raise _TextError(f"the aliases stand for more than {ALIASED} values", event.start_mark)
        return known

    def _add(self, value: Plain, size: int, event: Any, anchor: str | None) -> tuple[Plain, bool]:
        if anchor:
            self._anchors[anchor] = (value, size)
        if not self._stack:
            return value, True
        top = self._stack[-1]
        top.size += size
        if isinstance(top.into, list):
            top.into.append(value)
        elif top.keyed:
            top.keyed = False
            if top.key == "<<":
                top.merges.append(value)
            else:
                top.into[top.key] = value
        else:
            self._key(top, value, event)
        return None, False

    def _key(self, top: _Open, value: Plain, event: Any) -> None:
        key = event.value if isinstance(event, yaml.ScalarEvent) else value
        if not isinstance(key, str):
            raise _TextError("a key is a collection; keys are texts", event.start_mark)
        if key in top.into:
            raise _TextError(f"the key {key!r} appears twice", event.start_mark)
        top.key, top.keyed = key, True


def _built(chunk: str) -> Iterator[tuple[Plain, Any]]:
    builder, mark = _Builder(), None
    for event in yaml.parse(chunk, Loader=_LOADER):
        if isinstance(event, yaml.DocumentStartEvent):
            builder, mark = _Builder(), event.start_mark
            continue
        value, done = builder.take(event)
        if done:
            yield value, mark


def _scalar(event: Any) -> Plain:
    text: str = event.value
    if event.tag is not None and event.tag not in _PLAIN_TAGS:
        if event.tag in _STRING_TAGS:
            return text
        raise _TextError(f"the tag {event.tag} means nothing in a manifest", event.start_mark)
    if not event.implicit[0] and event.tag is None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in _NUMBER_START:
        if _INT.fullmatch(text) and len(text) < 20:
            return int(text)
        if _FLOAT.fullmatch(text) and len(text) < 40 and not text.lstrip("+-").isdigit():
            return float(text)
    return text


def _merge(into: dict[str, Plain], merges: list[Plain], event: Any) -> None:
    """YAML's merge key: what is written in the mapping itself wins, then the earlier source."""
    sources = [one for merge in merges for one in (merge if isinstance(merge, list) else [merge])]
    for source in sources:
        if not isinstance(source, dict):
            raise _TextError("`<<` takes a mapping or a list of mappings", event.start_mark)
        for key, value in source.items():
            into.setdefault(key, value)
