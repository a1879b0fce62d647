"""Waiting for a condition, never for an amount of time.

In: a predicate and a deadline. Out: the first truthy value of the predicate, or `DeadlinePassed` with what was seen last. A look that finds nobody (`OSError`:
refused, cut, too late, no such file yet) has seen nothing so far; every other exception ends the wait at once.
No test of ours sleeps to be right; the short pause between two looks lives only here.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.005


class DeadlinePassed(AssertionError):
    """The condition did not become true in time; the message says what it was and what was seen last."""


def poll_until(predicate: Callable[[], T], deadline: float = 60.0, *, what: str = "", pause: float = PAUSE) -> T:
    """The first truthy value of `predicate`, looked at until `deadline` seconds have passed."""
    end = time.monotonic() + deadline
    seen: object
    while True:
        try:
            value = predicate()
        except OSError as error:
            seen = error
        else:
            if value:
                return value
            seen = value
        if time.monotonic() >= end:
            raise DeadlinePassed(_message(what, deadline, seen))
        time.sleep(pause)


async def eventually(
    predicate: Callable[[], Awaitable[T]], deadline: float = 60.0, *, what: str = "", pause: float = PAUSE
) -> T:
    """The first truthy value that awaiting `predicate` gives; a look that hangs is cut off at the deadline."""
    end = time.monotonic() + deadline
    seen: object = "nothing: the first look did not end"
    while True:
        left = asyncio.timeout(max(end - time.monotonic(), 0))
        try:
            async with left:
                value = await predicate()
        except OSError as error:
            if left.expired():
                raise DeadlinePassed(_message(what, deadline, seen)) from None
            seen = error
        else:
            if value:
                return value
            seen = value
        if time.monotonic() >= end:
            raise DeadlinePassed(_message(what, deadline, seen))
        await asyncio.sleep(pause)


def _message(what: str, deadline: float, seen: object) -> str:
    return f"{what or 'the condition'} was not true within {deadline:g} s; last seen: {seen!r}"
