"""Where things are written: from an object and a field path to file and line.

Comes in: the tree that was read (or the text that was piped in). Goes out: a `Place` for a finding or an origin. Files are looked into again only when
somebody asks, and each only once; of a file that is larger than one wishes, the line of the object is all that is known.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

from weirkeeper.feeds.base import FILE
from weirkeeper.feeds.decode import Decoder
from weirkeeper.feeds.tree import FileTree
from weirkeeper.feeds.yaml_text import Broken, Lines, documents
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin

_STEP = re.compile(r"""\.?([^.\[\]"]+)|\[([0-9]+)\]|\["([^"]*)"\]|\[([^\]]*)\]""", re.ASCII)
_WRITTEN = re.compile(r"(.{1,4096}?):([0-9]{1,9})(?::([0-9]{1,9}))?(?:#[0-9]+)?", re.ASCII)


class Written(NamedTuple):
    """File, line and column; 0 where it is not known."""

    file: str
    line: int
    column: int = 0

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)


class Places:
    """Answers where an object's field is written."""

    def __init__(self, tree: FileTree | None, text: str, decoder: Decoder, largest: int = sys.maxsize) -> None:
        """Use `of_tree` or `of_text`."""
        self._tree, self._text, self._decoder, self._largest = tree, text, decoder, largest
        self._lines: dict[str, dict[Ref, tuple[Lines, tuple[str | int, ...]]]] = {}

    @classmethod
    def of_tree(cls, tree: FileTree, decoder: Decoder, largest: int = sys.maxsize) -> "Places":
        """Places in a folder of manifests; fields only in files of up to so many bytes."""
        return cls(tree, "", decoder, largest)

    @classmethod
    def of_text(cls, text: str, decoder: Decoder) -> "Places":
        """Places in a text from standard input."""
        return cls(None, text, decoder)

    def of(self, origin: Origin) -> Written | None:
        """Where the field is written, or the object where the field is not written at all."""
        if origin.ref.kind == FILE:
            written = _WRITTEN.fullmatch(origin.ref.name)
            return Written(written[1], int(written[2])) if written else Written(origin.ref.name, 0)
        file = self._file(origin.ref)
        if file is None:
            return None
        known = self._looked_into(file).get(origin.ref)
        if known is None:
            return self._object(origin.ref)
        lines, item = known
        return Written(file, lines.of((*item, *steps(origin.path))))

    def said(self, finding: Finding) -> tuple[Written | None, str]:
        """The place of a finding, and its sentence without the place that the feed has put in front."""
        place, sentence = self.of(finding.origin), str(finding.for_user)
        if place is not None and (told := _WRITTEN.fullmatch(sentence.partition(": ")[0])) and told[1] == place.file:
            return Written(told[1], int(told[2]), int(told[3] or 0)), sentence.partition(": ")[2]
        return place, sentence

    def _object(self, ref: Ref) -> Written | None:
        """Where the object begins, as the tree knows it."""
        place = self._tree.place(ref) if self._tree is not None else None
        return Written(place.file, place.line) if place else None

    def _file(self, ref: Ref) -> str | None:
        if self._tree is None:
            return "-"
        place = self._tree.place(ref)
        return place.file if place else None

    def _looked_into(self, file: str) -> dict[Ref, tuple[Lines, tuple[str | int, ...]]]:
        if file not in self._lines:
            self._lines[file] = dict(self._found(self._read(file), json=file.endswith(".json")))
        return self._lines[file]

    def _read(self, file: str) -> str:
        if self._tree is None:
            return self._text
        root = Path(self._tree.root)
        path = root if root.is_file() else root / file
        try:
            return path.read_text("utf-8-sig") if path.stat().st_size <= self._largest else ""
        except (OSError, UnicodeDecodeError):
            return ""

    def _found(self, text: str, *, json: bool) -> list[tuple[Ref, tuple[Lines, tuple[str | int, ...]]]]:
        found: list[tuple[Ref, tuple[Lines, tuple[str | int, ...]]]] = []
        for document in documents(text, json=json):
            if isinstance(document, Broken):
                continue
            lines = Lines(document)
            decoded = self._decoder.objects(document.value)
            found.extend((one.ref, (lines, one.item)) for one in decoded if one.ref is not None)
        return found[::-1]  # of two with the same name the first one counts, as in the feed


def steps(path: str) -> tuple[str | int, ...]:
    """`spec.rules[0].host` as its steps; `metadata.annotations[example.com/name]` too."""
    found: list[str | int] = []
    for name, index, quoted, bracketed in _STEP.findall(path):
        found.append(int(index) if index else name or quoted or bracketed)
    return tuple(found)
