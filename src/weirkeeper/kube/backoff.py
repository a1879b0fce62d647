"""How long to wait after a failure: longer each time, never longer than a ceiling, and never the same for two that failed together.

Comes in: that something failed or went well, and the time. Goes out: seconds. No clock and no chance of its own.
"""

from collections.abc import Callable

Chance = Callable[[], float]
"""Answers a number from 0 up to, not including, 1."""


class Backoff:
    """Doubles from `first` to `most` seconds; half of each wait is chance. What went well for `forget` seconds starts it anew."""

    def __init__(self, *, first: float, most: float, forget: float, chance: Chance) -> None:
        self._first, self._most, self._forget, self._chance = first, most, forget, chance
        self._since: float | None = None
        self.failures = 0
        """How many in a row."""

    def failed(self, now: float) -> float:
        """The seconds to wait before the next try."""
        if self._since is not None and now - self._since >= self._forget:
            self.failures = 0
        self._since = None
        wait = min(self._most, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return wait * (0.5 + self._chance() / 2)

    def worked(self, now: float) -> None:
        """Note that it goes well now."""
        if self._since is None:
            self._since = now

    def reset(self) -> None:
        """Forget all failures."""
        self.failures, self._since = 0, None
