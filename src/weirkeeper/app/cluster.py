"""A program over a Kubernetes cluster: objects from an API server in; configuration for engines on any host, statuses and events out.

Comes in: settings. Goes out: a `ClusterApplication`: feed → ring → distribution, on every replica alike; and what the leader alone does: statuses, events, the
authority, quarantine. Nothing that decides what is served lives in one replica's memory.
"""

import asyncio
import contextlib
import datetime as dt
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from weirkeeper.app.authority import Authority, tls_from_folder
from weirkeeper.app.plugins import CONTROLLERS as CONTROLLER_GROUP
from weirkeeper.app.plugins import Plugins, chosen, known_plugins
from weirkeeper.app.ring import Ring, run_until
from weirkeeper.configuration import run_settings
from weirkeeper.controllers.base import Controller
from weirkeeper.distribute.accounts import Accounts, accounts_from, reviewed_by
from weirkeeper.distribute.credentials import FileTls, TlsSource
from weirkeeper.distribute.desk import Desk
from weirkeeper.distribute.exchange import Exchange
from weirkeeper.distribute.relay import Follower, Relay
from weirkeeper.distribute.service import Service, ServiceSettings
from weirkeeper.errors import StartRefused
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.feeds.kube.feed import BY_NAME, KubeFeed
from weirkeeper.feeds.kube.feed import NAME as KUBE
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import ApiFailure
from weirkeeper.kube.find import find_access
from weirkeeper.kube.lease import LeaseTimes
from weirkeeper.model.finding import Severity
from weirkeeper.model.observation import InstanceObservation, ItemObservation, ItemState
from weirkeeper.model.text import Label, Name, Refused
from weirkeeper.reconcile import Outcome
from weirkeeper.runtime import holds, quarantine
from weirkeeper.runtime.event_writer import EventWriter
from weirkeeper.runtime.health import Health, Pulse, settle_question
from weirkeeper.runtime.intake import Batch
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Labels
from weirkeeper.runtime.published import PublishedRecord
from weirkeeper.runtime.read_api import Explain, ReadApi
from weirkeeper.runtime.shared import Place, Shared
from weirkeeper.runtime.snapshot import Snapshot, is_in_memory
from weirkeeper.runtime.status_writer import StatusWriter
from weirkeeper.runtime.supervise import Worker
from weirkeeper.runtime.wishing import Wishing
from weirkeeper.runtime.writes import LedClient
from weirkeeper.settings import RunSettings, read_socket, run_state

RELAY = "weirkeeper.io/relay"
"""The Lease's annotation with the address at which the leader hears its followers."""

INGRESS = ("networking.k8s.io", "Ingress")
LOOK = 1.0
CLEARING = 20.0


