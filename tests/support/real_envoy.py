"""A load balancer as nouns, wished of an ``EnvoyEngine`` that runs a real Envoy, and what it observes.

In: nouns put into a ``Live``. Out: traffic ports, observations, the process. Translation, delivery and process are the product's own; only the ring
around them is missing: observations end in ``Seen``.
"""

import asyncio
import gc
import shutil
import ssl
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from served import LB, ORIGIN, World, route

from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.listener import ListenerTls
from weirkeeper.model.observation import ItemObservation, ItemState, LoadBalancerObservation
from weirkeeper.model.secret import Secret
from weirkeeper.providers.base import EngineItem, EngineSettings, ItemKey
from weirkeeper.providers.envoy import EnvoyOptions, names
from weirkeeper.providers.envoy.engine import EnvoyEngine
from weirkeeper.testing.certificates import PemPair
from weirkeeper.testing.client import Response, fetch
from weirkeeper.testing.engines import Admin
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.ports import free_port

Changes = dict[ItemKey, EngineItem | None]
PATIENCE = 60.0


class Wishes:
    """A ``Desired`` of a dict."""

    def __init__(self, items: dict[ItemKey, EngineItem]) -> None:
        self.all, self.new, self.bell = dict(items), Changes(), asyncio.Event()

    def items(self) -> dict[ItemKey, EngineItem]:
        return dict(self.all)

    async def changed(self) -> Changes:
        await self.bell.wait()
        self.bell.clear()
        new, self.new = self.new, {}
        return new

    def put(self, changes: Changes) -> None:
        self.new.update(changes)
        for key, value in changes.items():
            self.all.pop(key, None) if value is None else self.all.update({key: value})
        self.bell.set()


class Seen:
    """The newest observation of each item, and of the load balancer."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], ItemObservation] = {}
        self.front: LoadBalancerObservation | None = None
        self.bell = asyncio.Event()

    def __call__(self, seen: ItemObservation | LoadBalancerObservation) -> None:
        if isinstance(seen, ItemObservation):
            self.items[seen.kind, seen.name] = seen
        else:
            self.front = seen
        self.bell.set()

    async def programmed(self, changes: Changes, seconds: float = PATIENCE) -> None:
        async with asyncio.timeout(seconds):
            while not all(self._has(key, value) for key, value in changes.items() if value is not None):
                self.bell.clear()
                await self.bell.wait()

    async def instances(self, count: int, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while self.front is None or self.front.instances != count:
                self.bell.clear()
                await self.bell.wait()

    async def rejected(self, kind: str, name: str, seconds: float = PATIENCE) -> ItemObservation:
        async with asyncio.timeout(seconds):
            while (found := self.items.get((kind, name))) is None or found.state is not ItemState.REJECTED:
                self.bell.clear()
                await self.bell.wait()
            return found

    def _has(self, key: ItemKey, value: EngineItem) -> bool:
        found = self.items.get((key.kind, key.name))
        return found is not None and found.version == value.version and found.state is ItemState.PROGRAMMED


class Front(World):
    """One load balancer as nouns, with a plain and (once there is a certificate) a TLS port."""

    def __init__(self, access_log: str | None = None) -> None:
        super().__init__(EnvoyOptions(ipv6=False, access_log=access_log))
        self.port, self.secure_port = free_port(), free_port()
        self.before: dict[ItemKey, EngineItem] = {}
        self.listener("http", self.port)

    def secure(self, default: str | None = None) -> None:
        tls = ListenerTls(default_certificate=default)  # type: ignore[arg-type]
        self.listener("https", self.secure_port, protocol="https", tls=tls)

    def to(self, hostname: str, backend: str) -> None:
        self.host(hostname, route(to=backend))

    def certificate(self, name: Any, pair: PemPair, *hosts: Any, default: bool = False) -> None:
        chain: Any = pair.certificate.decode()
        key = Secret(pair.key.decode())
        made = Certificate(id=name, chain=chain, key=key, names=hosts, default=default, origin=ORIGIN)
        self.part("certificates", made)

    def bundle(self, name: Any, pem: bytes) -> None:
        self.part("trust_bundles", TrustBundle(id=name, certificates=pem.decode(), origin=ORIGIN))  # type: ignore[arg-type]

    def without(self, table: str, name: Any) -> None:
        """Take a part out again."""
        handle = getattr(self.composed, table)
        for key in [key for key in self.graph.rows(handle) if name in (getattr(key, "id", None), key[-1])]:
            self.graph.put(handle, key, None)

    def changes(self) -> Changes:
        """What settling changes."""
        after = self.settled()
        found: Changes = {key: value for key, value in after.items() if self.before.get(key) != value}
        found |= dict.fromkeys(self.before.keys() - after.keys())
        self.before = after
        return found

    async def answers(self, hostname: str, name: str, seconds: float = 60) -> None:
        """Wait until a worker answers with this backend: Envoy's ACK comes before its workers know."""

        async def look() -> bool:
            try:
                found = await self.ask(hostname)
            except ConnectionError:
                return False
            return found.status == 200 and found.header("x-echo-name") == name

        await eventually(look, seconds, what=f"{hostname} is answered by {name}")

    async def shows(self, hostname: str, pair: PemPair, **more: Any) -> None:
        """Wait until a worker shows this certificate."""

        async def look() -> bool:
            try:
                found = await self.ask_secure(hostname, **more)
            except (ssl.SSLError, ConnectionError):
                return False
            return found.status == 200 and found.fingerprint == pair.fingerprint()

        await eventually(look, what=f"{hostname} shows the certificate")

    async def ask(self, hostname: str, **more: Any) -> Response:
        return await fetch(f"http://{hostname}/", via=self.port, **more)

    async def ask_secure(self, hostname: str, **more: Any) -> Response:
        return await fetch(f"https://{hostname}/", via=self.secure_port, **more)


