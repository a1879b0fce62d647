"""HAProxy on this machine: one process a load balancer, programmed through its runtime socket (``machine``).

Comes in: what an installation chooses. Goes out: keepers.
"""

import resource
from collections.abc import Callable, Mapping
from pathlib import Path

from weirkeeper.model.text import Id
from weirkeeper.providers.base import Observe
from weirkeeper.providers.haproxy.generations import OwnGenerations
from weirkeeper.providers.haproxy.keeper import Keeper
from weirkeeper.providers.haproxy.processes import Folder
from weirkeeper.providers.haproxy.translate.names import CONFIGURATION
from weirkeeper.providers.haproxy.translate.skeleton import Frame
from weirkeeper.providers.machine import LocalEngine

OPTIONS = {
    "max-connections": 20_000,
    "pool": 64,
    "max-log-bytes": 64 << 20,
    "reload-milliseconds": 2000,
    "stop-seconds": 60,
}


class HaproxyEngine(LocalEngine[Keeper]):
    """Runs and programs the HAProxies of this machine."""

    configuration = CONFIGURATION
    known = OPTIONS

    def processes(self, folder: Path) -> OwnGenerations:
        """The generations of one folder."""
        most = self._numbers["max-log-bytes"]
        return OwnGenerations(Folder(folder), drain_seconds=self._settings.drain_seconds, log_bytes=most)

    def keeper(self, name: Id, folder: Path, observe: Observe, serving: Callable[[], None]) -> Keeper:
        """The keeper of one load balancer's HAProxy."""
        return Keeper(
            name,
            folder,
            self.processes(folder),
            frame_of(self._numbers, threads=self._settings.concurrency),
            observe,
            between_reloads=self._numbers["reload-milliseconds"] / 1000,
            serving=serving,
        )


def frame_of(chosen: Mapping[str, int], *, threads: int | None, alive: str = "") -> Frame:
    """What stands in the file by the choices of an installation."""
    return Frame(
        threads=threads,
        connections=min(chosen["max-connections"], connections_allowed()),
        pool=chosen["pool"],
        stop_seconds=chosen["stop-seconds"],
        alive=alive,
    )


def connections_allowed() -> int:
    """How many connections the limit of open files lets through: each takes two, and some are needed besides."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1_000_000 if hard == resource.RLIM_INFINITY else max((hard - 200) // 2, 100)
