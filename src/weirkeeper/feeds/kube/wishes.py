"""Which Secrets and ConfigMaps are asked for, by which watches, and what is known of each: no object that nobody reads is ever kept.

Comes in: the names that are read now, news of the watches, the time. Goes out: the watches to run (`Scope`), and what was seen. No IO, no clock.

One name is watched by a field selector on it. In a namespace where more than `CROWD` names are read, the names known by then are watched together: Secrets
of type kubernetes.io/tls by one selector on the type, and only if that does not have them all, Secrets of all other types by a second one; ConfigMaps by one watch of
the namespace. Names that come later are watched singly until there is a crowd of them again.

Pending is not missing. A name is *absent* only when every watch that could have it has listed completely; a refusal (401, 403), a lost watch or an end of watching
changes nothing of what is known. What was there and is missing from a new list goes only when a second list, `AGAIN` seconds later, lacks it too;
what the server reports as deleted goes at once.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import count
from typing import NamedTuple

from weirkeeper.feeds.base import Cause, Seen
from weirkeeper.feeds.brake import AGAIN
from weirkeeper.feeds.kube.problems import unreadable
from weirkeeper.kube.errors import ApiFailure, Unreachable
from weirkeeper.kube.mirror import Absent, Applied, Back, Deleted, Listed, Lost, News, Unreadable
from weirkeeper.kube.resources import GroupKind, equals
from weirkeeper.model.ids import Ref

CROWD = 50
LINGER = 60.0
"""Seconds that a name stays watched after the last reader went: what is edited often comes back."""
TLS = "kubernetes.io/tls"
SECRET: GroupKind = ("", "Secret")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


class Answer(Enum):
    """What is known of a name."""

    PENDING = "pending"
    FOUND = "found"
    ABSENT = "absent"


class Scope(NamedTuple):
    """One watch: of a name, or of several in a namespace under a field selector. `serial` tells it from an earlier one of the same text."""

    kind: GroupKind
    namespace: str
    name: str = ""
    type_selector: str = ""
    serial: int = 0

    @property
    def field_selector(self) -> str:
        """What to ask the server for."""
        return equals("metadata.name", self.name) if self.name else self.type_selector


class Watched:
    """What a scope has told."""

    __slots__ = ("error", "has", "listed", "lists")

    def __init__(self) -> None:
        self.listed = False
        self.lists = 0
        self.error: ApiFailure | None = None
        self.has: set[Ref] = set()


class Wish:
    """One name that is, or was a moment ago, read."""

    __slots__ = ("answer", "deleted", "doubted", "grouped", "read_until", "serial")

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.answer = Answer.PENDING
        self.grouped = self.deleted = False
        self.doubted: float | None = None  # when a list lacked it that was there before
        self.read_until: float | None = None  # None: it is read now


class Place:
    """The wishes of one kind in one namespace."""

    __slots__ = ("serial", "wishes")

    def __init__(self) -> None:
        self.wishes: dict[Ref, Wish] = {}
        self.serial = 0


class Wishes:
    """All wishes. `wish` says what is read; `scopes` what to watch for it; `told` takes the news of a scope."""

    def __init__(self, *, crowd: int = CROWD, linger: float = LINGER, again: float = AGAIN) -> None:
        self._crowd, self._linger, self._again = crowd, linger, again
        self._places: dict[tuple[GroupKind, str], Place] = {}
        self._watched: dict[Scope, Watched] = {}
        self._serial = count(1)

    def wish(self, kind: GroupKind, refs: frozenset[Ref], now: float) -> list[Seen]:
        """These are read now, and no others of the kind. Answers at once for names that no object can have."""
        seen: list[Seen] = []
        places = [place for (of, _), place in self._places.items() if of == kind]
        for place in places:
            for ref, wish in place.wishes.items():
                if wish.read_until is None and ref not in refs:
                    wish.read_until = now
        for ref in refs:
            place = self._places.setdefault((kind, ref.namespace), Place())
            if ref not in place.wishes:
                place.wishes[ref] = Wish(next(self._serial))
                if not _possible(ref):
                    place.wishes[ref].answer = Answer.ABSENT
                    seen.append(Seen(ref=ref, cause=Cause.NOT_FOUND))
            place.wishes[ref].read_until = None
        for (of, _), place in self._places.items():
            if of == kind:
                self._gather(place)
        return seen

    def _gather(self, place: Place) -> None:
        """Watch the single names together where there is a crowd of them."""
        single = [wish for ref, wish in place.wishes.items() if not wish.grouped and _possible(ref)]
        if len(single) > self._crowd:
            place.serial = next(self._serial)
            for ref, wish in place.wishes.items():
                wish.grouped = _possible(ref)

    def scopes(self) -> frozenset[Scope]:
        """The watches that should run; a scope that is left out is over."""
        wished = frozenset(scope for at, place in self._places.items() for scope in self._of_place(at, place))
        for scope in self._watched.keys() - wished:
            del self._watched[scope]
        for scope in wished - self._watched.keys():
            self._watched[scope] = Watched()
        return wished

    def _of_place(self, at: tuple[GroupKind, str], place: Place) -> Iterator[Scope]:
        kind, namespace = at
        grouped = [ref for ref, wish in place.wishes.items() if wish.grouped]
        for ref, wish in place.wishes.items():
            if not wish.grouped and _possible(ref):
                yield Scope(kind, namespace, name=ref.name, serial=wish.serial)
        if not grouped:
            return
        first, *others = self._together(kind, namespace, place.serial)
        yield first
        told = self._watched.get(first)
        if told is not None and told.listed and any(ref not in told.has for ref in grouped):
            yield from others

    def _together(self, kind: GroupKind, namespace: str, serial: int) -> tuple[Scope, ...]:
        selectors = (equals("type", TLS), f"type!={TLS}") if kind == SECRET else ("",)
        return tuple(Scope(kind, namespace, type_selector=selector, serial=serial) for selector in selectors)

    def _covering(self, ref: Ref, wish: Wish, kind: GroupKind, place: Place) -> tuple[Scope, ...]:
        if wish.grouped:
            return self._together(kind, ref.namespace, place.serial)
        return (Scope(kind, ref.namespace, name=ref.name, serial=wish.serial),)

    # News

    def told(self, scope: Scope, news: Sequence[News], now: float) -> list[Seen]:
        """What is seen now, of the names that somebody reads."""
        watched, place = self._watched.get(scope), self._places.get((scope.kind, scope.namespace))
        if watched is None or place is None:
            return []  # it is over, and has not noticed yet
        seen: list[Seen] = []
        for one in news:
            match one:
                case Applied():
                    seen += self._has(watched, place, one.ref, Seen(ref=one.ref, object=one.object))
                case Unreadable():
                    seen += self._has(watched, place, one.ref, unreadable(one))
                case Deleted() | Absent():
                    watched.has.discard(one.ref)
                    if one.ref in place.wishes:
                        place.wishes[one.ref].deleted |= isinstance(one, Deleted)
                    seen += self._left(scope, place, (one.ref,), now)
                case Listed():
                    watched.listed, watched.lists = True, watched.lists + 1
                    seen += self._left(scope, place, self._refs(scope, place), now)
                case Lost():
                    watched.error = one.error
                case Back():
                    watched.error = None
        return seen

    def _refs(self, scope: Scope, place: Place) -> tuple[Ref, ...]:
        if not scope.name:
            return tuple(ref for ref, wish in place.wishes.items() if wish.grouped)
        return tuple(ref for ref, wish in place.wishes.items() if not wish.grouped and ref.name == scope.name)

    def _has(self, watched: Watched, place: Place, ref: Ref, seen: Seen) -> list[Seen]:
        wish = place.wishes.get(ref)
        if wish is None:
            return []
        watched.has.add(ref)
        wish.answer, wish.doubted, wish.deleted = Answer.FOUND, None, False
        return [seen]

    def _left(self, scope: Scope, place: Place, refs: Iterable[Ref], now: float) -> list[Seen]:
        """What is to be said of names that a scope does not have: nothing, unless every scope that could have one has listed and lacks it."""
        seen: list[Seen] = []
        for ref in refs:
            wish = place.wishes.get(ref)
            if wish is None or wish.answer is Answer.ABSENT or not self._lacking(ref, wish, scope.kind, place):
                continue
            if wish.answer is Answer.FOUND and not wish.deleted and not self._twice(wish, now):
                continue
            wish.answer, wish.doubted, wish.deleted = Answer.ABSENT, None, False
            seen.append(Seen(ref=ref, cause=Cause.NOT_FOUND))
        return seen

    def _lacking(self, ref: Ref, wish: Wish, kind: GroupKind, place: Place) -> bool:
        covering = [self._watched.get(scope) for scope in self._covering(ref, wish, kind, place)]
        return all(watched is not None and watched.listed and ref not in watched.has for watched in covering)

    def _twice(self, wish: Wish, now: float) -> bool:
        if wish.doubted is None:
            wish.doubted = now
        return now - wish.doubted >= self._again

    # Time, and those who ask

    def forget(self, now: float) -> list[Seen]:
        """What nobody has read for a while: it is no longer watched, and goes."""
        seen: list[Seen] = []
        for at, place in list(self._places.items()):
            old = [ref for ref, wish in place.wishes.items() if self._is_old(wish, now)]
            for ref in old:
                del place.wishes[ref]
                seen.append(Seen(ref=ref, cause=Cause.FORGOTTEN))
            if not place.wishes:
                del self._places[at]
        return seen

    def _is_old(self, wish: Wish, now: float) -> bool:
        return wish.read_until is not None and now - wish.read_until >= self._linger

    def doubted(self, now: float) -> frozenset[Scope]:
        """The scopes that should list again, because something they had is missing."""
        return frozenset(
            scope
            for (kind, _), place in self._places.items()
            for ref, wish in place.wishes.items()
            if wish.doubted is not None and now - wish.doubted >= self._again
            for scope in self._covering(ref, wish, kind, place)
        )

    @property
    def pending(self) -> tuple[Ref, ...]:
        """What is read now and not answered yet."""
        return tuple(ref for _, ref, _ in self._unanswered())

    @property
    def refused(self) -> dict[Ref, ApiFailure]:
        """What is read now and cannot be had, with the reason; what was known of it before holds. A server that is away refuses nothing."""
        found: dict[Ref, ApiFailure] = {}
        for (kind, _), place in self._places.items():
            for ref, wish in place.wishes.items():
                error = self._error(ref, wish, kind, place) if wish.read_until is None else None
                if error is not None and not isinstance(error, Unreachable):
                    found[ref] = error
        return found

    def _unanswered(self) -> Iterator[tuple[GroupKind, Ref, Wish]]:
        for (kind, _), place in self._places.items():
            for ref, wish in place.wishes.items():
                if wish.answer is Answer.PENDING and wish.read_until is None:
                    yield kind, ref, wish

    def _error(self, ref: Ref, wish: Wish, kind: GroupKind, place: Place) -> ApiFailure | None:
        covering = [self._watched.get(scope) for scope in self._covering(ref, wish, kind, place)]
        return next((watched.error for watched in covering if watched is not None and watched.error is not None), None)


def _possible(ref: Ref) -> bool:
    """Whether an object of this name can exist (RFC 1123 subdomain; a label for the namespace)."""
    return _NAME.fullmatch(ref.name) is not None and _NAMESPACE.fullmatch(ref.namespace) is not None
