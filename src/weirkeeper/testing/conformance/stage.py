"""The whole program around one engine, in a thread with a loop of its own: objects in, an engine serving, findings out.

In: a rig and a folder. Out: a `Stage` whose methods may be called from a test. It is the ring of the running program: intake, reconciler, dispatch,
engine, and observations that come back in at the front door; only the feed is missing, because scenarios hand over their objects themselves.
"""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from weirkeeper.controllers.base import Controller
from weirkeeper.controllers.ingress import IngressController
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.feeds.base import Cause, Seen, Synced
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import ItemObservation, ItemState, LoadBalancerObservation
from weirkeeper.model.text import IpAddress, Name
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.reconcile import Outcome, Reconciler
from weirkeeper.runtime.dispatch import Dispatcher
from weirkeeper.runtime.intake import Batch, Intake
from weirkeeper.testing.conformance.neutral import NeutralController
from weirkeeper.testing.conformance.rig import Rig
from weirkeeper.testing.ports import free_port

T = TypeVar("T")

FEED = "conformance"
STARTING, ENDING = 60.0, 60.0


class EngineLeft(AssertionError):
    """The engine's `serve` returned or raised while it should have been serving."""


class Stage:
    """One engine, programmed by the real ring."""

    def __init__(self, rig: Rig, folder: Path, controllers: Iterable[Controller] = ()) -> None:
        self.rig, self.folder = rig, folder
        self.http_port, self.https_port = free_port(), free_port()
        name = Name(rig.provider.name)
        settings = IngressSettings(
            http_port=self.http_port, https_port=self.https_port, addresses=(IpAddress("127.0.0.1"),), provider=name
        )
        self.reconciler = Reconciler((IngressController(settings), NeutralController(), *controllers), (rig.provider,))
        self.observed: dict[ItemKey, ItemObservation] = {}
        self._intake = Intake(self.reconciler, self._deliver, awaited=(FEED,))
        self._dispatcher = Dispatcher((rig.provider.name,))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._serving: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._ended: asyncio.Event | None = None

    def start(self, objects: Iterable[KubeObject] = ()) -> None:
        """Start the ring with these objects as the first list, and the engine."""
        started: Future[None] = Future()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), name="stage", daemon=True)
        self._thread.start()
        started.result(STARTING)
        kinds = tuple(kind.kind for kind in self.reconciler.kinds.values())
        first = [Seen(ref=found.ref, object=found) for found in objects]
        self._call(self._offer([*first, Synced(feed=FEED, kinds=kinds)]))

    def stop(self) -> None:
        """End the engine and the ring."""
        if self._loop is not None and self._ended is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(ENDING)
            assert not self._thread.is_alive(), "the engine did not end when it was cancelled"

    def apply(self, *objects: KubeObject) -> None:
        """Hand over objects as a feed does; returns when they are settled (the engine may still be at it)."""
        self._call(self._offer([Seen(ref=found.ref, object=found) for found in objects]))

    def delete(self, *refs: Ref) -> None:
        """Objects that are gone."""
        self._call(self._offer([Seen(ref=ref, cause=Cause.DELETED) for ref in refs]))

    def restart(self) -> None:
        """Cancel the engine's `serve` and begin a new one over the same folder, as a restarted program does."""
        self._call(self._restart())

    def findings(self) -> Mapping[Ref, tuple[Finding, ...]]:
        """All findings, by object."""
        return self._call(self._read(lambda: self.reconciler.graph.rows(self.reconciler.program.findings)))

    def items(self) -> dict[ItemKey, EngineItem]:
        """All engine items that are wished."""
        table = self.reconciler.program.items[self.rig.provider.name]
        return self._call(self._read(lambda: dict(self.reconciler.graph.rows(table))))

    def rejected(self) -> dict[ItemKey, ItemObservation]:
        """What the engine refused and still refuses."""
        return {key: seen for key, seen in self._seen().items() if seen.state is ItemState.REJECTED}

    def _seen(self) -> dict[ItemKey, ItemObservation]:
        """As it is now: the loop's thread goes on writing, and a copy is made in one go."""
        return dict(self.observed)

    def settled(self) -> bool:
        """Whether the engine has taken, or refused, every item that is wished as it is wished now."""
        told = {key: (seen.version, seen.state is ItemState.PENDING) for key, seen in self._seen().items()}
        return all(told.get(key) == (item.version, False) for key, item in self.items().items())

    def check_engine(self) -> None:
        """Raises when the engine is not being served any more."""
        task = self._serving
        if task is not None and task.done():
            error = None if task.cancelled() else task.exception()
            raise EngineLeft(f"serve() ended: {error!r}") from error

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            self.check_engine()
        except EngineLeft:
            work.close()
            raise
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STARTING)

    async def _run(self, started: Future[None]) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        self._settling = asyncio.create_task(self._intake.run(), name="intake")
        self._serve()
        started.set_result(None)
        await self._ended.wait()
        self._settling.cancel()
        await self._leave()

    def _serve(self) -> None:
        engine = self.rig.engine(self.rig.settings(str(self.folder)))
        mailbox = self._dispatcher.mailboxes[self.rig.provider.name]
        self._serving = asyncio.create_task(engine.serve(mailbox, self._observe), name="engine")

    async def _leave(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait((self._serving,))

    async def _restart(self) -> None:
        await self._leave()
        self._serve()

    async def _offer(self, events: list[Seen | Synced]) -> None:
        self._intake.offer(events)
        while self._intake.waiting:
            if self._settling is not None and self._settling.done():
                self._settling.result()
            await asyncio.sleep(0)
        async with self._intake.still:
            pass

    async def _read(self, look: Callable[[], T]) -> T:
        async with self._intake.still:
            return look()

    def _observe(self, seen: ItemObservation | LoadBalancerObservation) -> None:
        if isinstance(seen, ItemObservation):
            self.observed[ItemKey(seen.load_balancer, seen.kind, seen.name)] = seen
        self._intake.observe(seen)

    def _deliver(self, outcome: Outcome, _: Batch) -> None:
        self._dispatcher.send(outcome)


@contextlib.contextmanager
def running_stage(rig: Rig, controllers: Iterable[Controller] = ()) -> Iterator[Stage]:
    """A running stage over a folder of its own, whose path is short enough for Unix sockets in it; with these controllers besides its own."""
    with tempfile.TemporaryDirectory(prefix="weir-") as folder:
        stage = Stage(rig, Path(folder, "engine"), controllers)
        stage.start()
        try:
            yield stage
        finally:
            stage.stop()
