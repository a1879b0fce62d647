"""Envoy on this machine: one process a load balancer, fed over a Unix socket, and left running whatever becomes of us.

Comes in: ``Desired`` and ``EngineSettings``. Goes out: configuration to Envoy, observations. Only a clean cancellation ends the processes, after
their connections had the drain time; a control plane that is killed leaves them serving, and the next one adopts those whose bootstrap is
the same. Failures of the engine are retried with back-off; they never leave.
"""

import asyncio
import hashlib
import logging
import os
import tempfile
from pathlib import Path

from envoy.config.listener.v3 import listener_pb2

from weirkeeper.distribute.identity import node_id
from weirkeeper.distribute.kinds import LDS
from weirkeeper.distribute.server import Distributor
from weirkeeper.distribute.store import DesiredStore
from weirkeeper.model.address import PublicAddress
from weirkeeper.model.observation import LoadBalancerObservation
from weirkeeper.model.text import Id, IpAddress, Name
from weirkeeper.providers import local
from weirkeeper.providers.base import Desired, EngineSettings, Observe
from weirkeeper.providers.envoy.bootstrap import BootstrapSettings, bootstrap
from weirkeeper.providers.envoy.keeper import Keeper
from weirkeeper.providers.envoy.limits import process_limits
from weirkeeper.providers.envoy.processes import Folder, drain, end

log = logging.getLogger(__name__)

LONGEST_SOCKET = 100
LOOK = 0.1
PROVIDER = Name("envoy")


class EnvoyEngine:
    """Runs and programs the Envoys of this machine."""

    def __init__(self, settings: EngineSettings) -> None:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self._limits = process_limits(settings.options, memory)
        self._settings = settings
        self._state = Path(settings.state_directory).absolute()
        self._store = DesiredStore()
        self._keepers: dict[Id, Keeper] = {}

    async def serve(self, desired: Desired, observe: Observe) -> None:
        """Run until cancelled, which ends the processes. An error leaves them serving for the next one.

        Nobody is told anything before something is wished or it is known that nothing is: an Envoy that has outlived the program before asks at once, and would lose all that it has.
        """
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with local.alone(self._state / "lock"):
            distributor = Distributor(
                self._store,
                observe,
                provider=PROVIDER,
                drain_seconds=self._settings.drain_seconds,
                serving=lambda name, count: observe(self._addresses(name, count)),
            )
            distributor.replace(dict(desired.items()))
            known = False
            if not self._store.shelves:
                distributor.put(await desired.changed())
                known = True
            await distributor.start(f"unix:{self._socket()}")
            try:
                async with asyncio.TaskGroup() as group:
                    await self._follow(desired, distributor, group, known=known)
            except asyncio.CancelledError:
                await asyncio.shield(asyncio.gather(*(keeper.end() for keeper in self._keepers.values())))
                raise
            finally:
                await asyncio.shield(distributor.stop())

    async def _follow(
        self, desired: Desired, distributor: Distributor, group: asyncio.TaskGroup, *, known: bool
    ) -> None:
        self._keep(group)
        if not known:
            distributor.put(await desired.changed())
            self._keep(group)
        group.create_task(self._sweep(), name="sweep")  # only now is it known what is wished at all
        while True:
            distributor.put(await desired.changed())
            self._keep(group)

    def _keep(self, group: asyncio.TaskGroup) -> None:
        """One keeper for each load balancer; one without items is not to run."""
        for name, shelf in self._store.shelves.items():
            if shelf.entries and name not in self._keepers:
                self._keepers[name] = self.keeper(name)
                group.create_task(self._keepers[name].run(), name=f"envoy {name}")
            if name in self._keepers:
                self._keepers[name].wish(bool(shelf.entries))

    async def _sweep(self) -> None:
        """End the Envoys of load balancers that vanished while nobody was here, and remove their files."""
        kept = {keeper.folder.path for keeper in self._keepers.values()}
        for path in [path.parent for path in self._state.glob("*/bootstrap.json") if path.parent not in kept]:
            folder = Folder(path, short(path / "admin.sock"))
            running = folder.running()
            if running is not None:
                log.info("no load balancer of %s is wished any more; its envoy, pid %d, ends", path.name, running.pid)
                await drain(folder, self._settings.drain_seconds)
                await end(folder, running)
            folder.remove()

    def keeper(self, name: Id) -> Keeper:
        """The keeper of one load balancer's Envoy."""
        readable = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name)[:24]
        path = self._state / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        folder = Folder(path, short(path / "admin.sock"))
        document = bootstrap(
            BootstrapSettings(
                node=node_id(name, "local"),
                ads_socket=str(self._socket()),
                admin_socket=str(folder.admin),
                heap_bytes=self._limits.heap_bytes,
                connections=self._limits.connections,
            )
        )
        return Keeper(
            folder,
            document,
            concurrency=self._settings.concurrency,
            drain_seconds=self._settings.drain_seconds,
            log_bytes=self._limits.log_bytes,
        )

    def _socket(self) -> Path:
        return short(self._state / "ads.sock")

    def _addresses(self, name: Id, instances: int) -> LoadBalancerObservation:
        bodies = [entry.item.whole for (kind, _), entry in self._store.shelf(name).entries.items() if kind == LDS]
        return LoadBalancerObservation(
            load_balancer=name,
            provider=PROVIDER,
            addresses=addresses(bodies) if instances else (),
            instances=instances,
        )


def addresses(listeners: list[bytes]) -> tuple[PublicAddress, ...]:
    """Where listeners answer, by address; one that binds all addresses answers on loopback here."""
    ports: dict[str, set[int]] = {}
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    for body in listeners:
        place = listener_pb2.Listener.FromString(body).address.socket_address
        if place.address:
            ports.setdefault(everywhere.get(place.address, place.address), set()).add(place.port_value)
    return tuple(PublicAddress(ip=IpAddress(ip), ports=tuple(sorted(found))) for ip, found in sorted(ports.items()))


def short(path: Path) -> Path:
    """The path of a Unix socket, which the kernel limits to 107 bytes: a long one moves to a private folder for temporary files."""
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return path
    name = hashlib.sha256(os.fsencode(path.parent)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir(), f"weirkeeper-{os.getuid()}-{name}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or folder.is_symlink():
        raise PermissionError(f"{folder} is not a private folder of this user")
    return folder / path.name
