"""How often something may be done: a token bucket. Comes in: the time. Goes out: whether now, else how long to wait. No clock of its own."""


class Bucket:
    """Holds up to `burst` tokens and gets `rate` new ones a second."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._left, self._at = rate, burst, burst, now

    def take(self, now: float) -> float:
        """0, and a token is taken; or the seconds until there is one."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._rate
        self._left -= 1
        return 0.0

    def full(self, now: float) -> bool:
        """Whether it is as good as new."""
        return self._left + (now - self._at) * self._rate >= self._burst
