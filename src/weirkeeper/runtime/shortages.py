"""How long load balancers have had too few instances: what lasts is said, what a start or a new image takes is not.

Comes in: shortages, from outcomes. Goes out: `InstancesMissing`, by the front door, from the leader alone: only it knows what all replicas see. A new leader begins to
count anew, and one that leads no longer takes back what it said.
"""

import asyncio
from collections.abc import Callable, Mapping

from weirkeeper.model.observation import InstancesMissing
from weirkeeper.model.text import Id
from weirkeeper.status.shortages import Shortage

PATIENCE = 60.0
"""Seconds: a pod has started by then, and an instance that gives way has drained."""


class Shortages:
    """The shortages of one install."""

    def __init__(self, say: Callable[[InstancesMissing], None], *, patience: float = PATIENCE) -> None:
        self._say, self._patience = say, patience
        self._standing: dict[Id, Shortage] = {}
        self._since: dict[Id, float] = {}
        self._said: set[Id] = set()
        self._bell = asyncio.Event()
        self._leads = False

    @property
    def lacking(self) -> int:
        """How many instances lack now, for however long; nothing where this replica does not lead."""
        return sum(one.lacking for one in self._standing.values()) if self._leads else 0

    @property
    def lasting(self) -> int:
        """Of how many load balancers it has been said."""
        return len(self._said)

    def changed(self, changes: Mapping[Id, Shortage | None]) -> None:
        """What changed, after each settle."""
        for name, found in changes.items():
            if found is None:
                self._standing.pop(name, None)
                self._forget(name)
            else:
                self._standing[name] = found
        if changes:
            self._bell.set()

    async def run(self) -> None:
        """Count, until cancelled."""
        self._leads, clock = True, asyncio.get_running_loop().time
        try:
            while True:
                self._bell.clear()
                due = self._look(clock())
                try:
                    async with asyncio.timeout_at(due):
                        await self._bell.wait()
                except TimeoutError:
                    continue
        finally:
            self._leads = False
            for name in list(self._since):
                self._forget(name)

    def _look(self, now: float) -> float | None:
        """Say what has lasted; when to look again."""
        for name in self._standing:
            since = self._since.setdefault(name, now)
            if since + self._patience <= now and name not in self._said:
                self._said.add(name)
                self._say(InstancesMissing(load_balancer=name))
        return min(
            (since + self._patience for name, since in self._since.items() if name not in self._said), default=None
        )

    def _forget(self, name: Id) -> None:
        self._since.pop(name, None)
        if name in self._said:
            self._said.discard(name)
            self._say(InstancesMissing(load_balancer=name, lasting=False))
