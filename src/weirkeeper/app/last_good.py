"""The last good configuration: written while all is well, served at a start without an API server until it has said what there is.

Comes in: a snapshot, the intake, the mailboxes. Goes out: items in the mailboxes that stand in until the first outcome, and `serve`.
"""

import asyncio
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from weirkeeper.errors import StartRefused
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import ApiFailure
from weirkeeper.runtime.dispatch import Dispatcher
from weirkeeper.runtime.intake import Intake
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.snapshot import Items, Snapshot, is_in_memory
from weirkeeper.settings import RunSettings

LOOK = 1.0
PATIENCE = 5
"""An API server that answers, but not with all lists, is waited for so many times as long."""


class LastGood:
    """Keeps the snapshot, and lends it."""

    def __init__(  # noqa: PLR0917 - the parts of the program
        self,
        settings: RunSettings,
        client: Client,
        intake: Intake,
        dispatcher: Dispatcher,
        serve: Callable[[], None],
        log: Log,
    ) -> None:
        install = f"{settings.namespace or client.access.namespace}/{settings.name}"
        self._snapshot = Snapshot(Path(settings.snapshot_directory), version("weirkeeper"), log, install=install)
        self._pause, self._after = settings.snapshot_seconds, settings.snapshot_after_seconds
        self._client, self._intake, self._dispatcher, self._serve, self._log = client, intake, dispatcher, serve, log
        self.changed = asyncio.Event()
        """Set it when other items are wished."""

    def age(self) -> float:
        """How old the file is, in seconds; -1 where this run has not written it."""
        return time.time() - self._snapshot.written if self._snapshot.written else -1

    async def run(self) -> None:
        """Lend while there is need, then keep, until cancelled."""
        lending = asyncio.create_task(self._lend(), name="last good")
        try:
            await self._intake.synced.wait()
            await self._snapshot.keep(self._items, self.changed, self._pause)
        finally:
            lending.cancel()
            await asyncio.wait((lending,))

    def _items(self) -> Items:
        return {name: dict(box.wished()) for name, box in self._dispatcher.mailboxes.items()}

    async def _lend(self) -> None:
        why = await self._need()
        kept = await asyncio.to_thread(self._snapshot.load)
        if self._intake.synced.is_set():
            return
        if isinstance(kept, str):
            self._log.warning("there is no last good configuration to serve", why=kept, need=why)
            return
        self._dispatcher.lend(kept.items())
        self._serve()
        age = f"{time.time() - kept.written:.0f} s"
        self._log.warning("the last good configuration is served", why=why, age=age, items=len(kept.rows))

    async def _need(self) -> str:
        """Waits until it is certain that the API server leaves us alone; why."""
        await asyncio.sleep(self._after)
        end = time.monotonic() + (PATIENCE - 1) * self._after
        while time.monotonic() < end:
            try:
                await self._client.get_path("/version", timeout=1.0)
            except ApiFailure as failure:
                return str(failure)
            await asyncio.sleep(LOOK)
        return "the API server answers, but has not said all that there is"


def memory_of(settings: RunSettings) -> Path | None:
    """The snapshot's folder, where nothing in it reaches a disk. `StartRefused` where it cannot be used at all."""
    if not settings.snapshot_directory:
        return None
    folder = Path(settings.snapshot_directory)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"the snapshot folder {folder} cannot be used: {error.strerror}; name another one") from None
    return folder if is_in_memory(folder) else None