class ClusterApplication(Ring):
    """One replica of the control plane of a cluster."""

    def __init__(
        self,
        settings: RunSettings,
        plugins: Plugins,
        client: Client,
        log: Log,
        *,
        config: Path | None,
        explain: Explain | None,
    ) -> None:
        super().__init__(plugins, log, awaited=(KUBE,), local_endpoints=settings.loopback_endpoints)
        self.settings, self._client, self._config = settings, client, config
        self._namespace = settings.namespace or client.access.namespace
        self._replica = settings.identity or socket.gethostname()
        self._memory = _memory(settings)
        self._ready = asyncio.Event()
        self._changed = asyncio.Event()
        self._service: Service | None = None
        self._following = ""
        self.pulse = Pulse()
        self._accounts = _accounts(settings, self._namespace)
        self._place = Place(self._namespace, settings.name, log)
        self._declare_leadership()
        self._declare_feed()
        self._declare_channel()
        self._declare_rim(explain)
        self._publish_numbers()

    @classmethod
    async def connected(
        cls, settings: RunSettings, log: Log, *, config: Path | None = None, explain: Explain | None = None
    ) -> "ClusterApplication":
        """The program over the cluster that the settings mean. `StartRefused` where that is none, or a plugin is unknown."""
        access = find_access(Path(settings.kubeconfig) if settings.kubeconfig else None, settings.context or None)
        client = Client(access, user_agent=f"{settings.name}/{version('weirkeeper')}")
        return cls(settings, cluster_plugins(settings, access.server), client, log, config=config, explain=explain)

    # What it is made of

    def _declare_leadership(self) -> None:
        settings = self.settings
        host = settings.pod_address or "127.0.0.1"
        port = settings.exchange_address.rpartition(":")[2]
        self.leadership = Leadership(
            self._client,
            name=settings.name,
            namespace=self._namespace,
            identity=f"{self._replica}_{uuid.uuid4()}",
            log=self.log,
            metrics=self.metrics,
            times=LeaseTimes(
                duration=settings.lease_seconds, renew=settings.renew_seconds, retry=settings.retry_seconds
            ),
            annotations={RELAY: f"[{host}]:{port}" if ":" in host else f"{host}:{port}"},
        )
        self._writes = LedClient(self._client, self.leadership)
        record = PublishedRecord(
            self._writes, name=f"{settings.name}-published", namespace=self._namespace, log=self.log
        )
        self._events = EventWriter(
            self._writes,
            reporter=settings.class_controllers[0],
            instance=self._replica,
            log=self.log,
            metrics=self.metrics,
        )
        self._statuses = StatusWriter(
            self._writes, record, manager=settings.name, log=self.log, metrics=self.metrics, live=self._events.live
        )

    def _declare_feed(self) -> None:
        labels = {INGRESS: self.settings.watch_labels} if self.settings.watch_labels else {}
        self._feed = KubeFeed(
            self._client, self.reconciler.kinds, self._offer, namespaces=self.settings.watch_namespaces, labels=labels
        )
        self.intake.ready = Wishing(self.reconciler, self._feed, BY_NAME)
        self._quarantine = Shared(self._client, quarantine.RESOURCE, quarantine.Quarantine, self._place, self._learn)
        self._holds = Shared(self._client, holds.RESOURCE, holds.Hold, self._place, self._confirm)

    def _declare_channel(self) -> None:
        settings = self.settings
        names = settings.server_names or _service_names(settings.name, self._namespace, settings.pod_address)
        life = dt.timedelta(seconds=settings.certificate_seconds)
        self.relay = Relay(self._replica, self._receive, settings.grace_seconds)
        self._files: FileTls | None = None
        if settings.authority_directory:
            self._files = tls_from_folder(Path(settings.authority_directory))
        self.authority = Authority(
            self._client,
            name=settings.name,
            namespace=self._namespace,
            names=names,
            life=life,
            log=self.log,
            memory=self._memory,
        )
        self._exchange = Exchange(
            lambda: self.authority.keys,
            reviewed_by(self._client, settings.token_audience),
            lambda: self._accounts,
            life=life,
            counted=lambda result: self.metrics.count("certificates_asked", result=result),
        )

    def _declare_rim(self, explain: Explain | None) -> None:
        settings = self.settings
        state = settings.state_directory or run_state(settings, self._namespace, self._replica)
        self.socket = read_socket(Path(state))
        self._api = ReadApi(
            self.socket, reconciler=self.reconciler, intake=self.intake, changes=self.changes, metrics=self.metrics, explain=explain
        )  # fmt: skip
        self.health = Health(
            settings.health_address,
            self.metrics,
            alive={"settle": settle_question(self.intake)},
            ready={"configuration": self._not_known, "channel": self._no_channel},
        )
        self._snapshot = None
        if settings.snapshot_directory:
            self._snapshot = Snapshot(Path(settings.snapshot_directory), version("weirkeeper"), self.log)

    def _publish_numbers(self) -> None:
        gauges: dict[str, Callable[[], float | Mapping[Labels, float]]] = {
            "synced": lambda: float(self.intake.synced.is_set()),
            "leader": lambda: float(self.leadership.leading),
            "pending_events": lambda: self.intake.waiting,
            "loop_stall_seconds": lambda: self.pulse.longest,
            "items": lambda: {(("provider", n),): len(box) for n, box in self.dispatcher.mailboxes.items()},
            "instances": self._instances,
            "findings": self._findings,
            "rejected_items": lambda: len(self.reconciler.graph.rows(self.reconciler.program.rejections)),
            "snapshot_in_use": lambda: float(self.dispatcher.stand_in),
            "snapshot_age_seconds": self._snapshot_age,
            "held": lambda: {(("kind", kind),): count for kind, count in self._feed.held.items()},
            "feed_lost": lambda: len(self._feed.lost),
            "certificate_end_seconds": self._certificate_end,
        }
        for name, ask in gauges.items():
            self.metrics.gauge(name, ask)

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
            Worker("pulse", self.pulse.run),
            Worker("read api", self._read_api),
            Worker("feed", self._feed.run),
            Worker("leadership", lambda: self.leadership.run(self._lead)),
            Worker("channel", self._channel),
            Worker("follower", self._follow),
            Worker("quarantine", self._quarantine.run),
            Worker("holds", self._holds.run),
        ]
        if self._files is None:
            workers.append(Worker("authority", self.authority.run))
        else:
            workers.append(Worker("certificates", self._files.run))
        if self._snapshot is not None:
            workers.append(Worker("snapshot", self._keep_snapshot))
        if self._config is not None:
            workers.append(Worker("configuration", self._follow_configuration))
        return workers

    async def _lead(self) -> None:
        """What the leader alone does, until the lease is lost."""
        self.relay.lead()
        try:
            async with asyncio.TaskGroup() as group:
                if self._files is None:
                    group.create_task(self.authority.lead(self._writes), name="authority, leading")
                group.create_task(self._statuses.run(), name="statuses")
                group.create_task(self._events.run(), name="events")
                group.create_task(self._quarantine.lead(self._writes, self._quarantined), name="quarantine")
                group.create_task(self._holds.lead(self._writes, self._held), name="holds")
        finally:
            await self.relay.resign()

    async def _channel(self) -> None:
        """Serve engines, instances and followers, from the first certificate on."""
        tls: TlsSource = self._files or await self.authority.tls()
        settings = self.settings
        service = Service(
            ServiceSettings(
                address=settings.ads_address,
                replica=Label(self._replica),
                grace_seconds=settings.grace_seconds,
                drain_seconds=settings.drain_seconds,
            ),
            tls,
        )
        desk = Desk(settings.exchange_address, tls, self._exchange, self.relay)
        self._service, self._tls = service, tls
        self._learn()
        if self._ready.is_set():
            service.ready.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.serve(self.dispatcher.mailboxes, self.relay.own), name="streams")
                group.create_task(desk.run(), name="desk")
        except* OSError as errors:
            raise StartRefused(f"an address of the channel cannot be used: {errors.exceptions[0]}") from None
        finally:
            self._service = None

    async def _follow(self) -> None:
        """While another replica leads, tell it what we see."""
        tls: TlsSource = self._files or await self.authority.tls()
        telling: asyncio.Task[None] | None = None
        try:
            while True:
                address = self._leader_elsewhere()
                if address != self._following:
                    self._following = address
                    if telling is not None:
                        telling.cancel()
                        await asyncio.wait((telling,))
                    follower = Follower(self.relay.present, tls)
                    telling = asyncio.create_task(follower.follow(address), name="follower") if address else None
                self.leadership.changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self.leadership.changed.wait()
        finally:
            self._following = ""
            if telling is not None:
                telling.cancel()
                await asyncio.wait((telling,))

    def _leader_elsewhere(self) -> str:
        leader = self.leadership.leader
        if leader is None or not leader.holder or leader.holder == self.leadership.identity:
            return ""
        return leader.annotations.get(RELAY, "")

    # What replicas share

    def _learn(self) -> None:
        """What an engine refused anywhere is not sent here."""
        if self._service is not None:
            self._service.learn(quarantine.refusals(self._quarantine.present))

    def _quarantined(self) -> Mapping[str, Mapping[str, object]]:
        return quarantine.wished(self.reconciler, self._quarantine.present)

    def _confirm(self) -> None:
        """What somebody confirmed is let go."""
        groups = {kind: group for group, kind in self.reconciler.kinds}
        for kind in holds.confirmed(self._holds.present):
            if kind in groups:
                self._feed.confirm((groups[kind], kind))
        self._holds.ring()

    def _held(self) -> Mapping[str, Mapping[str, object]]:
        return holds.wished(self._feed.held)

    # The road of events

    def _offer(self, events: Iterable[Seen | Synced]) -> None:
        seen = tuple(events)
        self._statuses.seen(seen)
        self._events.seen(seen)
        self.intake.offer(seen)
        if self._feed.held or self._holds.present:
            self._holds.ring()

    def _receive(self, row: ItemObservation | InstanceObservation) -> None:
        self.observe(row)
        if isinstance(row, ItemObservation) and row.state is ItemState.REJECTED:
            self._quarantine.ring()

    def _deliver(self, outcome: Outcome, batch: Batch) -> None:
        super()._deliver(outcome, batch)
        self._statuses.wished(outcome.statuses)
        self._events.found(outcome.findings)
        self._serve()
        if any(outcome.items.values()):
            self._changed.set()
            if self._quarantine.present:
                self._quarantine.ring()

    def _serve(self) -> None:
        """What is wished is known: engines may be told."""
        self._ready.set()
        if self._service is not None:
            self._service.ready.set()

    # The last good configuration

    async def _keep_snapshot(self) -> None:
        assert self._snapshot is not None
        lending = asyncio.create_task(self._lend(self._snapshot), name="last good")
        try:
            await self.intake.synced.wait()
            await self._snapshot.keep(self._items, self._changed, self.settings.snapshot_seconds)
        finally:
            lending.cancel()
            await asyncio.wait((lending,))

    def _items(self) -> dict[str, dict]:  # type: ignore[type-arg]
        return {name: dict(box.wished()) for name, box in self.dispatcher.mailboxes.items()}

    async def _lend(self, snapshot: Snapshot) -> None:
        """Serve the last good configuration while the API server has not said what there is."""
        await asyncio.sleep(self.settings.snapshot_after_seconds)
        patience = time.monotonic() + 4 * self.settings.snapshot_after_seconds
        while not self.intake.synced.is_set():
            why = await self._api_trouble()
            if why or time.monotonic() > patience:
                break
            await asyncio.sleep(LOOK)
        if self.intake.synced.is_set():
            return
        kept = await asyncio.to_thread(snapshot.load)
        if isinstance(kept, str):
            self.log.warning("there is no last good configuration to serve", why=kept)
            return
        if not self.intake.synced.is_set():
            self.dispatcher.lend(kept.items())
            self._serve()
            age = f"{time.time() - kept.written:.0f} s"
            self.log.warning(
                "the last good configuration is served until the API server answers", age=age, items=len(kept.rows)
            )

    async def _api_trouble(self) -> str:
        try:
            await self._client.get_path("/version", timeout=1.0)
        except ApiFailure as failure:
            return str(failure)
        return ""

    # What is asked and followed

    async def _read_api(self) -> None:
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._api.run()

    async def _follow_configuration(self) -> None:
        """The log level follows the configuration file; everything else takes a new start."""
        said = self.settings.log_level
        while True:
            await asyncio.sleep(2 * LOOK)
            try:
                level = run_settings({}, os.environ, self._config).log_level
            except StartRefused as refused:
                self.log.warning("the configuration file is wrong; what held before holds", why=refused)
                continue
            if level != said:
                said = self.log.level = level
                self.log.info("log level changed", level=level)

    def _not_known(self) -> str:
        if self._ready.is_set():
            return ""
        reasons = self._feed.unready()
        return "; ".join(reasons[:5]) or "the first settle is not done"

    def _no_channel(self) -> str:
        if self._service is not None and self._service.listening.is_set():
            return ""
        return self.authority.why or "it is not open yet"

    def _instances(self) -> Mapping[Labels, float]:
        rows = self.reconciler.graph.rows(self.reconciler.program.instances).values()
        found: dict[Labels, float] = {(("provider", p.name),): 0 for p in self.providers}
        for row in rows:
            if row.replica == self._replica:
                found[("provider", row.provider),] += 1
        return found

    def _findings(self) -> Mapping[Labels, float]:
        found: dict[Labels, float] = {(("severity", one.value),): 0 for one in Severity}
        for many in self.reconciler.graph.rows(self.reconciler.program.findings).values():
            for finding in many:
                found[("severity", finding.severity.value),] += 1
        return found

    def _snapshot_age(self) -> float:
        return time.time() - self._snapshot.written if self._snapshot is not None and self._snapshot.written else -1

    def _certificate_end(self) -> float:
        end = self._files.expires() if self._files is not None else self.authority.expires()
        return end - time.time() if end else -1


