"""What a follower sees, brought to the leader by way of the API server, for as long as the leader does not hear it over a connection of its own.

Comes in: on a follower, what it sees and for how long nobody has heard it. Goes out: a Lease of its own that carries all of that, renewed every few seconds and
deleted when the leader hears it again. On the leader: what such Leases say, to the relay, where it counts as if the follower had said it.

Why it exists: pods that may not reach each other (a NetworkPolicy, a wrong pod address) reach the API server all the same, and an address that only a follower sees
would be taken from every status, though its instance serves. Why a Lease: it says who lives, and the install may write it anyway. Nobody but its follower writes it
(so it is not led); what is found of it in the first list is old news, and only what is written after that counts. Those that nobody renews any more the leader deletes.
"""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import msgspec

from weirkeeper.distribute.relay import Message, Relay
from weirkeeper.kube.client import Client, Json
from weirkeeper.kube.errors import AlreadyExists, ApiFailure, Conflict, NotFound
from weirkeeper.kube.lease import micro_time
from weirkeeper.kube.mirror import Absent, Applied, Deleted, Listed, News
from weirkeeper.kube.resources import KNOWN
from weirkeeper.kube.types import KubeObject, KubeStruct
from weirkeeper.kube.watch import Gate, Reflector
from weirkeeper.runtime.leader import NotLeader
from weirkeeper.runtime.shared import Place
from weirkeeper.runtime.writes import LedClient

LEASE = KNOWN["coordination.k8s.io", "Lease"]
INSTALL = "weirkeeper.io/detour"
"""The label of such a Lease: whose it is."""
SEES = "weirkeeper.io/sees"
"""The annotation: everything that the replica sees, in JSON."""

AFTER = 7.0
"""So long (seconds) nobody has heard us: a leader that died has been silent in its own Lease for most of that."""
LIMIT = 3.0
LOOK = 0.5
RENEW = 4.0
LONGEST = 200_000
"""All annotations of an object together have 256 KiB (Kubernetes' `TotalAnnotationSizeLimitB`)."""
OLD = 600.0
TIDY = 60.0


class Sighting(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """When the Lease was written, by the writer's clock."""

    renew_time: str = ""


class Sightings(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """A follower's Lease."""

    spec: Sighting = Sighting()


class Detour:
    """One replica's part: `run` on each, `lead` on the leader."""

    def __init__(  # noqa: PLR0917 - the parts of the program
        self, client: Client, place: Place, replica: str, relay: Relay, unheard: Callable[[], float], gate: Gate | None = None
    ) -> None:  # fmt: skip
        """`unheard`: for how many seconds a leader that lives elsewhere has not heard us; 0 where it does, and where there is none."""
        self._client, self._place, self._replica, self._relay, self._unheard, self._gate = (
            client, place, replica, relay, unheard, gate,
        )  # fmt: skip
        self._name = f"{place.install}-sees-{hashlib.sha256(replica.encode()).hexdigest()[:10]}"
        self._lease: Json = {}
        self._told, self._told_at = b"", 0.0
        self._failed = False
        self._listed = False
        self._found: dict[str, tuple[str, float]] = {}

    # A follower

    async def run(self) -> NoReturn:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                if self._unheard() >= AFTER:
                    await self._tell()
                elif self._told:
                    await self._end()
            except ApiFailure as failure:
                self._lease = {}
                self._say_failed(failure)

    async def _tell(self) -> None:
        said, now = self._message(), time.monotonic()
        if said == self._told and now - self._told_at < RENEW:
            return
        body = self._body(said)
        if not self._told:
            self._place.log.warning(
                "the leader does not hear this replica; what it sees goes by way of the API server", lease=self._name
            )
        self._told, self._told_at = said, now
        self._lease = await self._written(body)
        self._failed = False

    def _message(self) -> bytes:
        """All that we see; refusals, which are shared anyway, as far as there is room."""
        whole = self._relay.present.all()
        encoded = msgspec.json.encode(whole)
        while len(encoded) > LONGEST and (whole.items or whole.instances):
            items, instances = whole.items[: len(whole.items) // 2], whole.instances
            if not whole.items:
                instances = instances[: len(instances) // 2]
            whole = Message(replica=whole.replica, whole=True, items=items, instances=instances)
            encoded = msgspec.json.encode(whole)
        return encoded

    def _body(self, said: bytes) -> Json:
        meta: Json = {"name": self._name, "namespace": self._place.namespace, "labels": {INSTALL: self._place.install}}
        if self._lease:
            meta["resourceVersion"] = self._lease["metadata"]["resourceVersion"]
        spec = {
            "holderIdentity": self._replica, "leaseDurationSeconds": math.ceil(3 * RENEW), "renewTime": micro_time(datetime.now(UTC)),
        }  # fmt: skip
        meta["annotations"] = {SEES: said.decode()}
        return {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": meta, "spec": spec}

    async def _written(self, body: Json) -> Json:
        if self._lease:
            return await self._client.replace(LEASE, self._name, body, self._place.namespace, timeout=LIMIT)
        try:
            return await self._client.create(LEASE, body, self._place.namespace, timeout=LIMIT)
        except AlreadyExists:
            found = await self._client.get(LEASE, self._name, self._place.namespace, timeout=LIMIT)
            meta = {**body["metadata"], "resourceVersion": found["metadata"]["resourceVersion"]}
            return await self._client.replace(LEASE, self._name, {**body, "metadata": meta}, self._place.namespace, timeout=LIMIT)  # fmt: skip

    async def _end(self) -> None:
        self._place.log.info("the leader hears this replica again, or there is none elsewhere")
        lease, self._lease, self._told = self._lease, {}, b""
        if lease:
            try:
                await self._client.delete(
                    LEASE, self._name, self._place.namespace, uid=lease["metadata"]["uid"], timeout=LIMIT
                )
            except (NotFound, Conflict):
                return

    def _say_failed(self, failure: ApiFailure) -> None:
        if not self._failed:
            self._failed = True
            self._place.log.warning("what this replica sees could not be told", lease=self._name, why=failure)

    # The leader

    async def lead(self, writes: LedClient) -> None:
        """Hear followers by way of their Leases, until cancelled."""
        self._listed, self._found = False, {}
        reflector = Reflector(
            self._client, LEASE, type=Sightings, tell=self._hear, namespace=self._place.namespace,
            label_selector=f"{INSTALL}={self._place.install}", gate=self._gate,
        )  # fmt: skip
        async with asyncio.TaskGroup() as group:
            group.create_task(reflector.run(), name="detour")
            group.create_task(self._tidy(writes), name="old detours")

    def _hear(self, news: Sequence[News]) -> None:
        for one in news:
            match one:
                case Listed():
                    self._listed = True
                case Applied() if isinstance(one.object, Sightings):
                    self._found[one.ref.name] = (one.object.metadata.uid, time.monotonic())
                    if self._listed:
                        self._take(one.object)
                case Deleted() | Absent():
                    self._found.pop(one.ref.name, None)

    def _take(self, lease: Sightings) -> None:
        try:
            said = msgspec.json.decode(lease.annotations.get(SEES, ""), type=Message)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self._relay.told(said)

    async def _tidy(self, writes: LedClient) -> NoReturn:
        while True:
            await asyncio.sleep(TIDY)
            now = time.monotonic()
            for name, (uid, _) in [row for row in self._found.items() if now - row[1][1] > OLD]:
                try:
                    await writes.delete(LEASE, name, self._place.namespace, uid=uid)
                except (ApiFailure, NotLeader):
                    continue  # looked at again in a minute
                self._found.pop(name, None)
