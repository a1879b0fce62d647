"""Brings the Kubernetes objects of fleets to what is wished: the leader's work.

Comes in: wishes, from outcomes. Goes out: Deployments, DaemonSets, Services and service accounts, made, changed and taken away. What is there is listed by our labels at each
look: when a wish changed, when this replica begins to lead, and now and then, so that what somebody deleted comes back and what stayed behind while nobody led
goes. Nothing is written before everything was seen once, and nothing ever that does not carry our labels. A write that fails is tried again; the others go on.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from weirkeeper.fleet.objects import (
    CONFIG_MAP,
    DIGEST,
    KINDS,
    KINDS_ELSEWHERE,
    NO_ROOTS,
    Found,
    Key,
    Roots,
    Step,
    elsewhere,
    over,
    selector,
    steps,
    unstartable,
)
from weirkeeper.fleet.place import FleetPlace
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import ApiFailure, Conflict, NotFound
from weirkeeper.kube.resources import KNOWN, Resource
from weirkeeper.kube.types import ConfigMap, KubeObject, VersionedMetadata
from weirkeeper.model.fleet import FleetWish
from weirkeeper.model.text import Id
from weirkeeper.runtime.leader import NotLeader
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.writes import LedClient

LOOK = 15.0
PAUSE = 0.5
LONGEST_PAUSE = 15.0


class OwnedMetadata(VersionedMetadata, frozen=True, kw_only=True, rename="camel"):
    """Metadata of what is ours: also whether it is being deleted, and who has to agree."""

    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()


class Owned(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """An object of a fleet: what says whose it is, and of which wish."""

    metadata: OwnedMetadata


class FleetWriter:
    """The fleets of one install. ``namespaces``: where they may live besides that of the install's instances; the empty one stands for all."""

    def __init__(
        self,
        client: Client,
        writes: LedClient,
        place: FleetPlace,
        *,
        log: Log,
        metrics: Metrics,
        namespaces: tuple[str, ...] = (),
    ) -> None:
        self._client, self._writes, self._place, self._log, self._metrics = client, writes, place, log, metrics
        self._namespaces = namespaces
        self._wishes: dict[Id, FleetWish] = {}
        self._known = asyncio.Event()
        self._bell = asyncio.Event()

    @property
    def wishes(self) -> tuple[FleetWish, ...]:
        """All that is wished now."""
        return tuple(self._wishes.values())

    def wished(self, changes: Mapping[Id, FleetWish | None]) -> None:
        """What changed, after each settle. The first call means that everything was seen once."""
        for name, wish in changes.items():
            if wish is None:
                self._wishes.pop(name, None)
            else:
                self._wishes[name] = wish
        if changes or not self._known.is_set():
            self._bell.set()
        self._known.set()
        for wish in unstartable([one for one in changes.values() if one is not None]):
            self._log.warning("no instances can be started of this engine", of=wish.load_balancer, engine=wish.provider)

    async def run(self) -> None:
        """Keep everything as wished, until cancelled."""
        await self._known.wait()
        pause = PAUSE
        while True:
            self._bell.clear()
            right = await self._look()
            pause = PAUSE if right else min(2 * pause, LONGEST_PAUSE)
            if not right:
                await asyncio.sleep(PAUSE)
            with suppress(TimeoutError):  # what cannot be written in one namespace holds up no change in another
                async with asyncio.timeout(LOOK if right else pause):
                    await self._bell.wait()

    async def _look(self) -> bool:
        """One look; whether all is as wished."""
        try:
            found, roots = await self._found(), await self._roots()
        except ApiFailure as failure:
            self._log.warning("the objects of fleets cannot be read", why=failure)
            return False
        outcomes = [await self._write(step) for step in steps(self._place, self.wishes, found, roots)]
        return all(outcomes)

    async def _found(self) -> Mapping[Key, Found]:
        everywhere = "" in self._namespaces
        places: list[tuple[Resource, str]] = [] if everywhere else [(kind, self._place.namespace) for kind in KINDS]
        places += [(kind, namespace) for namespace in self._namespaces for kind in KINDS_ELSEWHERE]
        return {key: one for kind, namespace in places for key, one in (await self._listed(kind, namespace)).items()}

    async def _roots(self) -> Roots:
        """What pods have to trust: fleets elsewhere have a copy of it."""
        if not any(elsewhere(self._place, wish) for wish in self.wishes):
            return NO_ROOTS
        name = f"{self._place.install}-authority"
        published = await self._client.get(KNOWN[CONFIG_MAP], name, self._place.namespace, type=ConfigMap, timeout=5.0)
        return published.data or NO_ROOTS

    async def _listed(self, kind: Resource, namespace: str) -> dict[Key, Found]:
        pages = self._client.pages(kind, namespace, type=Owned, label_selector=selector(self._place), timeout=5.0)
        return {
            Key((kind.group, kind.kind), item.object.metadata.name, item.object.metadata.namespace): _found(item.object)
            async for page in pages
            for item in page.items
            if item.object is not None
        }

    async def _write(self, step: Step) -> bool:
        kind = KNOWN[step.key.kind]
        try:
            await self._sent(kind, step)
        except NotFound:
            return step.what == "delete"
        except Conflict as conflict:  # somebody was there first, or has the name; the next look says
            self._log.warning("an object of a fleet was not written", object=step.key, step=step.what, why=conflict)
            return False
        except (ApiFailure, NotLeader) as failure:
            self._metrics.count("fleet_write_failures")
            self._log.warning("an object of a fleet could not be written", object=step.key, step=step.what, why=failure)
            return False
        self._metrics.count("fleet_writes", step=step.what)
        self._log.info("an object of a fleet was written", kind=kind.kind, name=step.key.name, step=step.what)
        return True

    async def _sent(self, kind: Resource, step: Step) -> None:
        namespace, name = step.key.namespace, step.key.name
        if step.found is None:
            await self._writes.create(kind, step.body, namespace)
        elif step.what == "delete":
            await self._writes.delete(kind, name, namespace, uid=step.found.uid)
        else:
            await self._writes.replace(kind, name, over(dict(step.body), step.found), namespace)


def _found(one: Owned) -> Found:
    meta = one.metadata
    return Found(
        uid=meta.uid,
        version=meta.resource_version,
        labels=meta.labels or {},
        digest=one.annotations.get(DIGEST, ""),
        annotations=one.annotations,
        finalizers=meta.finalizers,
        leaving=bool(meta.deletion_timestamp),
    )