def cluster_plugins(settings: RunSettings, server: str) -> Plugins:
    """The plugins of a program that serves a cluster."""
    names = settings.controllers or known_plugins(CONTROLLER_GROUP)
    return chosen(names, settings.providers, {"ingress": lambda _: _ingress_of_cluster(settings, server)})


def _ingress_of_cluster(settings: RunSettings, server: str) -> Controller:
    from weirkeeper.controllers.ingress import IngressController  # noqa: PLC0415 - only where it is asked for
    from weirkeeper.controllers.ingress.publish import published_from  # noqa: PLC0415
    from weirkeeper.controllers.ingress.settings import IngressSettings  # noqa: PLC0415

    published = published_from(settings.publish)
    if isinstance(published, Refused):
        raise StartRefused(f"publish: {published.why}")
    host = server.partition("://")[2].rpartition(":")[0].strip("[]")
    wished = IngressSettings(
        controllers=settings.class_controllers,
        implicit_class=None,
        http_port=settings.http_port,
        https_port=settings.https_port,
        provider=Name(settings.providers[0]),
        api_server=tuple(one for one in (host, os.environ.get("KUBERNETES_SERVICE_HOST", "")) if one),
        published=published,
    )
    return IngressController(wished)


def _memory(settings: RunSettings) -> Path | None:
    """The snapshot's folder, where nothing in it reaches a disk."""
    folder = Path(settings.snapshot_directory) if settings.snapshot_directory else None
    if folder is None:
        return None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"the snapshot folder {folder} cannot be used: {error.strerror}; name another one") from None
    return folder if is_in_memory(folder) else None


def _accounts(settings: RunSettings, namespace: str) -> Accounts:
    rules = settings.instance_accounts or (f"{namespace}/{settings.name}-envoy=*",)
    found = accounts_from(rules)
    if isinstance(found, Refused):
        raise StartRefused(f"instance accounts: {found.why}")
    return found


def _service_names(name: str, namespace: str, address: str) -> tuple[str, ...]:
    names = (name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local")
    return (*names, address) if address else names
