"""An event loop in which waiting costs nothing: time passes only when nothing else is left to do. Real sockets work.

In: a coroutine. Out: its result, minutes of its time later and milliseconds of ours. On one machine bytes sent on loopback
are there at once, so "nothing to read and nothing to run" means that everybody waits for the clock; then the clock jumps to
the next timer. Both ends of a connection have to live in the loop: another process would see time stand still.
Code under it has to take its time from the loop (`loop.time`), not from `time.monotonic`.
"""

import asyncio
import os
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
UNTIL_SOMETHING = 5.0
OVERSHOOT = 1e-6
STANDSTILL = 1_000_000
"""So many turns of the loop at one moment mean that something turns for ever."""


class TimeStandsStill(RuntimeError):
    """Somebody keeps the loop busy without ever waiting."""


class _JumpingSelector(selectors.BaseSelector):
    """Looks at real sockets, and never waits for a timer."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.now = 0.0
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; when nothing is, time has passed instead."""
        self._turns += 1
        if self._turns > STANDSTILL:
            self._turns = 0  # the loop still has to be closed
            raise TimeStandsStill(f"{STANDSTILL} turns at {self.now}")
        found = self._real.select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        os.sched_yield()
        if found := self._real.select(0):
            return found
        if timeout is None:
            return self._real.select(UNTIL_SOMETHING)  # nobody waits for the clock: only the world outside can go on
        self._turns = 0
        self.now += timeout + OVERSHOOT  # as real waits end late: what waits for a moment must find it passed
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """As the real one."""
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """As the real one."""
        return self._real.get_map()

    def close(self) -> None:
        """As the real one."""
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop without real waiting."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the loop was made, by its own clock."""
        return self._jumping.now


def run_virtually(scenario: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that runs in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(scenario)
