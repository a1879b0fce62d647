"""Engines of one provider on this machine: one for each load balancer, kept by its keeper, and left running whatever becomes of us.

Comes in: ``Desired`` and ``EngineSettings``. Goes out: what keepers make of changes, observations. Only a clean cancellation ends the processes, after their connections had the drain time. Failures of an engine are
retried; they never leave.
"""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from weirkeeper.errors import StartRefused
from weirkeeper.model.address import PublicAddress
from weirkeeper.model.observation import LoadBalancerObservation
from weirkeeper.model.text import Id, IpAddress
from weirkeeper.providers import local
from weirkeeper.providers.base import Desired, EngineItem, EngineSettings, ItemKey, Observe
from weirkeeper.providers.keeping import Keeping, Port, Processes

Kept = TypeVar("Kept", bound=Keeping[Any])


class LocalEngine(ABC, Generic[Kept]):
    """Runs and programs the engines of this machine."""

    configuration: ClassVar[str]
    """The file that every engine's folder has."""
    known: ClassVar[Mapping[str, int]]
    """What an installation may choose, with the defaults: numbers above 0."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._numbers = numbers(settings.options, self.known)
        self._state = Path(settings.state_directory).absolute()
        self.keepers: dict[Id, Kept] = {}

    @abstractmethod
    def processes(self, folder: Path) -> Processes:
        """The processes of one folder."""

    @abstractmethod
    def keeper(self, name: Id, folder: Path, observe: Observe, serving: Callable[[], None]) -> Kept:
        """The keeper of one load balancer's engine; it says ``serving`` when it serves at other addresses."""

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
                self.keepers[name] = made = self._made(name, observe)
                group.create_task(made.run(), name=f"{made.provider} {name}")
            self.keepers[name].put({key: item for key, item in changes.items() if key.load_balancer == name})

    def _made(self, name: Id, observe: Observe) -> Kept:
        folder = self._folder(name)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made: Kept = self.keeper(name, folder, observe, lambda: observe(_serving(made)))
        return made

    def _folder(self, name: Id) -> Path:
        readable = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)[:24]
        return self._state / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"

    async def _sweep(self) -> None:
        """End the engines of load balancers that vanished while nobody was here, and remove their files."""
        kept = {self._folder(name) for name in self.keepers}
        for path in [path.parent for path in self._state.glob(f"*/{self.configuration}") if path.parent not in kept]:
            processes = self.processes(path)
            await processes.end()
            processes.forget()


def _serving(keeper: Keeping[Any]) -> LoadBalancerObservation:
    """Where a load balancer answers; one that binds all addresses answers on loopback here."""
    addresses = tuple(
        PublicAddress(ip=IpAddress(ip), ports=tuple(sorted(many)))
        for ip, many in sorted(_places(keeper.wished.ports).items())
    )
    return LoadBalancerObservation(
        load_balancer=keeper.name, provider=keeper.provider, addresses=addresses, instances=1
    )


def _places(ports: Mapping[str, Port]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    for port in ports.values():
        for place in port.binds:
            text, _, number = place.partition(" ")[0].rpartition(":")
            address = str(ip_address(text.strip("[]")))
            found.setdefault(everywhere.get(address, address), set()).add(int(number))
    return found


def numbers(options: Mapping[str, str], known: Mapping[str, int]) -> dict[str, int]:
    """The options of an installation; what is written wrong refuses the start and says what to change."""
    found = dict(known)
    for name, text in options.items():
        if name not in known:
            raise StartRefused(f"the engine option {name!r} is not known; known are: {', '.join(sorted(known))}")
        digits = text.strip()
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 13 and int(digits) > 0):
            raise StartRefused(f"the engine option {name} must be a whole number above 0, not {text!r}")
        found[name] = int(digits)
    return found
