"""What a reflector knows and does next: a state machine without a clock, a network or chance of its own.

Comes in: decoded events and pages, failures, ends, and the time. Goes out: what to ask the server next, and news. `watch.py` does the asking. What is kept of
each object is its resourceVersion alone.

Rules of this file, by client-go's reflector (k8s.io/client-go/tools/cache/reflector.go) where it does not say otherwise:

- First a list, then watches that resume from where the last one ended. The list is streamed (KEP-3157: `sendInitialEvents`, closed by an annotated bookmark)
  and fetched in pages where the server does not do that; what was learnt about the server is kept.
- Every list asks for the newest state (resourceVersion ""), never for any state ("0"): an API server that lags could otherwise take away what is there.
  So a list can be believed even if its resourceVersion is lower than what was seen before: etcd was restored.
  After that the same resourceVersion may stand for another state of an object: everything is told anew.
- Objects of a list are told while it comes in: each is true by itself. What is missing is told only by a list that came to its end.
- A watch resumes from a list's, a bookmark's or an event's resourceVersion. An event that is not newer is a repetition and told to nobody; where it does not fit what
  is held, the server's history is not ours, and a list settles it. resourceVersions of one kind can be compared as numbers (KEP-5504).
- 410, as an answer or as an ERROR event, means a list. Every other failure means the same question again, later.
- Lists of one reflector begin at least `Pace.list_gap` seconds apart, always.
- A watch asks the server to end it after about half a minute, and the server sends a bookmark just before: so a watch that has not ended when it should have is
  dead, however alive its connection looks, and that is known without any other traffic. A watch that ended without a single line is followed by a
  look at the server's resourceVersion now and then: after a restore of etcd, a watch from the future is silent for ever.
- A list that lacks something that was there, with no word of a deletion, is told and then looked at again, `Pace.again` seconds later and three times more: what a server
  lacked by mistake comes back without waiting for the next 410.
- Nothing that a server refuses (401, 403, 404) says that anything is gone.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from weirkeeper.kube.backoff import Backoff, Chance
from weirkeeper.kube.decode import Bookmark, Changed, Item, Page
from weirkeeper.kube.errors import (
    ApiFailure,
    BadAnswer,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    TooManyRequests,
    Unreachable,
)
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.ids import Ref

T = TypeVar("T", bound=KubeObject)
Version: TypeAlias = int | str
"""A resourceVersion: a number wherever it is one."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """Base of all news."""


class Applied(Told, frozen=True, gc=False):
    """An object is there, and is not as it was told last. `listed`: a list said so, not a watch."""

    ref: Ref
    object: KubeObject
    listed: bool = False


class Unreadable(Told, frozen=True, gc=False):
    """An object is there, and does not fit its type."""

    ref: Ref
    why: str
    uid: str = ""


class Deleted(Told, frozen=True, gc=False):
    """The server said that an object was deleted (or left the selector)."""

    ref: Ref


class Absent(Told, frozen=True, gc=False):
    """A complete list does not have an object that was there before."""

    ref: Ref


class Listed(Told, frozen=True, gc=False):
    """Everything that a complete list has to say has been told."""


class Lost(Told, frozen=True, gc=False):
    """The server does not answer, or refuses; what was told stands."""

    error: ApiFailure


class Back(Told, frozen=True, gc=False):
    """The server answers again."""


News: TypeAlias = Applied | Unreadable | Deleted | Absent | Listed | Lost | Back


class Pause(NamedTuple):
    """Wait so many seconds."""

    seconds: float


class Stream(NamedTuple):
    """Watch with `sendInitialEvents`, for at most so many seconds."""

    seconds: int


class Pages(NamedTuple):
    """List, page by page."""


class Follow(NamedTuple):
    """Watch from this resourceVersion, for so many seconds."""

    resource_version: str
    seconds: int


class Peek(NamedTuple):
    """List one object: only the list's resourceVersion counts."""


Action: TypeAlias = Pause | Stream | Pages | Follow | Peek


