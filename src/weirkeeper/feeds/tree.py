"""A folder of manifests as it was last seen, and what a look at some of its files changes.

Comes in: paths that may have changed, and the time. Goes out: `Seen`, only for objects that are not as they were. One changed file costs one file,
however many there are. No events and no loop live here: `files.py` says when to look.

Theory of operation. Each file has its last `Reading`; each object has its owner, the first file by name that holds it. After some files were read again,
the objects that they held or hold now are judged afresh, and differences are said.

*Bad news waits a moment.* Saving in place first empties a file and then fills it, and some editors remove before they write; read at that moment, objects
would be taken away that are there. So a removal is believed after `REMOVAL_HOLD`, unless another file was renamed over it (that is atomic), and a broken text
after `BROKEN_HOLD`. Good news never waits. And where a part of a file can't be read, what the file held before stays.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from weirkeeper.feeds.base import FILE, Cause, Seen
from weirkeeper.feeds.decode import Decoder, sentence
from weirkeeper.feeds.names import CHART, counts, manifests
from weirkeeper.feeds.reading import Reading, duplicate, place_ref, read_file, stamp_of
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.finding import Finding, Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin

REMOVAL_HOLD = 0.02
BROKEN_HOLD = 0.1

EMPTY = Reading(None, {}, {}, broken=False)


class Place(NamedTuple):
    """Where an object is written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Said(NamedTuple):
    """What was last offered about a ref."""

    object: KubeObject | None
    problem: Finding | None


