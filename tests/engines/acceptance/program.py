"""The whole program over a folder of manifests, in a thread of its own: files in, a real Envoy serving, findings to look at.

In: a folder. Out: a `Program` with its ports, its findings, and a way to save files as editors do.
"""

import asyncio
import contextlib
import io
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from weirkeeper.app import plugins
from weirkeeper.app.folder import Application
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.runtime.logging import Log
from weirkeeper.settings import Settings
from weirkeeper.testing.ports import free_port

PATIENCE = 60.0


class Program:
    def __init__(self, root: Path) -> None:
        self.folder, self.state = root / "in", root / "state"
        self.folder.mkdir()
        self.http_port, self.https_port = free_port(), free_port()
        self.log = io.StringIO()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._app: Application | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        started: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), daemon=True)
        self._thread.start()
        started.result(PATIENCE)

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()

    def save(self, name: str, content: str | bytes) -> None:
        half = self.folder / f".{name}.half"
        half.write_bytes(content if isinstance(content, bytes) else content.encode())
        half.rename(self.folder / name)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()

    def findings(self) -> dict[Ref, tuple[Finding, ...]]:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._look(), self._loop).result(PATIENCE)

    async def _look(self) -> dict[Ref, tuple[Finding, ...]]:
        assert self._app is not None
        async with self._app.intake.still:
            return dict(self._app.reconciler.graph.rows(self._app.reconciler.program.findings))

    async def _run(self, started: Future[None]) -> None:
        settings = Settings(
            state_directory=str(self.state),
            addresses=("127.0.0.1",),
            http_port=self.http_port,
            https_port=self.https_port,
            loopback_endpoints=True,
            concurrency=1,
            drain_seconds=0.5,
        )
        self._app = Application(settings, plugins(settings), self.folder, Log(self.log))
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        started.set_result(None)
        await self._app.run(self._stop)


@contextlib.contextmanager
def program() -> Iterator[Program]:
    """A program that is not started yet, over an empty folder; it ends with the block."""
    with tempfile.TemporaryDirectory(prefix="weir-") as root:
        made = Program(Path(root))
        try:
            yield made
        finally:
            made.stop()
