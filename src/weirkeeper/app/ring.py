"""The ring put together, without its rim: intake → reconciler → dispatch, and observations back into the intake.

Comes in: plugins, and the feeds whose first word is awaited. Goes out: a `Ring`, to which a program adds feeds on one side and engines on the other.
"""

import asyncio
import datetime as dt
import gc
from collections.abc import Callable, Iterable

from weirkeeper.app.plugins import Plugins
from weirkeeper.errors import StartRefused
from weirkeeper.model.observation import InstanceObservation, ItemObservation, ItemState, LoadBalancerObservation, Today
from weirkeeper.model.text import Timestamp
from weirkeeper.reconcile import Outcome, Reconciler
from weirkeeper.runtime.changes import Changes
from weirkeeper.runtime.dispatch import Dispatcher
from weirkeeper.runtime.intake import Batch, Intake
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.memory import give_back
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.supervise import Worker, supervise

Listen = Callable[[Outcome], None]


class Ring:
    """What every program has, whatever feeds it."""

    def __init__(self, plugins: Plugins, log: Log, *, awaited: Iterable[str], local_endpoints: bool = True) -> None:
        self.log = log
        self.metrics = Metrics()
        self.changes = Changes(log, self.metrics)
        self.providers = plugins.providers
        self.reconciler = Reconciler(
            plugins.controllers, plugins.providers, local_endpoints=local_endpoints, lives=True
        )
        self.intake = Intake(self.reconciler, self._deliver, awaited=awaited)
        self.dispatcher = Dispatcher(tuple(provider.name for provider in plugins.providers))
        self.listeners: list[Listen] = []
        """Told of each outcome, on the loop, after the engines."""
        self.instances: dict[str, int] = {}
        self._refused: set[tuple[str, ...]] = set()
        self._failed: dict[str, str] = {}

    def workers(self) -> list[Worker]:
        """What keeps the ring turning."""
        return [
            Worker("intake", self.intake.run),
            Worker("freeze", self._freeze),
            Worker("calendar", self._calendar),
        ]

    def observe(self, seen: ItemObservation | InstanceObservation | LoadBalancerObservation) -> None:
        """What an engine saw comes in by the same door as objects do."""
        self.changes.observed(seen)
        if isinstance(seen, LoadBalancerObservation):
            self.instances[seen.load_balancer] = seen.instances
        self.metrics.count("observations")
        if self._is_news(seen):
            self.intake.observe(seen)

    def _is_news(self, seen: ItemObservation | InstanceObservation | LoadBalancerObservation) -> bool:
        """Whether a settle has anything to do with it: that an item was taken matters only where it was refused before (a storm of endpoints is half answers)."""
        if not isinstance(seen, ItemObservation):
            return True
        key = (seen.provider, seen.load_balancer, seen.kind, seen.name)
        if seen.state is ItemState.REJECTED:
            self._refused.add(key)
            return True
        if key not in self._refused:
            return False
        self._refused.discard(key)
        return True

    def _deliver(self, outcome: Outcome, batch: Batch) -> None:
        self.changes.delivered(outcome, batch)
        self.dispatcher.send(outcome)
        self._tell_failures(outcome)
        self.metrics.count("settles")
        self.metrics.count("events", len(batch.events))
        self.metrics.count("settle_seconds", batch.ended - batch.began)
        self.metrics.count("derivation_runs", sum(outcome.runs.values()))
        for listen in self.listeners:
            listen(outcome)

    def _tell_failures(self, outcome: Outcome) -> None:
        """Providers that could not say all that is wished: each failure is logged once, and counted whenever it is met."""
        for name, failure in outcome.failures.items():
            self.metrics.count("provider_failures", provider=name)
            if self._failed.get(name) != str(failure):
                self.log.failure("a provider failed; what it said before stands", failure, provider=name)
        self._failed = {name: str(failure) for name, failure in outcome.failures.items()}

    async def _calendar(self) -> None:
        """Says what day it is: certificates come near their end while nothing else changes."""
        while True:
            self.intake.offer((today(),))
            await asyncio.sleep(3600)

    async def _freeze(self) -> None:
        """After the first settle nearly everything that lives will live on: the collector need not look at it again.

        Until then it is off: it would walk all that was just built, over and over (a third of the first settle at 10,000 Ingresses). Nor does it look once
        more before: that would hold up the loop for 0.3 s there, and find some dozens of objects.
        """
        gc.disable()
        try:
            await self.intake.synced.wait()
            gc.freeze()
            give_back()
        finally:
            gc.enable()


async def run_until(stop: asyncio.Event, workers: list[Worker], log: Log, metrics: Metrics) -> None:
    """Run the workers until `stop` is set. Everything that was started has ended when this returns."""
    running = asyncio.create_task(supervise(workers, log, metrics), name="supervise")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.wait((running, stopping))
    if not running.cancelled() and (error := running.exception()) is not None:
        raise _refusal(error) from error


def today() -> Today:
    """The present day in UTC."""
    return Today(day=Timestamp(dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT00:00:00Z")))


def _refusal(error: BaseException) -> BaseException:
    """The reason for not starting, out of the group that a tree of tasks raises."""
    if isinstance(error, BaseExceptionGroup):
        refused = error.subgroup(StartRefused)
        while isinstance(refused, BaseExceptionGroup):
            refused = refused.exceptions[0]  # type: ignore[assignment]
        return refused or error
    return error