class FileTree:
    """The state of one folder, or of one file. Used by one caller at a time."""

    def __init__(self, root: Path, decoder: Decoder) -> None:
        self._root = str(root)
        self._decoder = decoder
        self._files: dict[str, Reading] = {}
        self._folders: dict[str, int] = {}  # folders that hold files of ours, and how many
        self._owners: dict[Ref, list[str]] = {}  # every file that holds the object, in order of name
        self._duplicates: dict[Ref, tuple[Ref, ...]] = {}
        self._said: dict[Ref, Said] = {}
        self._held: dict[str, float] = {}  # bad news, and when it is believed

    @property
    def root(self) -> str:
        """The path of the folder or file."""
        return self._root

    @property
    def due(self) -> float | None:
        """When `look_again` has to be called, or never."""
        return min(self._held.values(), default=None)

    @property
    def files(self) -> int:
        """How many files are known."""
        return len(self._files)

    def place(self, ref: Ref) -> Place | None:
        """The file and line where an object is written; the one that is used where there are several."""
        owners = self._owners.get(ref)
        if not owners:
            return None
        return Place(self._name(owners[0]), self._files[owners[0]].objects[ref].line)

    def scan(self, now: float) -> list[Seen]:
        """Look at every file's stamp, and read those that are new or other. What is not there any more is absent, not deleted."""
        if not Path(self._root).exists():
            return self._lost()
        there = dict.fromkeys(self._listed(self._root))
        gone = [path for path in self._files if path not in there]
        seen = self._look([*there, *gone], now, Cause.RELIST_ABSENT, believe=True)
        lost = place_ref(self._root, 0)
        if self._said.pop(lost, None) is not None:
            seen.append(Seen(ref=lost, cause=Cause.DELETED))
        return seen

    def touch(self, paths: Iterable[str], now: float) -> list[Seen]:
        """Look at what may have changed: files, folders that came, folders that went."""
        if not Path(self._root).exists():
            return self._lost()
        return self._look(dict.fromkeys(self._concerned(paths)), now, Cause.DELETED, believe=False)

    def look_again(self, now: float) -> list[Seen]:
        """Believe the bad news whose time has come."""
        ripe = [path for path, due in self._held.items() if due <= now]
        if ripe and not Path(self._root).exists():
            return self._lost()
        return self._look(ripe, now, Cause.DELETED, believe=True)

    def _lost(self) -> list[Seen]:
        """The whole folder is gone: what was read stays, and somebody should know."""
        self._held.clear()
        ref = place_ref(self._root, 0)
        if ref in self._said:
            return []
        problem = Finding(
            severity=Severity.ERROR,
            reason=Reason.UNREADABLE_FILE,
            for_user=sentence(f"{self._root}: there is no such file or folder; what was read last stays in force"),
            remedy=sentence("put it back"),
            origin=Origin(ref=ref),
        )
        self._said[ref] = Said(None, problem)
        return [Seen(ref=ref, problem=problem)]

    def _concerned(self, paths: Iterable[str]) -> Iterator[str]:
        for path in paths:
            if path == self._root or self._counts(path):
                yield path
            elif path in self._folders:  # a folder that went, or that came back as another
                yield from self._under(path)
            if os.path.isdir(path):  # noqa: PTH112
                yield from self._listed(path)

    def _under(self, folder: str) -> list[str]:
        return [path for path in self._files if path.startswith(f"{folder}{os.sep}")]

    def _counts(self, path: str) -> bool:
        return path == self._root or (counts(os.path.relpath(path, self._root)) and not self._in_chart(path))

    def _in_chart(self, path: str) -> bool:
        folder = os.path.dirname(path)  # noqa: PTH120
        while len(folder) >= len(self._root):
            if os.path.exists(os.path.join(folder, CHART)):  # noqa: PTH110, PTH118
                return True
            folder = os.path.dirname(folder)  # noqa: PTH120
        return False

    def _listed(self, path: str) -> list[str]:
        if path == self._root and os.path.isfile(path):  # noqa: PTH113
            return [path]
        relative = os.path.relpath(path, self._root)
        if relative != "." and not counts(os.path.join(relative, "any.yaml")):  # noqa: PTH118
            return []
        try:
            return list(manifests(path))
        except OSError:
            return []

    def _look(self, paths: Iterable[str], now: float, cause: Cause, *, believe: bool) -> list[Seen]:
        concerned: dict[Ref, None] = {}
        places: dict[Ref, Finding | None] = {}
        for path in paths:
            before = self._files.get(path, EMPTY)
            after = self._read(path, before)
            if after is None:
                self._held.pop(path, None)
                continue
            hold = 0.0 if believe else _hold(before, after)
            if hold:
                self._held[path] = now + hold
                continue
            self._held.pop(path, None)
            after = _with_last_good(before, after)
            self._put(path, before, after)
            concerned.update(dict.fromkeys((*before.objects, *after.objects)))
            places |= dict.fromkeys(before.places.keys() - after.places.keys())
            places |= after.places
        return [*self._judged(concerned, places, cause), *self._said_of_places(places)]

    def _read(self, path: str, before: Reading) -> Reading | None:
        """What the file holds now; nothing where it is as it was."""
        stamp = stamp_of(path)
        if stamp is None:
            return EMPTY if path in self._files else None
        if stamp == before.stamp:
            return None
        return read_file(path, self._name(path), stamp, self._decoder)

    def _name(self, path: str) -> str:
        return os.path.basename(path) if path == self._root else os.path.relpath(path, self._root)  # noqa: PTH119

    def _put(self, path: str, before: Reading, after: Reading) -> None:
        if after.stamp is None:
            del self._files[path]
        else:
            self._files[path] = after
        self._count_folders(path, (after.stamp is not None) - (before.stamp is not None))
        for ref in before.objects.keys() - after.objects.keys():
            self._owners[ref].remove(path)
        for ref in after.objects.keys() - before.objects.keys():
            owners = self._owners.setdefault(ref, [])
            owners.append(path)
            owners.sort()

    def _count_folders(self, path: str, step: int) -> None:
        folder = os.path.dirname(path)  # noqa: PTH120
        while step and len(folder) > len(self._root):
            self._folders[folder] = self._folders.get(folder, 0) + step
            if not self._folders[folder]:
                del self._folders[folder]
            folder = os.path.dirname(folder)  # noqa: PTH120

    def _judged(self, refs: Iterable[Ref], places: dict[Ref, Finding | None], cause: Cause) -> Iterator[Seen]:
        for ref in refs:
            owners = [path for path in self._owners[ref] if path not in self._held] or self._owners[ref]
            self._judge_duplicates(ref, owners, places)
            if not owners:
                del self._owners[ref]
                if self._said.pop(ref, None) is not None:
                    yield Seen(ref=ref, cause=cause)
                continue
            entry = self._files[owners[0]].objects[ref]
            now, before = Said(entry.object, entry.problem), self._said.get(ref)
            if now != before:
                self._said[ref] = now
                added = Cause.ADDED if before is None else Cause.CHANGED
                yield Seen(ref=ref, object=now.object, problem=now.problem, cause=added)

    def _judge_duplicates(self, ref: Ref, owners: list[str], places: dict[Ref, Finding | None]) -> None:
        known = self._duplicates.pop(ref, ())
        if len(owners) < 2 and not known:
            return
        places |= {place: None for place in known if place not in places}
        found = {}
        for path in owners[1:]:
            line, first = self._files[path].objects[ref].line, self.place(ref)
            assert first is not None
            found[place_ref(self._name(path), line, 1)] = duplicate(ref, self._name(path), line, *first)
        places |= found
        if found:
            self._duplicates[ref] = tuple(found)

    def _said_of_places(self, places: dict[Ref, Finding | None]) -> Iterator[Seen]:
        for ref, problem in places.items():
            assert ref.kind == FILE
            before = self._said.pop(ref, None)
            if problem is not None:
                self._said[ref] = Said(None, problem)
            if (before.problem if before else None) != problem:
                cause = Cause.DELETED if problem is None else Cause.ADDED if before is None else Cause.CHANGED
                yield Seen(ref=ref, problem=problem, cause=cause)


def _hold(before: Reading, after: Reading) -> float:
    """How long to wait before what was read is believed: it may be half of what is being written."""
    if after.broken:
        return BROKEN_HOLD
    replaced = after.stamp is not None and before.stamp is not None and after.stamp.inode != before.stamp.inode
    loses = not (before.objects.keys() <= after.objects.keys())
    unwritten = after.stamp is not None and after.stamp.size == 0
    return REMOVAL_HOLD if (loses or unwritten) and not replaced else 0.0


def _with_last_good(before: Reading, after: Reading) -> Reading:
    """Where a part could not be read, the objects that are missing may be in it: they stay."""
    if not after.broken:
        return after
    return after._replace(objects={**before.objects, **after.objects})
