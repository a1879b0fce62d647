"""What has to be written into statuses, decided: the pure side of the status writer.

Comes in: what the API server has (`Standing`), what is wished, and which entries this install has ever published. Goes out: for an object, the list to write next,
or nothing. No IO and no clock; whoever drives it says when the time of caution is over.

Whose entries are taken away (docs/decisions/0008-status-ownership.md):

- From an object that is ours: those in the record that its wish does not have. A new leader is cautious: engines and followers come back to it within
  seconds, and what it has not heard of itself it takes away only when that time is over.
- From an object that was ours a moment ago (its class changed): all in the record, once.
- From an object that is not ours and that we find with our entries: only where the server's own book says that we wrote the list last (`left_behind`, `leave`).
"""

from collections.abc import Iterable, Mapping

import msgspec

from weirkeeper.kube.statuses import Entries, merged, normal
from weirkeeper.kube.types import AddressStatus, Metadata, ObjectStatus, VersionedMetadata
from weirkeeper.model.ids import Ref
from weirkeeper.model.observation import StatusWish
from weirkeeper.status.ingress import entries

MOST_SHARED = 1000


class Standing(msgspec.Struct, frozen=True, gc=False):
    """An object's status as the API server has it, and the version to write over."""

    version: str
    uid: str
    entries: Entries = ()


class Desk:
    """All objects whose statuses we may write."""

    def __init__(self, record: Mapping[AddressStatus, None]) -> None:
        """`record` is read each time: it may grow."""
        self._record = record
        self._standing: dict[Ref, Standing] = {}
        self._wishes: dict[Ref, Entries] = {}
        self._leaving: set[Ref] = set()
        self._confirmed: dict[AddressStatus, None] = {}
        self._shared: dict[Entries, Entries] = {}
        self.cautious = True
        self.clearing = False
        """Whether we leave for good: every wish is for nothing."""

    def refs(self) -> tuple[Ref, ...]:
        """All objects that are there."""
        return tuple(self._standing)

    def standing(self, ref: Ref) -> Standing | None:
        """What is known of the object."""
        return self._standing.get(ref)

    def begin(self) -> None:
        """We lead from now on: what was heard before is hearsay."""
        self.cautious = True
        self._confirmed = dict.fromkeys(entry for wish in set(self._wishes.values()) for entry in wish)

    def found(self, ref: Ref, metadata: Metadata, status: ObjectStatus | None) -> None:
        """The object was seen with this status."""
        listed = normal(status.load_balancer.ingress) if status is not None else ()
        version = metadata.resource_version if isinstance(metadata, VersionedMetadata) else ""
        self._standing[ref] = Standing(version, metadata.uid, self._same(listed))
        if not any(entry in self._record for entry in listed):
            self._leaving.discard(ref)

    def gone(self, ref: Ref) -> None:
        """The object was deleted."""
        self._standing.pop(ref, None)
        self._leaving.discard(ref)

    def wished(self, ref: Ref, wish: StatusWish | None) -> None:
        """What its status should say; `None`: it is not ours (any more)."""
        if wish is None:
            if self._wishes.pop(ref, None) is not None and ref in self._standing:
                self._leaving.add(ref)
            return
        self._leaving.discard(ref)
        self._wishes[ref] = found = self._same(entries(wish))
        self._confirmed.update(dict.fromkeys(found))

    def leave(self, ref: Ref) -> None:
        """Our entries on this object, which is not ours, are to go."""
        self._leaving.add(ref)

    def left_behind(self) -> tuple[Ref, ...]:
        """Objects that are not ours and have entries like ours: ask the server's book who wrote them."""
        return tuple(
            ref
            for ref, standing in self._standing.items()
            if standing.entries and ref not in self._wishes and ref not in self._leaving
            if any(entry in self._record for entry in standing.entries)
        )

    def next(self, ref: Ref) -> Entries | None:
        """The list to write, or nothing where it is right (or the object is none of our business)."""
        standing = self._standing.get(ref)
        if standing is None or not standing.version:
            return None
        wish = self._wishes.get(ref)
        if wish is None:
            return merged(standing.entries, (), self._record) if ref in self._leaving else None
        if self.clearing:
            return merged(standing.entries, (), self._record)
        return merged(standing.entries, wish, self._confirmed if self.cautious else self._record)

    def first(self, ref: Ref, written: Iterable[AddressStatus]) -> bool:
        """Whether this list would be the first to have entries of ours."""
        standing = self._standing.get(ref)
        before = standing.entries if standing is not None else ()
        return not any(entry in self._record for entry in before) and any(
            e in self._wishes.get(ref, ()) for e in written
        )

    def _same(self, found: Entries) -> Entries:
        """The one copy of equal lists: ten thousand Ingresses have three."""
        if len(self._shared) > MOST_SHARED:
            self._shared = {}
        return self._shared.setdefault(found, found)