class Live:
    """A front being served."""

    def __init__(self, front: Front, folder: Path, seen: Seen, engine: EnvoyEngine) -> None:
        self.front, self.folder, self.seen, self.engine = front, folder, seen, engine
        self.wishes = Wishes(front.before)

    @property
    def admin(self) -> Admin:
        return Admin(socket=next(self.folder.glob("*/admin.sock")))

    @property
    def pid(self) -> int:
        (pid,) = envoys(self.folder)
        return pid

    def wish(self) -> Changes:
        """Hand over what changed; returns it."""
        changes = self.front.changes()
        self.wishes.put(changes)
        return changes

    async def apply(self) -> float:
        """Hand over what changed and wait until Envoy has it; returns the seconds."""
        began = time.monotonic()
        await self.seen.programmed(self.wish())
        return time.monotonic() - began

    async def secrets(self) -> set[str]:
        """The names of the secrets that Envoy holds."""
        found = await self.admin.config_dump(resource="dynamic_active_secrets")
        return {one["name"] for one in found.get("configs", ())}

    async def clusters(self) -> set[str]:
        """The names of the clusters that Envoy was told of."""
        found = await self.admin.config_dump(resource="dynamic_active_clusters")
        return {one["cluster"]["name"] for one in found.get("configs", ())}


@asynccontextmanager
async def living(front: Front, folder: Path, drain: float = 0.2, **options: str) -> AsyncIterator[Live]:
    """The front, served by an engine that ends with the block."""
    front.before = {}
    front.changes()
    settings = EngineSettings(state_directory=str(folder), concurrency=1, drain_seconds=drain, options=options)
    seen, engine = Seen(), EnvoyEngine(settings)
    live = Live(front, folder, seen, engine)
    task = asyncio.create_task(engine.serve(live.wishes, seen), name="engine")
    try:
        await seen.instances(1)
        yield live
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gc.collect()


@contextmanager
def state_folder() -> Iterator[Path]:
    """A short path, for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="weir-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def envoys(folder: Path) -> list[int]:
    """The living Envoys whose bootstrap lies in this folder."""
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and f"{folder}/".encode() in (line := _command(process)) and b"bootstrap.json" in line
    ]


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def looking(look: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    """A look at something that needs no waiting, for ``eventually``."""

    async def found() -> bool:
        return look()

    return found


def key(kind: str, name: str) -> ItemKey:
    return ItemKey(LB, kind, name)


CERTIFICATE, SCOPE, CLUSTER = names.SECRET, names.SCOPE, names.CLUSTER
