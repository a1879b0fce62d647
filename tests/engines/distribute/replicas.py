"""Replicas of a control plane on loopback, each behind a wire that can be cut, and Envoys that know them all.

In: a ``Front`` and an authority. Out: real mutual TLS, real streams. Cutting a wire is what an Envoy sees of a replica that is killed.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from fleet import Instance
from real_envoy import Front, Seen, Wishes
from served import LB

from weirkeeper.distribute.authority import (
    SERVER_NAME,
    AuthorityKeys,
    Issued,
    issue_instance,
    new_authority,
    new_request,
)
from weirkeeper.distribute.credentials import OwnTls
from weirkeeper.distribute.identity import node_id
from weirkeeper.distribute.service import Service, ServiceSettings
from weirkeeper.model.observation import InstanceObservation
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import Id, Label
from weirkeeper.providers.envoy.bootstrap import (
    CERTIFICATE,
    TRUST,
    BootstrapSettings,
    Remote,
    bootstrap,
    certificate_document,
    trust_document,
)
from weirkeeper.providers.envoy.processes import Folder

DAY = dt.timedelta(days=1)


class SeenBoth(Seen):
    """What a replica observes of items and of instances."""

    def __init__(self) -> None:
        super().__init__()
        self.news: list[InstanceObservation] = []

    def __call__(self, seen: Any) -> None:
        if isinstance(seen, InstanceObservation):
            self.news.append(seen)
        else:
            super().__call__(seen)


class Cable:
    """A TCP relay to one port."""

    def __init__(self) -> None:
        self.target = 0
        self._open: set[asyncio.StreamWriter] = set()

    async def lay(self) -> int:
        self.server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    @property
    def carries(self) -> bool:
        return bool(self._open)

    def cut(self) -> None:
        """Nobody answers any more, and all connections are reset."""
        self.server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, out = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, out}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._copy(reader, out))
                group.create_task(self._copy(there, writer))
        finally:
            self._open -= {writer, out}

    @staticmethod
    async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while content := await reader.read(1 << 16):
                writer.write(content)
                await writer.drain()
        writer.transport.abort()


class Replica:
    """One replica of the control plane."""

    def __init__(self, front: Front, tls: OwnTls, name: str, **settings: Any) -> None:
        self.wishes, self.seen, self.cable, self.tls = Wishes(front.before), SeenBoth(), Cable(), tls
        made = ServiceSettings(
            address="127.0.0.1:0", replica=Label(name), **{"grace_seconds": 0.5, "drain_seconds": 0.2, **settings}
        )
        self.service = Service(made, tls)

    async def start(self, *, ready: bool = True) -> None:
        if ready:
            self.service.ready.set()
        self.port = await self.cable.lay()
        self.tasks = [
            asyncio.create_task(self.service.serve({"envoy": self.wishes}, self.seen)),
            asyncio.create_task(self.tls.run()),
        ]
        await self.service.listening.wait()
        self.cable.target = self.service.port

    async def stop(self) -> None:
        """As a clean stop does."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.cable.cut()


@asynccontextmanager
async def replicas(
    front: Front, keys: AuthorityKeys, count: int = 2, life: dt.timedelta = DAY, **settings: Any
) -> AsyncIterator[list[Replica]]:
    """That many replicas that wish the same."""
    front.before = {}
    front.changes()
    made = [Replica(front, OwnTls(keys, (), life), f"replica-{number}", **settings) for number in range(count)]
    try:
        for one in made:
            await one.start()
        yield made
    finally:
        await asyncio.gather(*(one.stop() for one in made))


def certificate(keys: AuthorityKeys, load_balancer: Id = LB, life: dt.timedelta = DAY) -> tuple[Issued, Secret]:
    key, request = new_request()
    made = issue_instance(keys, request, load_balancer, "test", dt.datetime.now(dt.UTC), life=life)
    assert isinstance(made, Issued)
    return made, key


def hold(folder: Path, made: Issued, key: Secret) -> None:
    """Put a certificate where Envoy looks for it."""
    folder.mkdir(exist_ok=True)
    for name, content in (
        (CERTIFICATE, certificate_document(made.chain, key.open())),
        (TRUST, trust_document(made.authority, SERVER_NAME)),
    ):
        (folder / "new").write_bytes(content)
        (folder / "new").rename(folder / f"{name}.json")


def remote_instance(state: Path, number: int, ports: list[int], *, addresses: tuple[str, ...] = ()) -> Instance:
    """An Envoy that knows the replicas at these ports and has its certificate in ``state/tls<number>``."""
    folder = Folder(state / f"i{number}")
    servers = tuple(f"127.0.0.1:{port}" for port in ports)
    made = BootstrapSettings(
        node=node_id(LB, f"i{number}"),
        admin_socket=str(folder.admin),
        addresses=addresses,
        remote=Remote(servers=servers, server_name=SERVER_NAME, folder=str(state / f"tls{number}")),
    )
    return Instance(folder, bootstrap(made))


def authority(life: dt.timedelta = 3650 * DAY, age: dt.timedelta = 0 * DAY) -> AuthorityKeys:
    return new_authority(dt.datetime.now(dt.UTC) - age, life)


class Traffic:
    """Requests one after the other until stopped; what failed is kept."""

    def __init__(self, front: Front, hostname: str) -> None:
        self.front, self.hostname, self.sent, self.failed = front, hostname, 0, list[str]()

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                found = await self.front.ask(self.hostname)
                if found.status != 200:
                    self.failed.append(str(found.status))
            except OSError as error:
                self.failed.append(repr(error))
            self.sent += 1
            await asyncio.sleep(0.005)
