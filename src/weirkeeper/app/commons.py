"""What all replicas know of each other's findings by way of the API server: refused items, and mass disappearances that are held.

Comes in: the graph, the feed, the channel. Goes out: on every replica what the objects say, to channel and feed; on the leader the objects.
"""

import asyncio
from collections.abc import Mapping

from weirkeeper.app.channel import Channel
from weirkeeper.feeds.kube.feed import KubeFeed
from weirkeeper.kube.client import Client
from weirkeeper.reconcile import Reconciler
from weirkeeper.runtime import holds, quarantine
from weirkeeper.runtime.intake import Intake
from weirkeeper.runtime.shared import Place, Shared, Specs
from weirkeeper.runtime.supervise import Worker
from weirkeeper.runtime.writes import LedClient

LOOK = 1.0


class Commons:
    """The shared objects of one install."""

    def __init__(  # noqa: PLR0917 - the parts of the program
        self, client: Client, place: Place, reconciler: Reconciler, intake: Intake, feed: KubeFeed, channel: Channel
    ) -> None:
        self._reconciler, self._intake, self._feed, self._channel = reconciler, intake, feed, channel
        self._quarantine = Shared(client, quarantine.RESOURCE, quarantine.Quarantine, place, self._learn, feed.gate)
        self._holds = Shared(client, holds.RESOURCE, holds.Hold, place, self._confirm, feed.gate)

    def workers(self) -> list[Worker]:
        """What every replica runs."""
        return [
            Worker("quarantine", self._quarantine.run),
            Worker("holds", self._holds.run),
            Worker("what is held", self._look),
        ]

    async def lead(self, writes: LedClient) -> None:
        """What the leader runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._quarantine.lead(writes, self._quarantined), name="quarantine")
            group.create_task(self._holds.lead(writes, self._held), name="holds")

    def refused(self) -> None:
        """An engine refused something."""
        self._quarantine.ring()

    def changed(self) -> None:
        """Other items are wished than before."""
        if self._quarantine.present:
            self._quarantine.ring()

    async def _look(self) -> None:
        """What is held changes seldom: it is looked at now and then, not with every event."""
        before: Mapping[str, int] = {}
        while True:
            held = self._feed.held
            if held != before:
                before = held
                self._holds.ring()
            await asyncio.sleep(LOOK)

    def _learn(self) -> None:
        self._channel.learn(quarantine.refusals(self._quarantine.present))

    async def _quarantined(self) -> Specs:
        async with self._intake.still:
            return quarantine.wished(self._reconciler, self._quarantine.present)

    def _confirm(self) -> None:
        groups: Mapping[str, str] = {kind: group for group, kind in self._reconciler.kinds}
        for kind in holds.confirmed(self._holds.present):
            if kind in groups:
                self._feed.confirm((groups[kind], kind))
        self._holds.ring()

    async def _held(self) -> Specs:
        return holds.wished(self._feed.held)
