"""How a replica reaches engines and the other replicas: the streams, the desk beside them, and what it tells the leader.

Comes in: settings, a client, the leadership, the mailboxes. Goes out: observations of engines, merged over replicas on the leader, through `receive`. Nothing is
served before the first certificate is there and `serve` was called.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from weirkeeper.app.authority import Authority, tls_from_folder
from weirkeeper.distribute.accounts import Accounts, accounts_from, reviewed_by
from weirkeeper.distribute.credentials import TlsSource
from weirkeeper.distribute.desk import Desk
from weirkeeper.distribute.exchange import Exchange
from weirkeeper.distribute.relay import MOVED, Follower, Relay
from weirkeeper.distribute.service import Service, ServiceSettings
from weirkeeper.errors import StartRefused
from weirkeeper.kube.client import Client
from weirkeeper.kube.watch import Gate
from weirkeeper.model.observation import InstanceObservation, ItemObservation
from weirkeeper.model.text import Label, Refused
from weirkeeper.providers.base import Desired
from weirkeeper.runtime.detour import Detour
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.shared import Place
from weirkeeper.runtime.supervise import Worker
from weirkeeper.runtime.writes import LedClient
from weirkeeper.settings import RunSettings

RELAY = "weirkeeper.io/relay"
"""The Lease's annotation with the address at which the leader hears its followers."""

LOOK = 1.0
Row = ItemObservation | InstanceObservation


