"""Objects that are watched by labels, a watch for each selection: one object may be in several of them, and goes when the last one lacks it.

Comes in: what each watch tells, and which watches are over. Goes out: what of it is news for the program. No IO, no clock.
"""

from collections.abc import Hashable, Sequence

from weirkeeper.feeds.base import Cause, Seen
from weirkeeper.kube.mirror import Absent, Applied, Deleted, News, Unreadable
from weirkeeper.model.ids import Ref


class Selections:
    """Which watch has which objects."""

    def __init__(self) -> None:
        self._has: dict[Hashable, set[Ref]] = {}

    def told(self, source: Hashable, news: Sequence[News]) -> list[News]:
        """What of a watch's news holds for all: that an object has left it does not, while another one has it."""
        has = self._has.setdefault(source, set())
        passing: list[News] = []
        for one in news:
            match one:
                case Applied() | Unreadable():
                    has.add(one.ref)
                case Deleted() | Absent():
                    has.discard(one.ref)
                    if self._is_elsewhere(one.ref):
                        continue
            passing.append(one)
        return passing

    def ended(self, source: Hashable) -> list[Seen]:
        """What nobody reads any more, as this watch is over."""
        has = self._has.pop(source, set())
        return [Seen(ref=ref, cause=Cause.FORGOTTEN) for ref in sorted(has) if not self._is_elsewhere(ref)]

    def _is_elsewhere(self, ref: Ref) -> bool:
        return any(ref in has for has in self._has.values())
