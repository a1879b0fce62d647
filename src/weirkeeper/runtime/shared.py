"""What all replicas must know and no replica may keep to itself: small objects of ours in the install's namespace. Every replica reads them, the leader writes them.

Comes in: a client, a kind, what should be there. Goes out: what is there, told at every change; and, on the leader, creations and deletions. Objects are never changed:
one says one thing, by a name that is made of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import AlreadyExists, ApiFailure, Conflict, NotFound
from weirkeeper.kube.mirror import Absent, Applied, Back, Deleted, Listed, Lost, News
from weirkeeper.kube.resources import Resource
from weirkeeper.kube.types import KubeObject
from weirkeeper.kube.watch import Gate, Reflector
from weirkeeper.runtime.leader import NotLeader
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.writes import LedClient

T = TypeVar("T", bound=KubeObject)
Specs = Mapping[str, Mapping[str, Any]]
"""What objects say, by their names."""

INSTALL = "weirkeeper.io/install"
PAUSE = 1.0
LONGEST_PAUSE = 30.0
MOST = 500
"""So many objects of a kind at most; what is beyond stays unshared, and each replica finds it out by itself."""


class Place(NamedTuple):
    """Where an install keeps its objects, and its log."""

    namespace: str
    install: str
    log: Log


class Shared(Generic[T]):
    """The objects of one kind in one namespace."""

    def __init__(  # noqa: PLR0917 - what a reflector needs
        self,
        client: Client,
        resource: Resource,
        kind: type[T],
        place: Place,
        told: Callable[[], None],
        gate: Gate | None = None,
    ) -> None:
        """`told` is called on the loop when something is there that was not, or is gone. `gate`: that of the other reflectors of this client."""
        self.present: dict[str, T] = {}
        self._resource, self._place, self._told = resource, place, told
        selector = f"{INSTALL}={place.install}"
        self._reflector = Reflector(
            client,
            resource,
            type=kind,
            tell=self._tell,
            namespace=place.namespace,
            label_selector=selector,
            gate=gate,
        )
        self._listed = asyncio.Event()
        self._lost = False
        self._bell = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._reflector.run()

    def ring(self) -> None:
        """Something else may be wished now."""
        self._bell.set()

    async def lead(self, writes: LedClient, wished: Callable[[], Awaitable[Specs]]) -> None:
        """Bring what is there to what is wished (specs by name), until cancelled."""
        await self._listed.wait()
        self._bell.set()
        pause = PAUSE
        while True:
            await self._bell.wait()
            self._bell.clear()
            try:
                await self._bring(writes, await wished())
                pause = PAUSE
            except (ApiFailure, NotLeader) as failure:
                self._place.log.warning(
                    "what replicas share could not be written", kind=self._resource.kind, why=failure
                )
                self._bell.set()
                pause = min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _bring(self, writes: LedClient, wished: Specs) -> None:
        for name in list(self.present.keys() - wished.keys()):
            version = self.present[name].metadata.uid
            try:
                await writes.delete(self._resource, name, self._place.namespace, uid=version)
            except (NotFound, Conflict):
                continue
        for name, spec in list(wished.items())[:MOST]:
            if name not in self.present:
                try:
                    await writes.create(self._resource, self._body(name, spec), self._place.namespace)
                except AlreadyExists:
                    continue

    def _body(self, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
        meta = {"name": name, "namespace": self._place.namespace, "labels": {INSTALL: self._place.install}}
        return {
            "apiVersion": self._resource.api_version,
            "kind": self._resource.kind,
            "metadata": meta,
            "spec": dict(spec),
        }

    def _tell(self, news: Sequence[News]) -> None:
        before = dict(self.present)
        for one in news:
            match one:
                case Applied():
                    self.present[one.ref.name] = one.object  # type: ignore[assignment]
                case Deleted() | Absent():
                    self.present.pop(one.ref.name, None)
                case Listed():
                    self._listed.set()
                    self._bell.set()
                case Lost():
                    self._say_lost(one)
                case Back():
                    self._lost = False
        if self.present != before:
            self._bell.set()
            self._told()

    def _say_lost(self, one: Lost) -> None:
        if not self._lost:
            self._lost = True
            self._place.log.warning("what replicas share cannot be read", kind=self._resource.kind, why=one.error)