def relay_address(settings: RunSettings) -> str:
    """Where followers reach this replica when it leads."""
    host, port = settings.pod_address or "127.0.0.1", settings.exchange_address.rpartition(":")[2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Channel:
    """The distribution of one replica."""

    def __init__(
        self,
        settings: RunSettings,
        client: Client,
        *,
        namespace: str,
        replica: str,
        memory: Path | None,
        receive: Callable[[Row], None],
        log: Log,
        metrics: Metrics,
        gate: Gate | None = None,
    ) -> None:
        self._settings, self._replica, self._metrics = settings, replica, metrics
        self._relay = Relay(replica, receive, max(settings.grace_seconds, MOVED))
        self._follower: Follower | None = None
        self._leadership: Leadership | None = None
        place = Place(namespace, settings.name, log)
        self._detour = Detour(client, place, replica, self._relay, self._unheard, gate)
        self._refusals: list[ItemObservation] = []
        self._service: Service | None = None
        self._ready = False
        self.open = asyncio.Event()
        """Set while engines and followers can connect."""
        self._files = tls_from_folder(Path(settings.authority_directory)) if settings.authority_directory else None
        life = dt.timedelta(seconds=settings.certificate_seconds)
        names = settings.server_names or _service_names(settings.name, namespace, settings.pod_address)
        self.authority = Authority(
            client, name=settings.name, namespace=namespace, published=settings.instance_namespace or namespace, names=names,
            life=life, log=log, memory=memory,
        )  # fmt: skip
        self._settled = _accounts(settings, settings.instance_namespace or namespace)
        self._of_fleets: Accounts = {}
        self._exchange = Exchange(
            lambda: self.authority.keys,
            reviewed_by(client, settings.token_audience),
            self.accounts,
            life=life,
            counted=lambda result: metrics.count("certificates_asked", result=result),
        )

    # What others ask and say

    def serve(self) -> None:
        """What is wished is known: engines may be told."""
        self._ready = True
        if self._service is not None:
            self._service.ready.set()

    def learn(self, refusals: Iterable[ItemObservation]) -> None:
        """All that engines anywhere refuse; none of it is sent here."""
        self._refusals = list(refusals)
        if self._service is not None:
            self._service.learn(self._refusals)

    def accounts(self) -> Accounts:
        """Who may have certificates of which load balancer: what the settings say, and the fleets."""
        return {**self._of_fleets, **self._settled}

    def permit(self, accounts: Accounts) -> None:
        """The accounts of the fleets that are wished now, besides those of the settings."""
        self._of_fleets = accounts

    def closed(self) -> str:
        """Why nobody can connect; empty when they can."""
        if self._service is not None and self._service.listening.is_set():
            return ""
        return self.authority.why or "it is not open yet"

    def hears(self) -> bool:
        """Whether the leader hears what this replica sees; so it does where this one leads, or nobody."""
        return self._follower is None or not self._follower.unheard()

    def _unheard(self) -> float:
        alive = self._leadership is not None and self._leadership.lives
        return self._follower.unheard() if alive and self._follower is not None else 0.0

    def certificate_end(self) -> float:
        """When this replica's certificate ends, in seconds since 1970; 0 without one."""
        return self._files.expires() if self._files is not None else self.authority.expires()

    # Running

    def workers(self, desired: Mapping[str, Desired], leadership: Leadership) -> list[Worker]:
        """What every replica runs."""
        certificates = self.authority.run if self._files is None else self._files.run
        return [
            Worker("certificates", certificates),
            Worker("channel", lambda: self._serve(desired)),
            Worker("follower", lambda: self._follow(leadership)),
            Worker("detour", self._detour.run),
        ]

    async def lead(self, writes: LedClient) -> None:
        """What the leader runs: it hears its followers, and keeps the authority."""
        self._relay.lead()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._detour.lead(writes), name="detour")
                if self._files is None:
                    group.create_task(self.authority.lead(writes), name="authority")
        finally:
            await self._relay.resign()

    async def _serve(self, desired: Mapping[str, Desired]) -> None:
        """Serve engines, instances and followers, from the first certificate on."""
        tls = await self._tls()
        service = Service(self._service_settings(), tls)
        desk = Desk(self._settings.exchange_address, tls, self._exchange, self._relay, counted=self._cut_off)
        self._service = service
        service.learn(self._refusals)
        if self._ready:
            service.ready.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(service.serve(desired, self._relay.own), name="streams")
                group.create_task(desk.run(), name="desk")
                await service.listening.wait()
                await desk.listening.wait()
                self.open.set()
        except* OSError as errors:
            raise StartRefused(f"an address of the channel cannot be used: {errors.exceptions[0]}") from None
        finally:
            self.open.clear()
            self._service = None

    def _cut_off(self, why: str) -> None:
        self._metrics.count("connections_cut_off", address="exchange", why=why)

    def _service_settings(self) -> ServiceSettings:
        settings = self._settings
        return ServiceSettings(
            address=settings.ads_address,
            replica=Label(self._replica),
            grace_seconds=settings.grace_seconds,
            drain_seconds=settings.drain_seconds,
        )

    async def _tls(self) -> TlsSource:
        return self._files or await self.authority.tls()

    async def _follow(self, leadership: Leadership) -> None:
        """While another replica leads, tell it what we see."""
        follower = Follower(self._relay.present, await self._tls())
        self._follower, self._leadership = follower, leadership
        while True:
            address = _leader_elsewhere(leadership)
            telling = None
            if address is not None:
                telling = asyncio.create_task(follower.follow(address), name="follower")
            try:
                while _leader_elsewhere(leadership) == address:
                    leadership.changed.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(LOOK):
                            await leadership.changed.wait()
            finally:
                if telling is not None:
                    telling.cancel()
                    await asyncio.wait((telling,))


def _leader_elsewhere(leadership: Leadership) -> str | None:
    """Its address, empty where it names none; None where there is no leader elsewhere."""
    leader = leadership.leader
    if leader is None or not leader.holder or leader.holder == leadership.identity:
        return None
    return leader.annotations.get(RELAY, "")


def _accounts(settings: RunSettings, namespace: str) -> Accounts:
    rules = settings.instance_accounts or (f"{namespace}/{settings.name}-envoy=*",)
    found = accounts_from(rules)
    if isinstance(found, Refused):
        raise StartRefused(f"instance accounts: {found.why}")
    return found


def _service_names(name: str, namespace: str, address: str) -> tuple[str, ...]:
    names = (name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local")
    return (*names, address) if address else names
