"""One manifest file, read whole: its objects, and what is wrong in it.

Comes in: a path and a decoder. Goes out: a `Reading`, a value that says what the file holds now. It knows nothing of other files or of earlier readings.
"""

import errno
import os
import stat
from typing import NamedTuple

from weirkeeper.feeds.base import FILE
from weirkeeper.feeds.decode import Decoded, Decoder, Path, Trouble, finding, sentence
from weirkeeper.feeds.yaml_text import Broken, Document, Lines, documents
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin

LARGEST = 64 * 1024 * 1024
MOST_DOCUMENTS = 100_000


class Stamp(NamedTuple):
    """What tells that a file is another one than before, without reading it."""

    changed: int
    size: int
    inode: int


class Entry(NamedTuple):
    """One object of a file: as it was read, or why it could not be, and the line where it starts."""

    object: KubeObject | None
    problem: Finding | None
    line: int


class Reading(NamedTuple):
    """A file's content. `places` are findings about places in the file, by a ref that names the place. `broken`: a part could not be read at all."""

    stamp: Stamp | None
    objects: dict[Ref, Entry]
    places: dict[Ref, Finding]
    broken: bool


def place_ref(name: str, line: int, number: int = 0) -> Ref:
    """The ref that stands for a place in a file."""
    shown = "".join(c if c.isprintable() else "?" for c in name)
    return Ref(kind=FILE, name=f"{shown}:{line}" + (f"#{number}" if number else ""))


def stamp_of(path: str) -> Stamp | None:
    """The stamp of a regular file, links followed; none where there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - ten thousand of these in a scan; a Path doubles the time
    except OSError:
        return None
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def read_file(path: str, name: str, stamp: Stamp, decoder: Decoder) -> Reading:
    """What the file holds. What cannot be read is said as a finding of the place; nothing is raised."""
    if stamp.size > LARGEST:
        return _unreadable(name, stamp, f"is larger than {LARGEST // 2**20} MiB", "split it into several files")
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            raw = file.read(LARGEST + 1)
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return _unreadable(name, stamp, "is not UTF-8", "save it as UTF-8", line)
    except OSError as error:
        why = errno.errorcode.get(error.errno or 0, "EIO")
        return _unreadable(name, stamp, f"can't be read ({why})", "let the user that runs weir read it")
    return read_text(text, name, decoder, stamp=stamp)


def read_text(text: str, name: str, decoder: Decoder, *, stamp: Stamp | None = None) -> Reading:
    """What a text holds, under the name that findings give it."""
    reading = Reading(stamp, {}, {}, broken=False)
    for count, document in enumerate(documents(text, json=name.endswith(".json"))):
        if count >= MOST_DOCUMENTS:
            many = Broken(document.line, 1, f"holds more than {MOST_DOCUMENTS} documents", "split the file")
            return _with_broken(reading, name, many)
        if isinstance(document, Broken):
            reading = _with_broken(reading, name, document)
        else:
            _take(reading, name, document, decoder)
    return reading


def _take(reading: Reading, name: str, document: Document, decoder: Decoder) -> None:
    lines = Lines(document)
    for decoded in decoder.objects(document.value):
        line = lines.of(decoded.item)
        if decoded.ref is None:
            _place(reading, name, place_ref(name, line), lines, decoded)
        elif decoded.object is None and decoded.troubles and decoded.troubles[0].severity is Severity.INFO:
            _note(reading, name, decoded, line)
        elif decoded.ref in reading.objects:
            first = reading.objects[decoded.ref].line
            _add(reading.places, name, line, duplicate(decoded.ref, name, line, name, first))
        else:
            reading.objects[decoded.ref] = _entry(reading, name, lines, decoded, line)


def _entry(reading: Reading, name: str, lines: Lines, decoded: Decoded, line: int) -> Entry:
    assert decoded.ref is not None
    if decoded.troubles:
        trouble = decoded.troubles[0]
        found = finding(trouble, decoded.ref, _place_text(name, lines, decoded.item, trouble))
        problem: Finding | None = found
    else:
        problem = decoded.findings[0] if decoded.findings else None
        for more in decoded.findings[1:]:
            _add(reading.places, name, line, more)
    for strange in decoded.strange:
        _add(reading.places, name, line, finding(strange, decoded.ref, _place_text(name, lines, decoded.item, strange)))
    return Entry(decoded.object, problem, line)


def _place(reading: Reading, name: str, ref: Ref, lines: Lines, decoded: Decoded) -> None:
    for trouble in decoded.troubles:
        _add(reading.places, name, int(ref.name.rpartition(":")[2]), finding(
            trouble, ref, _place_text(name, lines, decoded.item, trouble)
        ))  # fmt: skip


def _note(reading: Reading, name: str, decoded: Decoded, line: int) -> None:
    assert decoded.ref is not None
    _add(reading.places, name, line, finding(decoded.troubles[0], decoded.ref, f"{name}:{line}"))


def _place_text(name: str, lines: Lines, item: Path, trouble: Trouble) -> str:
    return f"{name}:{lines.of((*item, *trouble.path))}"


def duplicate(ref: Ref, name: str, line: int, first_name: str, first_line: int) -> Finding:
    """What is said about the second appearance of an object."""
    return Finding(
        severity=Severity.WARNING,
        reason=Reason.DUPLICATE_OBJECT,
        for_user=sentence(f"{name}:{line}: {ref} is there already ({first_name}:{first_line}); this one is not used"),
        remedy=sentence("remove one of the two, or give it another name or namespace"),
        origin=Origin(ref=ref),
        effect=Effect.IGNORED,
    )


def _with_broken(reading: Reading, name: str, broken: Broken) -> Reading:
    ref = place_ref(name, broken.line)
    _add(reading.places, name, broken.line, Finding(
        severity=Severity.ERROR,
        reason=Reason.INVALID_SYNTAX,
        for_user=sentence(f"{name}:{broken.line}:{broken.column}: {broken.why}"),
        remedy=sentence(broken.remedy),
        origin=Origin(ref=ref),
        effect=Effect.OBJECT_REJECTED,
    ))  # fmt: skip
    return reading._replace(broken=True)


def _unreadable(name: str, stamp: Stamp, why: str, remedy: str, line: int = 1) -> Reading:
    ref = place_ref(name, line)
    problem = Finding(
        severity=Severity.ERROR,
        reason=Reason.UNREADABLE_FILE,
        for_user=sentence(f"{name}:{line}: the file {why}"),
        remedy=sentence(remedy),
        origin=Origin(ref=ref),
        effect=Effect.OBJECT_REJECTED,
    )
    return Reading(stamp, {}, {ref: problem}, broken=True)


def _add(places: dict[Ref, Finding], name: str, line: int, problem: Finding) -> None:
    number = 0
    while (ref := place_ref(name, line, number)) in places:
        number += 1
    places[ref] = problem
