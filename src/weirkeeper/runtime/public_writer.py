"""Public endpoints, written: the leader brings one annotation of Services and workloads to what is wished, and takes it away where nothing is.

Comes in: what settles wish (`wished`), on every replica; writes go out while `run` runs, on the leader. All objects are looked at when this replica begins to lead, and now and
then: so what stayed behind while nobody led goes, and what somebody deleted comes back. In between only what changed is read again. An equal annotation is not written, and no other
one is ever touched. A write that fails is tried again; the others go on.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import ApiFailure, Conflict, Forbidden, Invalid, NotFound
from weirkeeper.kube.resources import KNOWN, Resource
from weirkeeper.kube.types import KubeObject, KubeStruct, VersionedMetadata
from weirkeeper.kube.workloads import APPS, WORKLOADS
from weirkeeper.model.ids import Ref
from weirkeeper.runtime.leader import NotLeader
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.writes import LedClient

LOOK = 600.0
PAUSE = 1.0
LONGEST_PAUSE = 60.0
PARALLEL = 8
ABOUT_ONE = (Conflict, Forbidden, Invalid)
"""What is refused of one object and says nothing of the others."""


class Book(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Which fields one writer wrote last."""

    manager: str = ""
    fields_v1: dict[str, Any] | None = msgspec.field(default=None, name="fieldsV1")


class BookedMetadata(VersionedMetadata, frozen=True, kw_only=True, rename="camel"):
    """Metadata with the server's book of who wrote what."""

    managed_fields: tuple[Book, ...] | None = ()


class Marked(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """Any object: its annotations, who wrote them, and the version that a write must name."""

    metadata: BookedMetadata
    metadata_only: ClassVar[bool] = True

    def writer(self, key: str) -> str:
        """Who wrote an annotation last; empty where that is not known."""
        for book in self.metadata.managed_fields or ():
            annotations = ((book.fields_v1 or {}).get("f:metadata") or {}).get("f:annotations") or {}
            if f"f:{key}" in annotations:
                return book.manager
        return ""


def marked_kinds(*, workloads: bool) -> tuple[Resource, ...]:
    """The kinds that carry the annotation."""
    more = tuple(KNOWN[APPS, kind] for kind in WORKLOADS) if workloads else ()
    return (KNOWN["", "Service"], *more)


class PublicWriter:
    """The public endpoints of one install."""

    def __init__(  # noqa: PLR0917 - the parts of the program
        self, client: Client, writes: LedClient, key: str, manager: str, kinds: Sequence[Resource], namespaces: Sequence[str],
        log: Log, metrics: Metrics,
    ) -> None:  # fmt: skip
        """`key` is the annotation; `manager` the name under which the server books our writes; `namespaces`: where to look, everywhere when empty."""
        self._client, self._writes, self._key, self._log, self._metrics = client, writes, key, log, metrics
        self._manager = manager
        self._kinds = {(kind.group, kind.kind): kind for kind in kinds}
        self._namespaces = tuple(namespaces) or ("",)
        self._texts: dict[Ref, str] = {}
        self._due: set[Ref] = set()
        self._known, self._bell = asyncio.Event(), asyncio.Event()

    def wished(self, changes: Mapping[Ref, str | None]) -> None:
        """What changed, after each settle. The first call means that everything was seen once."""
        for ref, text in changes.items():
            if text is None:
                self._texts.pop(ref, None)
            else:
                self._texts[ref] = text
        self._due |= changes.keys()
        if changes:
            self._bell.set()
        self._known.set()

    async def run(self) -> None:
        """Keep every annotation as wished, until cancelled."""
        await self._known.wait()
        pause, all_seen = PAUSE, False
        while True:
            self._bell.clear()
            all_seen = all_seen or await self._look()
            left = await self._write_all()
            if left or not all_seen:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = PAUSE
            try:
                async with asyncio.timeout(LOOK):
                    await self._bell.wait()
            except TimeoutError:
                all_seen = False
            else:
                await asyncio.sleep(
                    PAUSE
                )  # an address that comes or goes changes all of them: several are written as one

    async def _look(self) -> bool:
        """Find what is not as wished among all objects; whether all could be read."""
        try:
            for kind in self._kinds.values():
                for namespace in self._namespaces:
                    self._due |= await self._wrong(kind, namespace)
        except ApiFailure as failure:
            self._log.warning("public endpoints cannot be compared", why=failure)
            return False
        return True

    async def _wrong(self, kind: Resource, namespace: str) -> set[Ref]:
        pages = self._client.pages(kind, namespace, type=Marked, timeout=10.0)
        found = [item.object async for page in pages for item in page.items if item.object is not None]
        return {ref for one in found if self._is_wrong(one, self._texts.get(ref := self._ref(kind, one)))}

    def _is_wrong(self, one: Marked, wished: str | None) -> bool:
        """Whether the annotation is to be written; what another install wrote is not ours to take back."""
        text = one.annotations.get(self._key)
        return text != wished and (wished is not None or one.writer(self._key) in ("", self._manager))

    async def _write_all(self) -> bool:
        """Write what is due, a few at a time; whether something is left. Where the server answers nobody, the rest waits."""
        due = sorted(self._due)
        for begin in range(0, len(due), PARALLEL):
            some = due[begin : begin + PARALLEL]
            ends = await asyncio.gather(*map(self._write, some), return_exceptions=True)
            failed = [(ref, end) for ref, end in zip(some, ends, strict=True) if end is not None]
            self._due |= {ref for ref, _ in failed}
            for ref, end in failed:
                if not isinstance(end, ApiFailure | NotLeader):
                    raise end
                if not isinstance(end, Conflict):
                    self._metrics.count("public_endpoint_write_failures")
                    self._log.warning("public endpoints could not be written", object=ref, why=end)
            if any(not isinstance(end, ABOUT_ONE) for _, end in failed):
                break
        return bool(self._due)

    async def _write(self, ref: Ref) -> None:
        self._due.discard(ref)
        kind, text = self._kinds.get((ref.group, ref.kind)), self._texts.get(ref)
        if kind is None:
            return
        try:
            found = await self._client.get(kind, ref.name, ref.namespace, type=Marked)
            if self._is_wrong(found, text):
                meta = {"resourceVersion": found.metadata.resource_version, "annotations": {self._key: text}}
                await self._writes.patch(kind, ref.name, {"metadata": meta}, ref.namespace)
                self._metrics.count("public_endpoint_writes")
        except NotFound:
            return

    @staticmethod
    def _ref(kind: Resource, one: KubeObject) -> Ref:
        return Ref(group=kind.group, kind=kind.kind, namespace=one.metadata.namespace, name=one.metadata.name)
