"""Who leads, decided: the pure core of leader election over one Lease (coordination.k8s.io/v1), with a fence that the usual ones do not have.

Theory of operation. A holder writes the Lease again and again. A rival takes it only after it has *not seen it change* for the lease's whole duration by its own
monotonic clock; wall clocks are written for people and never compared. A holder counts its own end from the moment at which its last successful write was
**sent**, which is before the server stored it, which is before any rival can have seen it: so the holder's end lies before every rival's earliest take-over,
however skewed their clocks are (their *rates* must agree, as everywhere). What a holder sends must be over before that end.

Comes in: records as they were read, and the monotonic time at which. Goes out: what to do next, with the reason. No clock, no IO, no chance in here.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from weirkeeper.model.value import Value

Json = dict[str, Any]
MOST_TRANSITIONS = 2**31 - 1
"""The API's field is an int32: one more is refused, and nobody could take such a Lease any more."""


LONGEST = 300.0
"""No lease is longer (seconds), so one that says it is was written by somebody who is no candidate, and is believed for that long only."""


class LeaseTimes(Value, frozen=True, kw_only=True):
    """In seconds: how long a lease holds, after how long without a successful renewal its holder gives up, and how often both sides try."""

    duration: float = 10.0
    renew: float = 7.0
    retry: float = 1.5

    @property
    def attempt(self) -> float:
        """The time limit of one attempt: a connection that hangs leaves room for a second and a third try."""
        return self.renew / 3


class LeaseRecord(Value, frozen=True, kw_only=True):
    """A Lease as it was read. Without a holder it is free."""

    holder: str = ""
    duration: float = 0.0
    renewed: str = ""
    acquired: str = ""
    transitions: int = 0
    resource_version: str = ""
    annotations: dict[str, str] = {}

    @property
    def beat(self) -> tuple[str, str, str, int]:
        """What changes when a holder writes, and by nothing else (an annotation that somebody edits is no sign of life)."""
        return (self.holder, self.renewed, self.acquired, self.transitions)


class Take(Value, frozen=True, kw_only=True):
    """Write the Lease now, over this record (`None`: create it)."""

    over: LeaseRecord | None
    why: str


class Wait(Value, frozen=True, kw_only=True):
    """Somebody else has it, and may have it until then by our clock."""

    until: float
    why: str


class Candidate:
    """One replica's view of the Lease. `now` is always the caller's monotonic clock, in seconds."""

    def __init__(self, identity: str, times: LeaseTimes) -> None:
        self.identity, self.times = identity, times
        self.record: LeaseRecord | None = None
        self._seen = 0.0
        self._sent: float | None = None

    @property
    def seen_at(self) -> float:
        """When the record was last seen to change."""
        return self._seen

    def saw(self, record: LeaseRecord | None, now: float) -> None:
        """A record was read (`None`: there is no Lease).

        A Lease that somebody deleted ends nobody's lease: its last holder may believe in it until its end.
        """
        known = self.record
        if record is None and known is not None and known.holder:
            return
        if record is None or known is None or record.beat != known.beat:
            self._seen = now
        self.record = record
        if record is not None and record.holder != self.identity:
            self._sent = None

    def wrote(self, record: LeaseRecord, sent: float) -> None:
        """Our write was taken; it was sent at that time."""
        self.record, self._seen, self._sent = record, sent, sent

    def gave_up(self) -> None:
        """Hold it no longer, whatever the record says."""
        self._sent = None

    def next(self, now: float) -> Take | Wait:
        """What a candidate that does not lead should do."""
        record = self.record
        if record is None:
            return Take(over=None, why="there is no lease yet")
        if not record.holder:
            return Take(over=record, why="the lease was given back")
        if record.holder == self.identity:
            return Take(over=record, why="the lease is our own")
        until = self._seen + max(min(record.duration, LONGEST), self.times.duration)
        if now >= until:
            return Take(over=record, why=f"{record.holder} has not renewed it for {now - self._seen:.1f} s")
        return Wait(until=until, why=f"{record.holder} holds the lease")

    @property
    def end(self) -> float | None:
        """When our lease ends if we do not renew it; `None`: we do not have it."""
        return None if self._sent is None else self._sent + self.times.duration

    @property
    def deadline(self) -> float | None:
        """When to give up if no renewal was taken until then."""
        return None if self._sent is None else self._sent + self.times.renew


def lease_record(lease: Mapping[str, Any]) -> LeaseRecord:
    """The record in a Lease object; what is missing or odd in it counts as not there (such a lease is free)."""
    spec, meta = lease.get("spec") or {}, lease.get("metadata") or {}
    duration = spec.get("leaseDurationSeconds")
    transitions = spec.get("leaseTransitions")
    return LeaseRecord(
        holder=str(spec.get("holderIdentity") or ""),
        duration=float(duration) if isinstance(duration, int) else 0.0,
        renewed=str(spec.get("renewTime") or ""),
        acquired=str(spec.get("acquireTime") or ""),
        transitions=transitions if isinstance(transitions, int) else 0,
        resource_version=str(meta.get("resourceVersion") or ""),
        annotations={str(key): str(value) for key, value in (meta.get("annotations") or {}).items()},
    )


def held(lease: Mapping[str, Any], candidate: Candidate, wall: datetime, annotations: Mapping[str, str]) -> Json:
    """The Lease's body with the candidate as its holder. What others keep in the object stays; `leaseTransitions` counts changes of holder."""
    before = lease_record(lease)
    again = before.holder == candidate.identity
    spec = {
        **(lease.get("spec") or {}),
        "holderIdentity": candidate.identity,
        "leaseDurationSeconds": max(1, math.ceil(candidate.times.duration)),
        "renewTime": micro_time(wall),
        "acquireTime": before.acquired if again and before.acquired else micro_time(wall),
        "leaseTransitions": min(before.transitions + (0 if again or not before.acquired else 1), MOST_TRANSITIONS),
    }
    meta = lease.get("metadata") or {}
    return {
        **lease,
        "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), **annotations}},
        "spec": spec,
    }


def released(lease: Mapping[str, Any], wall: datetime, annotations: Mapping[str, str]) -> Json:
    """The Lease's body without a holder, as client-go releases it: a rival takes it at its next look. Our annotations go with us."""
    meta = lease.get("metadata") or {}
    kept = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in annotations}
    spec = {**(lease.get("spec") or {}), "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(wall)}
    return {**lease, "metadata": {**meta, "annotations": kept}, "spec": spec}


def micro_time(wall: datetime) -> str:
    """RFC 3339 with microseconds (meta/v1 MicroTime)."""
    return wall.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
