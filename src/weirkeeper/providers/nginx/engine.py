"""NGINX on this machine: one master a load balancer, programmed through a socket of our Lua (``machine``).

Comes in: what an installation chooses. Goes out: keepers.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from weirkeeper.model.text import Id
from weirkeeper.providers.base import Observe
from weirkeeper.providers.machine import LocalEngine
from weirkeeper.providers.nginx.binary import modules, streams
from weirkeeper.providers.nginx.files import gate
from weirkeeper.providers.nginx.keeper import Keeper
from weirkeeper.providers.nginx.processes import Processes
from weirkeeper.providers.nginx.translate.frame import CONFIGURATION, Frame

OPTIONS = {
    "max-connections": 4096,
    "dictionary-megabytes": 64,
    "max-log-bytes": 64 << 20,
    "reload-milliseconds": 2000,
    "stop-seconds": 60,
}


class NginxEngine(LocalEngine[Keeper]):
    """Runs and programs the NGINXes of this machine."""

    configuration = CONFIGURATION
    known = OPTIONS

    @property
    def _frame(self) -> Frame:
        found = modules() or Frame().modules
        return frame_of(self._numbers, workers=self._settings.concurrency, modules=found, streams=streams(found))

    def processes(self, folder: Path) -> Processes:
        """The processes of one folder."""
        most = self._numbers["max-log-bytes"]
        return Processes(folder, gate(self._frame), drain_seconds=self._settings.drain_seconds, log_bytes=most)

    def keeper(self, name: Id, folder: Path, observe: Observe, serving: Callable[[], None]) -> Keeper:
        """The keeper of one load balancer's NGINX."""
        return Keeper(
            name,
            self.processes(folder),
            self._frame,
            observe,
            between_reloads=self._numbers["reload-milliseconds"] / 1000,
            serving=serving,
        )


def frame_of(
    chosen: Mapping[str, int], *, workers: int | None, modules: str, streams: bool = False, alive: str = ""
) -> Frame:
    """What stands in the file by the choices of an installation."""
    return Frame(
        workers=workers,
        connections=chosen["max-connections"],
        stop_seconds=chosen["stop-seconds"],
        dictionary=chosen["dictionary-megabytes"],
        modules=modules,
        streams=streams,
        user="root" if os.geteuid() == 0 else "",
        alive=alive,
    )
