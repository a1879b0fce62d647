"""Creates, replaces, patches and deletions: what they are checked against and what they leave in the log.

In: a request and its decoded body. Out: (code, answer), or `Refused`. Nothing waits here: a write happens between two
awaits, so each is atomic. The rules of optimistic concurrency:
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#concurrency-control-and-consistency
"""

import random
from collections.abc import Callable
from typing import Any

import msgspec

from weirkeeper.testing.apiserver import objects
from weirkeeper.testing.apiserver.kinds import NAMESPACES, ServedKind
from weirkeeper.testing.apiserver.log import Entry, Log
from weirkeeper.testing.apiserver.patches import PatchFailed, json_patch, merge_patch
from weirkeeper.testing.apiserver.refused import (
    Json,
    Refused,
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
    unsupported_media,
)
from weirkeeper.testing.apiserver.request import Asked

SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
MERGE, STEPS = "application/merge-patch+json", "application/json-patch+json"
Answer = tuple[int, bytes]


def parsed(body: bytes, what: str) -> Any:
    """The JSON of a request body."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise bad_request(f"{what}: {error}") from None


def create(log: Log, asked: Asked, body: bytes) -> Answer:
    """201 with the new object."""
    kind = asked.kind
    wished = objects.decoded(kind, parsed(body, f"the object provided is unrecognized (must be of type {kind.kind})"))
    return 201, created(log, kind, asked.namespace, wished).body


def created(log: Log, kind: ServedKind, namespace: str, wished: Json) -> Entry:
    """The entry of a new object."""
    if kind.namespaced and not namespace:
        raise bad_request("an empty namespace may not be set during creation")
    wished = objects.named(objects.in_namespace(kind, wished, namespace), "".join(random.choices(SUFFIX, k=5)))
    _check_namespace(log, kind, namespace)
    objects.check(kind, wished)
    name = wished["metadata"]["name"]
    if (namespace, name) in log.shelf(kind).objects:
        raise already_exists(kind, name)
    if wished["metadata"].get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    return log.keep(kind, objects.new(kind, wished))


def replace(log: Log, asked: Asked, body: bytes) -> Answer:
    """200 with the changed object, 201 where a replace may create."""
    kind = asked.kind
    wished = objects.decoded(kind, parsed(body, f"the object provided is unrecognized (must be of type {kind.kind})"))
    name = (wished.get("metadata") or {}).get("name")
    if not name:
        raise bad_request(
            f"the name of the object ({asked.name} based on URL) was undeterminable: name must be provided"
        )
    if name != asked.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({asked.name})")
    wished = objects.in_namespace(kind, wished, asked.namespace)
    before = log.shelf(kind).objects.get((asked.namespace, asked.name))
    if before is None:
        if kind.created_by_put and not asked.subresource:
            return 201, created(log, kind, asked.namespace, wished).body
        raise not_found(kind, asked.name)
    if not wished["metadata"].get("resourceVersion") and not kind.unconditional:
        cause = ("metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0: must be specified for an update")
        raise invalid(kind.qualified, kind.group, kind.plural, asked.name, [cause])
    return 200, _change(log, asked, before, wished).body


def patch(log: Log, asked: Asked, body: bytes, content_type: str) -> Answer:
    """200 with the changed object. Strategic merge patch and server-side apply are not served (415)."""
    before = log.shelf(asked.kind).objects.get((asked.namespace, asked.name))
    change = _patch(content_type, body)
    if before is None:
        raise not_found(asked.kind, asked.name)
    wished = change(before.object)
    if wished["metadata"].get("name") != asked.name:
        raise bad_request("the name of the object does not match the name on the URL")
    if content_type == MERGE and "resourceVersion" not in (parsed(body, "").get("metadata") or {}):
        wished["metadata"].pop("resourceVersion", None)
    return 200, _change(log, asked, before, wished).body


def _patch(content_type: str, body: bytes) -> Callable[[Json], Json]:
    if content_type not in (MERGE, STEPS):
        raise unsupported_media()
    change = parsed(body, "error decoding patch")
    if content_type == MERGE:
        return lambda document: dict(merge_patch(document, change))

    def stepwise(document: Json) -> Json:
        try:
            return dict(json_patch(document, change))
        except PatchFailed:
            message = "the server rejected our request due to an error in our request"
            raise Refused(422, "Invalid", message, details={}) from None

    return stepwise


def _change(log: Log, asked: Asked, before: Entry, wished: Json) -> Entry:
    kind, metadata = asked.kind, wished["metadata"]
    _precondition(kind, before, uid=metadata.get("uid") or "", revision=metadata.get("resourceVersion") or "")
    present = before.object
    after = objects.changed(kind, present, wished, asked.subresource)
    objects.check(kind, after)
    if objects.same(present, after):
        return before
    metadata = after["metadata"]
    if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
        return log.drop(kind, (before.namespace, before.name))
    return log.keep(kind, after)


def _precondition(kind: ServedKind, before: Entry, *, uid: str, revision: str) -> None:
    if uid and uid != before.uid:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {before.uid}"
        raise conflict(kind, before.name, why)
    if revision and revision != str(before.revision):
        raise conflict(kind, before.name)


def delete(log: Log, asked: Asked, body: bytes) -> Answer:
    """200 with a Status; with the object where finalizers keep it alive."""
    kind = asked.kind
    options = parsed(body, "error decoding options") if body.strip() else {}
    conditions = options.get("preconditions") or {}
    before = log.shelf(kind).objects.get((asked.namespace, asked.name))
    if before is None:
        raise not_found(kind, asked.name)
    uid, revision = conditions.get("uid") or "", conditions.get("resourceVersion") or ""
    if uid and uid != before.uid:
        why = f"the UID in the precondition ({uid}) does not match the UID in record ({before.uid}). "
        raise conflict(kind, asked.name, why + "The object might have been deleted and then recreated")
    if revision and revision != str(before.revision):
        why = f"the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record "
        raise conflict(kind, asked.name, f"{why}({before.revision}). The object might have been modified")
    if waiting := removed(log, kind, before):
        return 200, waiting.body
    found = {"name": asked.name, "group": kind.group, "kind": kind.plural, "uid": before.uid}
    status: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return 200, msgspec.json.encode(status | {"details": {key: value for key, value in found.items() if value}})


def removed(log: Log, kind: ServedKind, before: Entry) -> Entry | None:
    """Removes an object; None, or the object that waits for its finalizers. A namespace takes all it holds with it."""
    present = before.object
    if present["metadata"].get("finalizers"):
        if present["metadata"].get("deletionTimestamp"):
            return before
        present["metadata"]["deletionTimestamp"] = objects.new(kind, present)["metadata"]["creationTimestamp"]
        present["metadata"]["deletionGracePeriodSeconds"] = 0
        return log.keep(kind, present)
    if kind.key == NAMESPACES.key:
        for shelf in list(log.shelves.values()):
            for entry in [entry for entry in shelf.objects.values() if entry.namespace == before.name]:
                log.drop(shelf.kind, (entry.namespace, entry.name))
    log.drop(kind, (before.namespace, before.name))
    return None


def _check_namespace(log: Log, kind: ServedKind, namespace: str) -> None:
    if kind.namespaced and ("", namespace) not in log.shelf(NAMESPACES).objects:
        raise not_found(NAMESPACES, namespace)
