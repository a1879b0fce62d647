"""A program over a folder of manifests: files in, local engines out.

Comes in: settings, and a folder. Goes out: an `Application`: feed → ring → engines of this machine.
"""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from weirkeeper.app.plugins import Plugins
from weirkeeper.app.ring import Ring, run_until
from weirkeeper.errors import AlreadyRunning, StartRefused
from weirkeeper.feeds.decode import Decoder
from weirkeeper.feeds.files import NAME as FILES
from weirkeeper.feeds.files import FilesFeed
from weirkeeper.feeds.tree import FileTree
from weirkeeper.providers.base import EngineSettings, Provider
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.read_api import Explain, ReadApi
from weirkeeper.runtime.supervise import Worker
from weirkeeper.settings import Settings, read_socket


class Application(Ring):
    """One running control plane over a folder of manifests."""

    def __init__(
        self, settings: Settings, plugins: Plugins, source: Path, log: Log, *, explain: Explain | None = None
    ) -> None:
        super().__init__(plugins, log, awaited=(FILES,))
        self.settings = settings
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

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set. Everything that was started has ended when this returns."""
        with kept(Path(self.settings.state_directory)):
            await run_until(stop, self._workers(), self.log, self.metrics)

    def _workers(self) -> list[Worker]:
        return [
            *self.workers(),
            *(Worker(f"engine {provider.name}", self._serving(provider)) for provider in self.providers),
            Worker("read api", self._api.run),
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
            await provider.engine(wished).serve(self.dispatcher.mailboxes[provider.name], self.observe)

        return serve


@contextmanager
def kept(state: Path) -> Iterator[None]:
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
