"""NGINX on this machine: one master a load balancer, programmed through a socket of our Lua, and left running whatever becomes of us.

Comes in: ``Desired`` and ``EngineSettings``. Goes out: entries to NGINX, observations. Only a clean cancellation ends the processes, after their connections had the drain time. Failures of the engine
are retried; they never leave.
"""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from weirkeeper.errors import StartRefused
from weirkeeper.model.address import PublicAddress
from weirkeeper.model.observation import LoadBalancerObservation
from weirkeeper.model.text import Id, IpAddress
from weirkeeper.providers import local
from weirkeeper.providers.base import Desired, EngineItem, EngineSettings, ItemKey, Observe
from weirkeeper.providers.nginx.binary import modules
from weirkeeper.providers.nginx.keeper import PROVIDER, Keeper
from weirkeeper.providers.nginx.processes import Processes
from weirkeeper.providers.nginx.translate.frame import CONFIGURATION, Frame
from weirkeeper.providers.nginx.translate.items import Port

OPTIONS = {
    "max-connections": 4096,
    "dictionary-megabytes": 64,
    "max-log-bytes": 64 << 20,
    "reload-milliseconds": 2000,
    "stop-seconds": 60,
}
"""What an installation may choose, with the defaults: numbers above 0."""


class NginxEngine:
    """Runs and programs the NGINXes of this machine."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._numbers = numbers(settings.options)
        self._state = Path(settings.state_directory).absolute()
        self.keepers: dict[Id, Keeper] = {}

    async def serve(self, desired: Desired, observe: Observe) -> None:
        """Run until cancelled, which ends the processes. An error leaves them serving for the next one."""
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with local.alone(self._state / "lock"):
            try:
                async with asyncio.TaskGroup() as group:
                    self._put(desired.items(), group, observe)
                    swept = False
                    while True:
                        self._put(await desired.changed(), group, observe)
                        if not swept:  # only now is it known what is wished at all
                            swept = True
                            group.create_task(self._sweep(), name="sweep")
            except asyncio.CancelledError:
                await asyncio.shield(asyncio.gather(*(keeper.end() for keeper in self.keepers.values())))
                raise

    def _put(self, changes: Mapping[ItemKey, EngineItem | None], group: asyncio.TaskGroup, observe: Observe) -> None:
        for name in sorted({key.load_balancer for key in changes}):
            if name not in self.keepers:
                self.keepers[name] = self.keeper(name, observe)
                group.create_task(self.keepers[name].run(), name=f"nginx {name}")
            self.keepers[name].put({key: item for key, item in changes.items() if key.load_balancer == name})

    async def _sweep(self) -> None:
        """End the NGINXes of load balancers that vanished while nobody was here, and remove their files."""
        kept = {keeper.folder for keeper in self.keepers.values()}
        for path in [path.parent for path in self._state.glob(f"*/{CONFIGURATION}") if path.parent not in kept]:
            processes = self._processes(path)
            await processes.end()
            processes.forget()

    def keeper(self, name: Id, observe: Observe) -> Keeper:
        """The keeper of one load balancer's NGINX."""
        readable = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)[:24]
        folder = self._state / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        chosen = self._numbers
        made: Keeper = Keeper(
            name,
            self._processes(folder),
            frame_of(chosen, workers=self._settings.concurrency, modules=modules() or Frame().modules),
            observe,
            between_reloads=chosen["reload-milliseconds"] / 1000,
            serving=lambda: observe(serving(name, made.wished.ports)),
        )
        return made

    def _processes(self, folder: Path) -> Processes:
        return Processes(folder, drain_seconds=self._settings.drain_seconds, log_bytes=self._numbers["max-log-bytes"])


def frame_of(chosen: Mapping[str, int], *, workers: int | None, modules: str, alive: str = "") -> Frame:
    """What stands in the file by the choices of an installation."""
    return Frame(
        workers=workers,
        connections=chosen["max-connections"],
        stop_seconds=chosen["stop-seconds"],
        dictionary=chosen["dictionary-megabytes"],
        modules=modules,
        user="root" if os.geteuid() == 0 else "",
        alive=alive,
    )


def serving(name: Id, ports: Mapping[str, Port]) -> LoadBalancerObservation:
    """Where a load balancer answers; one that binds all addresses answers on loopback here."""
    found: dict[str, set[int]] = {}
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    for port in ports.values():
        for place in port.binds:
            address = str(ip_address(place.rpartition(":")[0].strip("[]")))
            found.setdefault(everywhere.get(address, address), set()).add(port.port)
    addresses = tuple(PublicAddress(ip=IpAddress(ip), ports=tuple(sorted(many))) for ip, many in sorted(found.items()))
    return LoadBalancerObservation(load_balancer=name, provider=PROVIDER, addresses=addresses, instances=1)


def numbers(options: Mapping[str, str]) -> dict[str, int]:
    """The options of an installation; what is written wrong refuses the start and says what to change."""
    found = dict(OPTIONS)
    for name, text in options.items():
        if name not in OPTIONS:
            raise StartRefused(f"the engine option {name!r} is not known; known are: {', '.join(sorted(OPTIONS))}")
        digits = text.strip()
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 13 and int(digits) > 0):
            raise StartRefused(f"the engine option {name} must be a whole number above 0, not {text!r}")
        found[name] = int(digits)
    return found
