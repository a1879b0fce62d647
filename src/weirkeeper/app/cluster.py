"""A program over a Kubernetes cluster: objects from an API server in; configuration for engines on any host, statuses and events out.

Comes in: settings. Goes out: a `ClusterApplication`: feed → ring → channel, on every replica alike; and what the leader alone does: statuses, events, the authority,
the shared objects. Nothing that decides what is served lives in one replica's memory.
"""

import asyncio
import contextlib
import os
import socket
import uuid
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from weirkeeper.app.channel import RELAY, Channel, Row, relay_address
from weirkeeper.app.commons import Commons
from weirkeeper.app.fleets import Fleets, shipped_instances
from weirkeeper.app.last_good import LastGood, memory_of
from weirkeeper.app.notices import notices
from weirkeeper.app.numbers import Numbers
from weirkeeper.app.plugins import Plugins, cluster_plugins
from weirkeeper.app.ring import Ring, run_until
from weirkeeper.configuration import run_settings
from weirkeeper.errors import StartRefused
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.feeds.kube.feed import BY_NAME, KubeFeed
from weirkeeper.feeds.kube.feed import NAME as KUBE
from weirkeeper.kube.client import Client
from weirkeeper.kube.find import find_access
from weirkeeper.kube.lease import LeaseTimes
from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.reconcile import Outcome
from weirkeeper.runtime.condition_writer import ConditionWriter
from weirkeeper.runtime.event_writer import EventWriter
from weirkeeper.runtime.health import Health, Pulse, settle_question
from weirkeeper.runtime.intake import Batch
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.public_writer import PublicWriter, marked_kinds
from weirkeeper.runtime.published import PublishedRecord
from weirkeeper.runtime.read_api import Explain, ReadApi
from weirkeeper.runtime.shared import Place
from weirkeeper.runtime.status_writer import CAUTION, StatusWriter
from weirkeeper.runtime.supervise import Worker
from weirkeeper.runtime.wishing import Wishing
from weirkeeper.runtime.writes import LedClient
from weirkeeper.settings import RunSettings, read_socket, run_state

INGRESS = ("networking.k8s.io", "Ingress")
FOLLOW = 2.0
CLEARING = 20.0
SHOWN = 5


