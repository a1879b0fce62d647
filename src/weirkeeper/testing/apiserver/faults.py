"""The troubles an API server can make, as values that are switched on and off; and seeded schedules of them. Pure.

In: `Fault`s. Out: for a moment of a request, the fault that strikes it, if any. What a fault does is written where it
strikes: before a request is served and in lists (server) or in a watch (watching).
"""

from collections import Counter
from enum import StrEnum
from random import Random

from weirkeeper.model.value import Value


class Trouble(StrEnum):
    """What goes wrong."""

    # before the request is looked at
    UNAUTHORIZED = "unauthorized"  # 401
    FORBIDDEN = "forbidden"  # 403
    KIND_MISSING = "kind-missing"  # 404, as if the kind were not served
    TOO_MANY = "too-many"  # 429 with Retry-After
    SERVER_ERROR = "server-error"  # 500
    NO_ANSWER = "no-answer"  # the connection is cut before the request is served
    CONFLICT = "conflict"  # 409, for writes (set `verbs`)
    # after the request was served
    ANSWER_LOST = "answer-lost"  # a write is done, its answer never arrives (set `verbs`)
    # lists
    SLOW_LIST = "slow-list"  # the answer takes its time
    GONE_CONTINUE = "gone-continue"  # 410 for a continue token
    PAGE_FAILS = "page-fails"  # 500 for the n-th page
    PAGE_CUT = "page-cut"  # the n-th page ends in mid-JSON
    EMPTY_LIST = "empty-list"  # 200 without items, at the present revision
    # watches
    GONE_STATUS = "gone-status"  # 410 instead of a watch
    GONE_EVENT = "gone-event"  # an ERROR event with 410, then the end
    ERROR_EVENT = "error-event"  # an ERROR event with 500, then the end
    CUT_JSON = "cut-json"  # the connection ends within an event
    STALL = "stall"  # nothing more comes, the connection stays
    DUPLICATES = "duplicates"  # each event twice, and some once more later
    HELD_KIND = "held-kind"  # this kind's events come late, so kinds are re-ordered
    BOOKMARKS_ONLY = "bookmarks-only"  # bookmarks, then the end, then the history before them is gone
    SHORT_WATCH = "short-watch"  # ends in order after a second
    DIES_BEFORE_SYNC = "dies-before-sync"  # the streamed list ends before its end bookmark
    NO_WATCH_LIST = "no-watch-list"  # 422, as servers without the feature answer
    WATCH_LIST_IGNORED = "watch-list-ignored"  # served as a plain watch: initial events, no end bookmark
    TRICKLE = "trickle"  # a few bytes at a time
    NO_BOOKMARKS = "no-bookmarks"  # never a bookmark, save the one that ends a streamed list


BEFORE = (Trouble.UNAUTHORIZED, Trouble.FORBIDDEN, Trouble.KIND_MISSING, Trouble.TOO_MANY, Trouble.SERVER_ERROR,
          Trouble.NO_ANSWER, Trouble.CONFLICT)  # fmt: skip


class Fault(Value, frozen=True, kw_only=True):
    """One trouble and where it strikes. What is empty or None means "any".

    ``after``: events sent before it strikes a watch; for pages, which page (0 is the first). ``every``: strikes each
    n-th occasion. ``times``: then it is spent. ``seconds``: Retry-After, delay, length of a watch or pause between
    pieces, as the trouble needs.
    """

    what: Trouble
    plural: str = ""
    namespace: str = ""
    verbs: tuple[str, ...] = ("list", "watch")
    user: str = ""
    after: int = 0
    every: int = 1
    times: int | None = None
    seconds: float = 1.0


class Faults:
    """The faults that are switched on. ``struck`` counts how often each trouble was met."""

    def __init__(self) -> None:
        self._on: list[Fault] = []
        self._met: Counter[int] = Counter()
        self.struck: Counter[Trouble] = Counter()

    def add(self, fault: Fault) -> Fault:
        """Switch a fault on."""
        self._on.append(fault)
        return fault

    def lift(self, fault: Fault) -> None:
        """Switch a fault off; one that is spent is off already."""
        self._on = [other for other in self._on if other is not fault]
        self._met.pop(id(fault), None)

    def clear(self) -> None:
        """Switch all off."""
        self._on.clear()
        self._met.clear()

    def find(self, troubles: tuple[Trouble, ...], verb: str, plural: str, *, namespace: str = "",
             user: str = "", page: int | None = None, sent: int | None = None) -> Fault | None:  # fmt: skip
        """The fault that strikes now, at a page or after so many events; it is counted, and spent when its times are over."""
        for fault in self._on:
            if fault.what not in troubles or verb not in fault.verbs or fault.plural not in ("", plural):
                continue
            if fault.namespace not in ("", namespace) or fault.user not in ("", user):
                continue
            if (page is not None and fault.after != page) or (sent is not None and fault.after > sent):
                continue
            self._met[id(fault)] += 1
            met = self._met[id(fault)]
            if met % fault.every:
                continue
            self.struck[fault.what] += 1
            if fault.times is not None and met >= fault.times * fault.every:
                self.lift(fault)
            return fault
        return None


class Episode(Value, frozen=True, kw_only=True):
    """A fault that is on for a while, in seconds from the start of a schedule."""

    begin: float
    end: float
    fault: Fault


def schedule(random: Random, trouble: Trouble, plurals: tuple[str, ...], *, seconds: float = 120.0,
             most: int = 4) -> tuple[Episode, ...]:  # fmt: skip
    """A random schedule of one trouble: a few episodes, each on one kind or on all, after a few events or at once."""
    episodes = []
    for _ in range(random.randint(1, most)):
        begin = random.uniform(0, seconds * 0.7)
        fault = Fault(
            what=trouble,
            plural=random.choice((*plurals, "")),
            after=random.choice((0, 0, 1, 2, 5)),
            every=random.choice((1, 1, 2, 3)),
            times=random.choice((None, None, 1, 3)),
            seconds=random.choice((0.5, 1.0, 2.0, 5.0)),
        )
        episodes.append(Episode(begin=begin, end=begin + random.uniform(1, seconds * 0.3), fault=fault))
    return tuple(sorted(episodes, key=lambda episode: episode.begin))
