"""Builds the program from its settings: the only module that names concrete plugins and knows all other parts.

Comes in: settings, and a folder of manifests. Goes out: an `Application`, which is the ring put together: feed → intake → reconciler → dispatch → engines, whose
observations come back to the intake.
"""

import asyncio
import datetime as dt
import fcntl
import gc
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from weirkeeper.controllers.base import Controller
from weirkeeper.errors import AlreadyRunning, StartRefused, UnknownPlugin
from weirkeeper.feeds.decode import Decoder
from weirkeeper.feeds.files import NAME as FILES
from weirkeeper.feeds.files import FilesFeed
from weirkeeper.feeds.tree import FileTree
from weirkeeper.model.observation import ItemObservation, LoadBalancerObservation, Today
from weirkeeper.model.text import IpAddress, Name, Timestamp, trusted
from weirkeeper.providers.base import EngineSettings, Provider
from weirkeeper.reconcile import Outcome, Reconciler
from weirkeeper.runtime.changes import Changes
from weirkeeper.runtime.dispatch import Dispatcher
from weirkeeper.runtime.intake import Batch, Intake
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.read_api import Explain, ReadApi
from weirkeeper.runtime.supervise import Worker, supervise
from weirkeeper.settings import Settings, read_socket

CONTROLLERS = "weirkeeper.controllers"
PROVIDERS = "weirkeeper.providers"


def known_plugins(group: str) -> tuple[str, ...]:
    """The names of all installed plugins of a group."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def plugin(group: str, name: str) -> Any:
    """The plugin of that name; an unknown one stops the start and names those that are there."""
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    raise UnknownPlugin(group.rpartition(".")[2].removesuffix("s"), name, known_plugins(group))


class Plugins(NamedTuple):
    """What a program is made of: who gives meaning, and who programs engines."""

    controllers: tuple[Controller, ...]
    providers: tuple[Provider, ...]


def plugins(settings: Settings) -> Plugins:
    """The plugins that the settings name, set up."""
    return Plugins(
        controllers=tuple(_configured(plugin(CONTROLLERS, name), name, settings) for name in settings.controllers),
        providers=tuple(plugin(PROVIDERS, name) for name in settings.providers),
    )


def _configured(controller: Controller, name: str, settings: Settings) -> Controller:
    if name != "ingress":
        return controller
    from weirkeeper.controllers.ingress import IngressController  # noqa: PLC0415 - only where it is asked for
    from weirkeeper.controllers.ingress.settings import IngressSettings  # noqa: PLC0415

    wished = IngressSettings(
        http_port=settings.http_port,
        https_port=settings.https_port,
        addresses=tuple(trusted(IpAddress, address) for address in settings.addresses),
        provider=Name(settings.providers[0]),
    )
    return IngressController(wished)


class Application:
    """One running control plane over a folder of manifests."""

    def __init__(
        self, settings: Settings, plugins: Plugins, source: Path, log: Log, *, explain: Explain | None = None
    ) -> None:
        self.settings, self.log = settings, log
        self.metrics = Metrics()
        self.changes = Changes(log, self.metrics)
        self._providers = plugins.providers
        self.reconciler = Reconciler(plugins.controllers, plugins.providers)
        self.intake = Intake(self.reconciler, self._deliver, awaited=(FILES,))
        self.dispatcher = Dispatcher(tuple(p.name for p in self._providers))
        self.tree = FileTree(source, Decoder(self.reconciler.kinds))
        self._feed = FilesFeed(self.tree, (kind.kind for kind in self.reconciler.kinds.values()), self.intake.offer)
        self.socket = read_socket(Path(settings.state_directory))
        self._api = ReadApi(
            self.socket,
            reconciler=self.reconciler,
            intake=self.intake,
            changes=self.changes,
            metrics=self.metrics,
            explain=explain,
        )
        self.listeners: list[Callable[[Outcome], None]] = []
        """Told of each outcome, on the loop: the live table."""
        self.instances: dict[str, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Everything that was started has ended when this returns."""
        with _kept(Path(self.settings.state_directory)):
            running = asyncio.create_task(supervise(self._workers(), self.log, self.metrics), name="supervise")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            try:
                await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                running.cancel()
                await asyncio.wait((running, stopping))
            if not running.cancelled() and (error := running.exception()) is not None:
                raise _refusal(error) from error

    def _workers(self) -> list[Worker]:
        return [
            Worker("intake", self.intake.run),
            *(Worker(f"engine {provider.name}", self._serving(provider)) for provider in self._providers),
            Worker("read api", self._api.run),
            Worker("freeze", self._freeze),
            Worker("calendar", self._calendar),
            Worker("files", self._feed.run),
        ]

    def _serving(self, provider: Provider) -> Callable[[], Awaitable[None]]:
        folder = Path(self.settings.state_directory) / provider.name
        wished = EngineSettings(
            state_directory=str(folder),
            concurrency=self.settings.concurrency,
            drain_seconds=self.settings.drain_seconds,
            options=self.settings.engine_options,
        )

        async def serve() -> None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            await provider.engine(wished).serve(self.dispatcher.mailboxes[provider.name], self._observe)

        return serve

    async def _calendar(self) -> None:
        """Says what day it is: certificates come near their end while nothing else changes."""
        while True:
            self.intake.offer((today(),))
            await asyncio.sleep(3600)

    async def _freeze(self) -> None:
        """After the first settle nearly everything that lives will live on: the collector need not look at it again.

        Until then it is off: it would walk all that was just built, over and over (a third of the first settle at 10,000 Ingresses).
        """
        gc.disable()
        try:
            await self.intake.synced.wait()
            gc.collect()
            gc.freeze()
        finally:
            gc.enable()

    def _observe(self, seen: ItemObservation | LoadBalancerObservation) -> None:
        self.changes.observed(seen)
        if isinstance(seen, LoadBalancerObservation):
            self.instances[seen.load_balancer] = seen.instances
        self.metrics.count("observations")
        self.intake.observe(seen)

    def _deliver(self, outcome: Outcome, batch: Batch) -> None:
        self.changes.delivered(outcome, batch)
        self.dispatcher.send(outcome)
        self.metrics.count("settles")
        self.metrics.count("events", len(batch.events))
        self.metrics.count("settle_seconds", batch.ended - batch.began)
        self.metrics.count("derivation_runs", sum(outcome.runs.values()))
        for listen in self.listeners:
            listen(outcome)


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


@contextmanager
def _kept(state: Path) -> Iterator[None]:
    """The state folder, for this process alone; the kernel frees it however the process ends."""
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state / "weir.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StartRefused(f"the state folder {state} cannot be used: {error.strerror}; name another one") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"another weir runs on these manifests already (it keeps {state})") from None
        yield
    finally:
        os.close(lock)