class ClusterApplication(Ring):
    """One replica of the control plane of a cluster."""

    def __init__(
        self,
        settings: RunSettings,
        plugins: Plugins,
        client: Client,
        log: Log,
        *,
        config: Path | None = None,
        explain: Explain | None = None,
    ) -> None:
        super().__init__(plugins, log, awaited=(KUBE,), local_endpoints=settings.loopback_endpoints)
        self.settings, self._client, self._config = settings, client, config
        self._place = Place(settings.namespace or client.access.namespace, settings.name, log)
        self._replica = settings.identity or socket.gethostname()
        self._declare_leadership()
        labels = {INGRESS: settings.watch_labels} if settings.watch_labels else {}
        self.feed = KubeFeed(
            client, self.reconciler.kinds, self._offer, namespaces=settings.watch_namespaces, labels=labels
        )
        self.intake.ready = Wishing(self.reconciler, self.feed, BY_NAME)
        self.channel = Channel(
            settings, client, namespace=self._place.namespace, replica=self._replica, memory=memory_of(settings),
            receive=self._receive, log=log, metrics=self.metrics, gate=self.feed.gate,
        )  # fmt: skip
        self._commons = Commons(client, self._place, self.reconciler, self.intake, self.feed, self.channel)
        self._shipped = shipped_instances(settings, client, self.intake, self.feed, log)
        self._fleets = None
        if settings.fleet:
            self._fleets = Fleets(
                settings, client, self._writes, self.channel, self.intake, self.feed, log, self.metrics
            )
        self._public = None
        if settings.public_endpoints:
            self.reconciler.program.declare_public()
            self._public = PublicWriter(
                client, self._writes, settings.public_endpoints, settings.name, marked_kinds(workloads=settings.workloads),
                settings.watch_namespaces, log, self.metrics,
            )  # fmt: skip
        self._told = False
        self._last_good = None
        if settings.snapshot_directory:
            self._last_good = LastGood(settings, client, self.intake, self.dispatcher, self.channel.serve, log)
        self._declare_rim(explain)

    @classmethod
    async def connected(
        cls, settings: RunSettings, log: Log, *, config: Path | None = None, explain: Explain | None = None
    ) -> "ClusterApplication":
        """The program over the cluster that the settings mean. `StartRefused` where that is none, or a plugin is unknown."""
        access = find_access(Path(settings.kubeconfig) if settings.kubeconfig else None, settings.context or None)
        client = Client(access, user_agent=f"{settings.name}/{version('weirkeeper')}")
        host = urlsplit(access.server).hostname or ""
        servers = tuple(one for one in (host, os.environ.get("KUBERNETES_SERVICE_HOST", "")) if one)
        return cls(settings, cluster_plugins(settings, servers), client, log, config=config, explain=explain)

    def unready(self) -> Mapping[str, str]:
        """Why this replica cannot serve engines yet, by part of the program; empty when it can."""
        return {
            name: why for name, why in (("configuration", self._unknown()), ("channel", self.channel.closed())) if why
        }

    def _declare_leadership(self) -> None:
        settings, namespace = self.settings, self._place.namespace
        times = LeaseTimes(duration=settings.lease_seconds, renew=settings.renew_seconds, retry=settings.retry_seconds)
        self.leadership = Leadership(
            self._client, name=settings.name, namespace=namespace, identity=f"{self._replica}_{uuid.uuid4()}", log=self.log,
            metrics=self.metrics, times=times, annotations={RELAY: relay_address(settings)},
        )  # fmt: skip
        self._writes = LedClient(self._client, self.leadership)
        record = PublishedRecord(self._writes, name=f"{settings.name}-published", namespace=namespace, log=self.log)
        self._events = EventWriter(
            self._writes, reporter=settings.class_controllers[0], instance=self._replica, log=self.log, metrics=self.metrics,
            versions={key: "/".join(filter(None, (kind.group, kind.version))) for key, kind in self.reconciler.kinds.items()},
        )  # fmt: skip
        self._statuses = StatusWriter(
            self._writes, record, manager=settings.name, log=self.log, metrics=self.metrics, live=self._events.live
        )
        self._conditions = ConditionWriter(
            self._writes, settings.gateway_controller, log=self.log, metrics=self.metrics
        )

    def _declare_rim(self, explain: Explain | None) -> None:
        settings = self.settings
        state = settings.state_directory or run_state(settings, self._place.namespace, self._replica)
        self.socket = read_socket(Path(state))
        self._api = ReadApi(
            self.socket, reconciler=self.reconciler, intake=self.intake, changes=self.changes, metrics=self.metrics, explain=explain
        )  # fmt: skip
        self._pulse = Pulse()
        self._numbers = Numbers(self._replica, self.providers)
        self._numbers.publish(
            self.metrics, self.intake, self.dispatcher, self.leadership, self.feed, self.channel, self._pulse, self._last_good
        )  # fmt: skip
        self.health = Health(
            settings.health_address,
            self.metrics,
            alive={"settle": settle_question(self.intake)},
            ready={"configuration": self._unknown, "channel": self.channel.closed},
            notices=notices(
                self.intake,
                rejected=lambda: self._numbers.rejected,
                down=lambda: self._numbers.ailing,
                lost=lambda: len(self.feed.lost),
                certificate_end=self.channel.certificate_end,
                certificate_seconds=settings.certificate_seconds,
                leader=lambda: self.leadership.leader is not None and bool(self.leadership.leader.holder),
                instances=lambda: "" if self._fleets is None else self._fleets.notice(),
            ),
        )

    # Running

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Everything that was started has ended when this returns."""
        ending = asyncio.Event()
        async with self._client:
            closing = asyncio.create_task(self._close(stop, ending), name="close")
            try:
                await run_until(ending, self._workers(), self.log, self.metrics)
            finally:
                closing.cancel()
                await asyncio.wait((closing,))

    async def _close(self, stop: asyncio.Event, ending: asyncio.Event) -> None:
        await stop.wait()
        if self.settings.clear_status and self.leadership.leading:
            self.log.info("clearing the statuses that we wrote")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLEARING):
                    await self._statuses.clear()
        ending.set()

    def _workers(self) -> list[Worker]:
        workers = [
            *self.workers(),
            Worker("health", self.health.run),
            Worker("pulse", self._pulse.run),
            Worker("read api", self._read_api),
            Worker("feed", self.feed.run),
            Worker("leadership", lambda: self.leadership.run(self._lead)),
            *self.channel.workers(self.dispatcher.mailboxes, self.leadership),
            *self._commons.workers(),
            Worker("pods of shipped instances", self._shipped.run),
        ]
        if self._fleets is not None:
            workers += self._fleets.workers()
        if self._last_good is not None:
            workers.append(Worker("last good", self._last_good.run))
        if self._config is not None:
            workers.append(Worker("configuration", self._follow_configuration))
        return workers

    async def _lead(self) -> None:
        """What the leader alone does, until the lease is lost."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.channel.lead(self._writes), name="channel, leading")
            group.create_task(self._write_statuses(), name="statuses")
            group.create_task(self._write_conditions(), name="conditions")
            group.create_task(self._events.run(), name="events")
            group.create_task(self._commons.lead(self._writes), name="shared objects")
            if self._fleets is not None:
                group.create_task(self._fleets.lead(), name="fleets")
            if self._public is not None:
                group.create_task(self._write_public(self._public), name="public endpoints")

    async def _write_statuses(self) -> None:
        """Not before engines and followers can reach us: who hears nobody would take every address for gone."""
        await self.channel.open.wait()
        await self._statuses.run()

    async def _write_conditions(self) -> None:
        """Not before engines and followers can reach us, as for statuses."""
        await self.channel.open.wait()
        await self._conditions.run()

    async def _write_public(self, writer: PublicWriter) -> None:
        """Not before statuses, and for the same reason."""
        await self.channel.open.wait()
        await asyncio.sleep(CAUTION)
        await writer.run()

    async def _read_api(self) -> None:
        try:
            self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartRefused(
                f"the state folder {self.socket.parent} cannot be used: {error.strerror}; name another one"
            ) from None
        await self._api.run()

    async def _follow_configuration(self) -> None:
        """The log level follows the configuration file; everything else takes a new start."""
        said = self.settings.log_level
        while True:
            await asyncio.sleep(FOLLOW)
            try:
                level = run_settings({}, os.environ, self._config).log_level
            except StartRefused as refused:
                self.log.warning("the configuration file is wrong; what held before holds", why=refused)
                continue
            if level != said:
                said = self.log.level = level
                self.log.info("log level changed", to=level)

    # The road of events

    def _offer(self, events: Iterable[Seen | Synced]) -> None:
        seen = tuple(events)
        self._statuses.seen(seen)
        self._conditions.seen(seen)
        self._events.seen(seen)
        self.intake.offer(seen)

    def _receive(self, row: Row) -> None:
        self._numbers.saw(row)
        self.observe(row)
        if isinstance(row, ItemObservation) and row.state is ItemState.REJECTED:
            self._commons.refused()

    def _deliver(self, outcome: Outcome, batch: Batch) -> None:
        super()._deliver(outcome, batch)
        self._statuses.wished(outcome.statuses)
        self._conditions.wished(outcome.conditions)
        self._events.found(outcome.findings)
        self._numbers.found(outcome.findings)
        if self._fleets is not None:
            self._fleets.wished(outcome.fleets)
            self._fleets.short(outcome.shortages)
        if self._public is not None:
            self._public.wished(outcome.public)
        if not self._told:
            self._told = True
            items = sum(len(many) for many in outcome.items.values())
            self.log.info("everything was seen once", items=items, findings=len(outcome.findings))
        self.channel.serve()
        if any(outcome.items.values()):
            self._commons.changed()
            if self._last_good is not None:
                self._last_good.changed.set()

    def _unknown(self) -> str:
        if self.intake.synced.is_set() or self.dispatcher.stand_in:
            return ""
        return "; ".join(self.feed.unready(SHOWN)) or "the first settle is not done"
