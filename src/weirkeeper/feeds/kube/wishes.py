"""Which Secrets and ConfigMaps are asked for, by which watches, and what is known of each: no object that nobody reads is ever kept.

Comes in: the names that are read now, news of the watches, the time. Goes out: the watches to run (`Scope`), and what was seen. No IO, no clock.

One name is watched by a field selector on it. In a namespace where more than `CROWD` names are read, the names known by then are watched together: Secrets
of type kubernetes.io/tls by one selector on the type, and only if that does not have them all, Secrets of all other types by a second one; ConfigMaps by one watch of
the namespace. Names that come later are watched singly until there is a crowd of them again. Where more than `CROWD_EVERYWHERE` Secrets are watched singly all over
the cluster, one watch of the type kubernetes.io/tls in all namespaces takes over, and those that it lacks are watched singly: a connection for each of
thousands would cost more than everything else. A server that refuses that watch gets the others.

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
from weirkeeper.kube.errors import ApiFailure, Forbidden, Unreachable
from weirkeeper.kube.mirror import Absent, Applied, Back, Deleted, Listed, Lost, News, Unreadable
from weirkeeper.kube.resources import GroupKind, equals
from weirkeeper.model.ids import Ref

CROWD = 50
CROWD_EVERYWHERE = 200
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

    __slots__ = ("error", "has", "listed")

    def __init__(self) -> None:
        self.listed = False
        self.error: ApiFailure | None = None
        self.has: set[Ref] = set()


class Wish:
    """One name that is, or was a moment ago, read."""

    __slots__ = ("answer", "deleted", "doubted", "grouped", "possible", "read_until", "serial", "wide")

    def __init__(self, serial: int, *, possible: bool) -> None:
        self.serial, self.possible = serial, possible
        self.answer = Answer.PENDING if possible else Answer.ABSENT
        self.grouped = self.wide = self.deleted = False
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

    def __init__(
        self,
        *,
        everywhere: bool = False,
        crowd: int = CROWD,
        crowd_everywhere: int = CROWD_EVERYWHERE,
        linger: float = LINGER,
        again: float = AGAIN,
    ) -> None:
        """`everywhere`: whether all namespaces may be watched at once."""
        self._everywhere, self._crowd, self._crowd_everywhere = everywhere, crowd, crowd_everywhere
        self._linger, self._again = linger, again
        self._wide: Scope | None = None
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
                place.wishes[ref] = Wish(next(self._serial), possible=_possible(ref))
                if not place.wishes[ref].possible:
                    seen.append(Seen(ref=ref, cause=Cause.NOT_FOUND))
            place.wishes[ref].read_until = None
        self._gather_all(kind)
        return seen

    def _gather_all(self, kind: GroupKind) -> None:
        places = [place for (of, _), place in self._places.items() if of == kind]
        if self._everywhere and kind == SECRET:
            single = sum(
                wish.possible and not wish.grouped and not wish.wide for at in places for wish in at.wishes.values()
            )
            if single > self._crowd_everywhere:
                self._wide = Scope(kind, "", type_selector=equals("type", TLS), serial=next(self._serial))
                for wish in (wish for at in places for wish in at.wishes.values()):
                    wish.wide, wish.grouped = wish.possible, False
        for place in places:
            self._gather(place)

    def _gather(self, place: Place) -> None:
        """Watch the single names together where there is a crowd of them."""
        single = [wish for wish in place.wishes.values() if wish.possible and not wish.grouped and not wish.wide]
        if len(single) > self._crowd:
            place.serial = next(self._serial)
            for wish in place.wishes.values():
                wish.grouped = wish.possible and not wish.wide

    def _narrow(self) -> None:
        """The cluster cannot be watched as a whole."""
        self._everywhere, self._wide = False, None
        for place in self._places.values():
            for wish in place.wishes.values():
                wish.wide = False
        self._gather_all(SECRET)

    def scopes(self) -> frozenset[Scope]:
        """The watches that should run; a scope that is left out is over."""
        wide = () if self._wide is None else (self._wide,)
        found = (scope for at, place in self._places.items() for scope in self._of_place(at, place))
        wished = frozenset((*wide, *found))
        for scope in self._watched.keys() - wished:
            del self._watched[scope]
        for scope in wished - self._watched.keys():
            self._watched[scope] = Watched()
        return wished

    def _of_place(self, at: tuple[GroupKind, str], place: Place) -> Iterator[Scope]:
        kind, namespace = at
        grouped = [ref for ref, wish in place.wishes.items() if wish.grouped]
        for ref, wish in place.wishes.items():
            if wish.possible and not wish.grouped and (not wish.wide or self._is_lacked(ref)):
                yield Scope(kind, namespace, name=ref.name, serial=wish.serial)
        if not grouped:
            return
        first, *others = self._together(kind, namespace, place.serial)
        yield first
        told = self._watched.get(first)
        if told is not None and told.listed and any(ref not in told.has for ref in grouped):
            yield from others

    def _is_lacked(self, ref: Ref) -> bool:
        """Whether the watch of all namespaces has listed and does not have it."""
        told = None if self._wide is None else self._watched.get(self._wide)
        return told is not None and told.listed and ref not in told.has

    def _together(self, kind: GroupKind, namespace: str, serial: int) -> tuple[Scope, ...]:
        selectors = (equals("type", TLS), f"type!={TLS}") if kind == SECRET else ("",)
        return tuple(Scope(kind, namespace, type_selector=selector, serial=serial) for selector in selectors)

    def _covering(self, ref: Ref, wish: Wish, kind: GroupKind, place: Place) -> tuple[Scope, ...]:
        if wish.grouped:
            return self._together(kind, ref.namespace, place.serial)
        single = Scope(kind, ref.namespace, name=ref.name, serial=wish.serial)
        return (self._wide, single) if wish.wide and self._wide is not None else (single,)

    # News

    def told(self, scope: Scope, news: Sequence[News], now: float) -> list[Seen]:
        """What is seen now, of the names that somebody reads."""
        watched = self._watched.get(scope)
        if watched is None:
            return []  # it is over, and has not noticed yet
        seen: list[Seen] = []
        for one in news:
            match one:
                case Applied():
                    seen += self._has(watched, scope.kind, Seen(ref=one.ref, object=one.object))
                case Unreadable():
                    seen += self._has(watched, scope.kind, unreadable(one))
                case Deleted() | Absent():
                    watched.has.discard(one.ref)
                    seen += self._left(scope.kind, (one.ref,), now, deleted=isinstance(one, Deleted))
                case Listed():
                    watched.listed = True
                    seen += self._left(scope.kind, self._refs(scope), now)
                case Lost():
                    watched.error = one.error
                    if scope == self._wide and not watched.listed and isinstance(one.error, Forbidden):
                        self._narrow()
                case Back():
                    watched.error = None
        return seen

    def _wish(self, kind: GroupKind, ref: Ref) -> tuple[Place, Wish] | None:
        place = self._places.get((kind, ref.namespace))
        wish = None if place is None else place.wishes.get(ref)
        return None if place is None or wish is None else (place, wish)

    def _refs(self, scope: Scope) -> tuple[Ref, ...]:
        """The names that a scope is there for."""
        if scope == self._wide:
            return tuple(ref for place in self._places.values() for ref, wish in place.wishes.items() if wish.wide)
        place = self._places.get((scope.kind, scope.namespace), Place())
        if not scope.name:
            return tuple(ref for ref, wish in place.wishes.items() if wish.grouped)
        return tuple(ref for ref, wish in place.wishes.items() if not wish.grouped and ref.name == scope.name)

    def _has(self, watched: Watched, kind: GroupKind, seen: Seen) -> list[Seen]:
        found = self._wish(kind, seen.ref)
        if found is None:
            return []
        _, wish = found
        watched.has.add(seen.ref)
        wish.answer, wish.doubted, wish.deleted = Answer.FOUND, None, False
        return [seen]

    def _left(self, kind: GroupKind, refs: Iterable[Ref], now: float, *, deleted: bool = False) -> list[Seen]:
        """What is to be said of names that a scope does not have: nothing, unless every scope that could have one has listed and lacks it."""
        seen: list[Seen] = []
        for ref in refs:
            found = self._wish(kind, ref)
            if found is None:
                continue
            place, wish = found
            wish.deleted = wish.deleted or deleted
            if wish.answer is Answer.ABSENT or not self._lacking(ref, wish, kind, place):
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
        return tuple(ref for _, _, ref, _ in self._unanswered())

    def waiting(self) -> Iterator[tuple[Ref, ApiFailure | None]]:
        """The same, one by one, each with what is in the way; a server that is away is not."""
        for kind, place, ref, wish in self._unanswered():
            error = self._error(ref, wish, kind, place)
            yield ref, None if isinstance(error, Unreachable) else error

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

    def _unanswered(self) -> Iterator[tuple[GroupKind, Place, Ref, Wish]]:
        for (kind, _), place in self._places.items():
            for ref, wish in place.wishes.items():
                if wish.answer is Answer.PENDING and wish.read_until is None:
                    yield kind, place, ref, wish

    def _error(self, ref: Ref, wish: Wish, kind: GroupKind, place: Place) -> ApiFailure | None:
        covering = [self._watched.get(scope) for scope in self._covering(ref, wish, kind, place)]
        return next((watched.error for watched in covering if watched is not None and watched.error is not None), None)


def _possible(ref: Ref) -> bool:
    """Whether an object of this name can exist (RFC 1123 subdomain; a label for the namespace)."""
    return _NAME.fullmatch(ref.name) is not None and _NAMESPACE.fullmatch(ref.namespace) is not None