class Pace(NamedTuple):
    """How patient a reflector is; all in seconds. The defaults notice a dead watch within 45 s of its beginning."""

    watch: tuple[int, int] = (28, 38)
    """A watch's `timeoutSeconds` is drawn between these."""
    grace: float = 7.0
    """How much later than that the end of a watch may come."""
    initial: tuple[int, int] = (300, 600)
    """The same for a watch that begins with all objects."""
    silence: float = 10.0
    """The longest silence among the initial objects."""
    page: float = 30.0
    """The longest that one page may take."""
    head: float = 10.0
    """The longest until a watch begins to be answered."""
    list_gap: float = 4.0
    first: float = 0.25
    most: float = 12.0
    forget: float = 5.0
    """What went well for so long has no failures behind it."""
    again: tuple[float, ...] = (10.0, 20.0, 40.0, 80.0)
    """When to list again after a list that lacked something."""
    peek: float = 60.0
    """How often to look at the server's resourceVersion while watches are silent."""


STUBBORN = 5
"""So many failed watches in a row are followed by a list."""
PASSING = 3
"""So many failures in a row are told, even if each alone would be nothing to speak of."""
SHORT = 1.0
"""A watch that lived less, without a line, failed."""


class Mirror(Generic[T]):
    """The state of one (kind, namespace, selectors). One request is under way at a time: `next` begins it, then its answers come in, then `next` again."""

    def __init__(self, ref_of: Callable[[str, str], Ref], pace: Pace, chance: Chance) -> None:
        self._ref_of, self._pace, self._chance = ref_of, pace, chance
        self._backoff = Backoff(first=pace.first, most=pace.most, forget=pace.forget, chance=chance)
        self._held: dict[Ref, Version] = {}
        self._seen: dict[Ref, Version] = {}  # by the list that is under way
        self._at = ""
        self._must_list, self._must_peek, self._unasked = True, False, False
        self._streams, self._doubted = True, False
        self._listing, self._opened, self._lost = False, False, False
        self._action: Action = Pause(0.0)
        self._began = self._not_before = 0.0
        self._again: list[float] = []  # when to list again, the next first
        self._last_list = self._last_peek = float("-inf")
        self._lines = 0
        self.over = False
        """Whether the request under way has nothing more to say that matters: leave it."""
        self.deadline = 0.0
        """When the request under way has taken too long; see `due`."""
        self.lists = 0
        """How many lists were begun, streamed or in pages."""

    @property
    def held(self) -> int:
        """How many objects are known to be there."""
        return len(self._held)

    @property
    def listing(self) -> bool:
        """Whether a list is under way that is not yet complete."""
        return self._listing and not self.over

    @property
    def resource_version(self) -> str:
        """Where the next watch begins; empty before the first list."""
        return self._at

    def next(self, now: float) -> Action:
        """What to do now."""
        self._must_list = self._must_list or self._is_time_again(now)
        earliest = max(self._not_before, self._last_list + self._pace.list_gap if self._listing_next else 0.0)
        if now < earliest:
            return Pause(earliest - now)
        self._began, self._lines, self.over = now, 0, False
        self._listing, self._opened, self._unasked = self._must_list, False, False
        self._action = self._begin(now)
        return self._action

    @property
    def _listing_next(self) -> bool:
        return (self._must_list and not self._doubted) or self._must_peek

    def _begin(self, now: float) -> Action:
        if self._must_list:
            self._last_list = now
            self.lists += not self._doubted  # the pages after a refused stream are the same list
            self._seen = {}
            if self._streams and not self._doubted:
                self.deadline = now + self._pace.silence
                return Stream(self._between(self._pace.initial))
            return Pages()
        if self._must_peek:
            self._last_list = self._last_peek = now
            self._must_peek = False
            self.lists += 1
            return Peek()
        seconds = self._between(self._pace.watch)
        self.deadline = self._or_again(now + seconds + self._pace.grace)
        return Follow(self._at, seconds)

    def _between(self, bounds: tuple[int, int]) -> int:
        return round(bounds[0] + (bounds[1] - bounds[0]) * self._chance())

    @property
    def failing(self) -> bool:
        """Whether the last thing that was asked failed."""
        return self._backoff.failures > 0

    def hurry(self, now: float) -> None:
        """The next question need not wait for its back-off: somebody else has decided that it may go now."""
        self._not_before = min(self._not_before, now)

    # What the server says

    def event(self, said: Changed[T] | Bookmark | ApiFailure, now: float) -> list[News]:
        """One line of a watch."""
        if isinstance(said, ApiFailure):
            self.over = True
            return self.failed(said, now)
        self._lines += 1
        news = self._answered(now)
        if self._listing:
            self.deadline = max(self.deadline, now + self._pace.silence)
            news += self._initial(said, now)
        elif isinstance(said, Bookmark):
            news += self._bookmark(said)
        else:
            news += self._changed(said)
        return news

    def _initial(self, said: Changed[T] | Bookmark, now: float) -> list[News]:
        if isinstance(said, Changed):
            return self._take(said, listed=True)
        if said.ends_initial:
            news = self._complete(said.resource_version, now)
            # the rest of this connection is a watch like any other, only that nobody has asked the server to end it soon
            self.deadline = self._or_again(now + self._between(self._pace.watch))
            return news
        return self._refused_stream(now)  # the server has ignored what it does not know

    def _bookmark(self, said: Bookmark) -> list[News]:
        if _older(said.resource_version, self._at):
            self._distrust()
            self.over = True
        elif said.resource_version:
            self._at = said.resource_version
        return []

    def _changed(self, said: Changed[T]) -> list[News]:
        version = _version(said.item.resource_version)
        if _not_newer(version, _version(self._at)):
            if not self._repeats(said, version):
                self._relist()
            return []
        self._at = said.item.resource_version
        return self._take(said, listed=False)

    def _repeats(self, said: Changed[T], version: Version) -> bool:
        held = self._held.get(self._ref(said.item))
        return held is None if said.type == "DELETED" else held == version

    def _take(self, said: Changed[T], *, listed: bool) -> list[News]:
        if said.type != "DELETED":
            return self._apply(said.item, listed=listed)
        ref = self._ref(said.item)
        if listed and not self._newest(ref, _version(said.item.resource_version)):
            return []
        return [] if self._held.pop(ref, None) is None else [Deleted(ref)]

    def _apply(self, item: Item[T], *, listed: bool) -> list[News]:
        ref, version = self._ref(item), _version(item.resource_version)
        if not ref.name or (listed and not self._newest(ref, version)):
            return []
        if self._held.get(ref) == version:
            return []
        self._held[ref] = version
        return [Unreadable(ref, item.problem, item.uid) if item.object is None else Applied(ref, item.object, listed)]

    def _newest(self, ref: Ref, version: Version) -> bool:
        """Whether the list under way has not said something newer of this object already."""
        before = self._seen.get(ref)
        if before is not None and _not_newer(version, before):
            return False
        self._seen[ref] = version
        return True

    def _ref(self, item: Item[T]) -> Ref:
        # the texts of the object itself, so that they are in memory once
        at = item if item.object is None else item.object.metadata
        return self._ref_of(at.namespace, at.name)

    def page(self, page: Page[T], now: float) -> list[News]:
        """One page of a list."""
        news = self._answered(now)
        for item in page.items:
            news += self._apply(item, listed=True)
        if not page.continues:
            news += self._complete(page.resource_version, now)
        return news

    def _complete(self, resource_version: str, now: float) -> list[News]:
        if not resource_version or resource_version == "0":
            return self.failed(BadAnswer("a list without a resourceVersion", status=200, reason="NotAList"), now)
        gone = [ref for ref in self._held if ref not in self._seen]
        for ref in gone:
            del self._held[ref]
        self._seen = {}
        self._again = [at for at in self._again if at > now]
        if gone:
            self._again = [now + wait for wait in self._pace.again]
        went_back = _older(resource_version, self._at)
        self._at, self._must_list, self._listing = resource_version, False, False
        if went_back:
            self._distrust()
        self._streams, self._doubted = self._streams and not self._doubted, False
        self._backoff.worked(now)
        return [*(Absent(ref) for ref in gone), Listed()]

    def peeked(self, resource_version: str, now: float) -> list[News]:
        """The server's present resourceVersion."""
        if _older(resource_version, self._at):
            self._distrust()
        return self._answered(now)

    def opened(self, now: float) -> list[News]:
        """The server has begun to answer a watch."""
        self._opened = True
        return [] if self._listing else self._answered(now)

    def _answered(self, now: float) -> list[News]:
        if not self._listing:
            self._backoff.worked(now)
        if not self._lost:
            return []
        self._lost = False
        return [Back()]

    # What goes wrong

    def ended(self, now: float) -> list[News]:
        """The answer came to its end as it should."""
        match self._action:
            case Stream() if self._listing:
                return self.failed(Unreachable("the list ended before it was complete", reason="Ended"), now)
            case Pages() if self._listing:
                return self.failed(BadAnswer("the list has no last page", status=200, reason="NotAList"), now)
            case Follow() if not self._lines:
                self._must_peek = now - self._last_peek >= self._pace.peek
                if now - self._began < SHORT:
                    self._not_before = now + self._backoff.failed(now)
            case Follow() if now - self._began < SHORT:
                self._not_before = self._began + SHORT  # at most one watch a second, whatever the server does
            case _:
                pass
        return []

    def due(self, now: float) -> list[News]:
        """The deadline has passed, or somebody asked for a list while a watch was under way."""
        if self._unasked or self._is_time_again(now) or (isinstance(self._action, Stream) and not self._listing):
            return []
        if isinstance(self._action, Stream) and not self._lines:
            return self._refused_stream(now)
        return self.failed(Unreachable("nothing has come for too long", reason="Stalled"), now)

    def _or_again(self, deadline: float) -> float:
        return min(deadline, self._again[0]) if self._again else deadline

    def _is_time_again(self, now: float) -> bool:
        return bool(self._again) and now >= self._again[0] and not self._listing

    def relist(self) -> bool:
        """Ask for a list; answers whether the watch under way must be interrupted for it."""
        if self._must_list:
            return False
        self._must_list = True
        self._unasked = isinstance(self._action, Stream | Follow) and not self.over
        return self._unasked

    def failed(self, error: ApiFailure, now: float) -> list[News]:
        """The request failed, in whatever way."""
        self.over = True
        if isinstance(self._action, Stream) and self._listing and isinstance(error, Invalid | Forbidden | NotFound):
            return self._refused_stream(now)
        cut = self._opened and not self._listing
        self._doubted = False
        self._schedule(error, now, cut=cut)
        passing = cut or isinstance(error, Gone | TooManyRequests)
        if self._lost or (passing and self._backoff.failures < PASSING):
            return []
        self._lost = True
        return [Lost(error)]

    def _schedule(self, error: ApiFailure, now: float, *, cut: bool) -> None:
        wait = self._backoff.failed(now)
        stubborn = self._backoff.failures % STUBBORN == 0 and error.status != 0
        self._must_list = self._must_list or isinstance(error, Gone) or stubborn
        if isinstance(error, TooManyRequests):
            wait += error.retry_after or 1.0
        elif cut and self._backoff.failures == 1:
            wait = 0.0  # a watch that went well was cut: resume at once
        self._not_before = now + wait

    def _refused_stream(self, now: float) -> list[News]:
        """Try in pages, at once: if that goes well, the server streams no lists."""
        self.over = self._doubted = True
        self._not_before = now
        return []

    def _distrust(self) -> None:
        """The server's history is another one: a resourceVersion may stand for another state now, so the next list tells everything anew."""
        self._held = dict.fromkeys(self._held, "")
        self._at, self._must_list = "", True

    def _relist(self) -> None:
        self._must_list = self.over = True


def _version(text: str) -> Version:
    return int(text) if text.isascii() and text.isdigit() else text


def _not_newer(version: Version, than: Version) -> bool:
    return isinstance(version, int) and isinstance(than, int) and version <= than


def _older(text: str, than: str) -> bool:
    version, other = _version(text), _version(than)
    return isinstance(version, int) and isinstance(other, int) and version < other
