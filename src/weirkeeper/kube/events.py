"""Events on objects (events.k8s.io/v1): what `kubectl describe` shows to whoever owns the object.

Comes in: what happened to which object. Goes out: bodies to create and to patch. Pure; limits are the API's own (validation of events.k8s.io/v1: a note of 1,024
bytes, a reason and an action of 128 characters, a series counts from 2).

An event's name is made of what it says, so it has one name on every replica and in every life: who says the same again finds it there and raises its count.
"""

import hashlib
from datetime import datetime
from typing import Any, NamedTuple

from weirkeeper.kube.lease import micro_time
from weirkeeper.kube.resources import KNOWN
from weirkeeper.model.ids import Ref
from weirkeeper.model.value import Value

Json = dict[str, Any]
EVENT = KNOWN["events.k8s.io", "Event"]
LONGEST_NOTE = 1024
LONGEST_NAME = 253
CLUSTER_WIDE = "default"
"""The namespace of events about objects that have none."""


class Happening(Value, frozen=True, kw_only=True):
    """One thing to say about one object. `api_version` and `uid` are the object's; without the uid, `kubectl describe` would not find it."""

    ref: Ref
    api_version: str
    uid: str
    reason: str
    action: str
    note: str
    warning: bool = True
    path: str = ""

    @property
    def namespace(self) -> str:
        """Where the event lives."""
        return self.ref.namespace or CLUSTER_WIDE

    @property
    def name(self) -> str:
        """Its name: the object's, and a digest of what is said."""
        said = f"{self.uid}\0{self.ref.kind}\0{self.reason}\0{self.path}\0{self.note}"
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        return f"{self.ref.name[: LONGEST_NAME - 17].rstrip('.-')}.{digest}"


def first_event(happening: Happening, wall: datetime, *, reporter: str, instance: str) -> Json:
    """The event that says it for the first time."""
    ref = happening.ref
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"name": happening.name, "namespace": happening.namespace},
        "eventTime": micro_time(wall),
        "reportingController": reporter,
        "reportingInstance": instance[:128],
        "action": happening.action[:128],
        "reason": happening.reason[:128],
        "regarding": {
            "apiVersion": happening.api_version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "uid": happening.uid,
        },
        "note": short(happening.note),
        "type": "Warning" if happening.warning else "Normal",
    }


class Spoken(NamedTuple):
    """An event that is there: in which version, and how often it was said."""

    version: str
    times: int = 1


def spoken(event: Json) -> Spoken:
    """What an answer of the server says of an event."""
    return Spoken(str(event["metadata"]["resourceVersion"]), int((event.get("series") or {}).get("count") or 1))


def again(before: Spoken, wall: datetime) -> Json:
    """The patch that counts it once more."""
    return {
        "metadata": {"resourceVersion": before.version},
        "series": {"count": before.times + 1, "lastObservedTime": micro_time(wall)},
    }


def short(note: str, longest: int = LONGEST_NOTE) -> str:
    """The note, cut at whole characters so that its UTF-8 fits."""
    if len(encoded := note.encode()) <= longest:
        return note
    return encoded[: longest - 3].decode(errors="ignore") + "…"
