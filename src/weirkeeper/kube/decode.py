"""Bytes of the API server to our small structs, item by item, so that one object that does not fit harms no other.

Comes in: the body of a list, the line of a watch, the body of an error. Goes out: `Item`s, watch events and failures, all values. No IO lives here.

Items of a list carry neither kind nor apiVersion, so the decoder writes both, and the cluster, behind the last field: of fields that appear twice the last
one counts, and no object can pass for one of another kind or cluster. What the struct does not declare (managedFields among it) is skipped while parsing; the
copy of itself that `kubectl apply` leaves in an annotation is taken out.
"""

from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from weirkeeper.kube.errors import ApiFailure, BadAnswer, api_failure
from weirkeeper.kube.resources import Resource
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.ids import LOCAL

T = TypeVar("T", bound=KubeObject)

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
INITIAL_END = "k8s.io/initial-events-end"
"""The annotation of the bookmark that ends the initial events of a streamed list (KEP-3157)."""


class Item(NamedTuple, Generic[T]):
    """One object of a list or an event: who it is, and either the object or what does not fit. Without a name it could not even be identified."""

    name: str
    namespace: str
    uid: str
    resource_version: str
    object: T | None
    problem: str = ""


Result = Item


class Page(NamedTuple, Generic[T]):
    """A part of a list. `resource_version` is that of the whole list; `continues`: more pages follow."""

    items: tuple[Item[T], ...]
    resource_version: str
    continues: bool
    token: str = ""
    """What to ask the next page with."""


class Changed(NamedTuple, Generic[T]):
    """ADDED, MODIFIED or DELETED."""

    type: str
    item: Item[T]


class Bookmark(NamedTuple):
    """Nothing changed up to this resourceVersion; `ends_initial`: the objects of before have all been told."""

    resource_version: str
    ends_initial: bool


class _Identity(msgspec.Struct, rename="camel", gc=False):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _Identified(msgspec.Struct, gc=False):
    metadata: _Identity


class _ListMetadata(msgspec.Struct, rename="camel", frozen=True):
    resource_version: str = ""
    token: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct):
    kind: str
    items: list[msgspec.Raw] | None
    metadata: _ListMetadata = _ListMetadata()


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _StatusDetails(msgspec.Struct, rename="camel"):
    retry_after_seconds: float = 0


class _Status(msgspec.Struct):
    kind: str = ""
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _StatusDetails | None = None


_IDENTITY = msgspec.json.Decoder(_Identified)
_LIST = msgspec.json.Decoder(_List)
_EVENT = msgspec.json.Decoder(_Event)
_STATUS = msgspec.json.Decoder(_Status)


class Decoder(Generic[T]):
    """Decodes the objects of one kind of one cluster."""

    def __init__(self, resource: Resource, type: type[T], cluster: str = LOCAL) -> None:  # noqa: A002 - the field's word
        self._decoder = msgspec.json.Decoder(type)
        self._fixed = (("api_version", resource.api_version), ("kind", resource.kind), ("cluster", cluster))
        self._suffix = b"," + msgspec.json.encode(
            {"apiVersion": resource.api_version, "kind": resource.kind, "cluster": cluster}
        )[1:]  # fmt: skip

    def item(self, raw: msgspec.Raw | bytes) -> Item[T]:
        """The object in these bytes, or what is wrong with it; never raises."""
        view = memoryview(raw)
        try:
            who = _IDENTITY.decode(view).metadata
        except (msgspec.DecodeError, RecursionError) as error:
            return Item("", "", "", "", None, str(error))
        try:
            found = self._decoder.decode(bytes(view[:-1]) + self._suffix)
        except (msgspec.DecodeError, RecursionError) as error:
            return Item(who.name, who.namespace, who.uid, who.resource_version, None, str(error))
        return Item(who.name, who.namespace, who.uid, who.resource_version, self._slim(found))

    def page(self, body: bytes) -> Page[T]:
        """The page in this body; `BadAnswer` where it is no list at all."""
        try:
            listed = _LIST.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadAnswer(f"not a list: {error}", status=200, reason="NotAList") from error
        if not listed.kind.endswith("List"):
            raise BadAnswer(f"a list was expected, {listed.kind[:80]!r} came", status=200, reason="NotAList")
        items = tuple(self.item(raw) for raw in listed.items or ())
        return Page(items, listed.metadata.resource_version, bool(listed.metadata.token), listed.metadata.token)

    def event(self, line: bytes) -> Changed[T] | Bookmark | ApiFailure:
        """What one line of a watch says. An ERROR event is the failure that it tells; a line that can't be read is a `BadAnswer`."""
        try:
            event = _EVENT.decode(line)
            if event.type == "ERROR":
                return status_failure(bytes(event.object), 0)
            if event.type == "BOOKMARK":
                return _bookmark(_IDENTITY.decode(event.object).metadata)
        except (msgspec.DecodeError, RecursionError) as error:
            return BadAnswer(f"not a watch event: {error}", reason="NotAnEvent")
        if event.type not in ("ADDED", "MODIFIED", "DELETED"):
            return BadAnswer(f"an event of the type {event.type[:40]!r}", reason="NotAnEvent")
        return Changed(event.type, self.item(event.object))

    def _slim(self, found: T) -> T:
        """Without kubectl's copy, and with one text for all where every object has the same."""
        for field, value in self._fixed:
            msgspec.structs.force_setattr(found, field, value)
        annotations = found.metadata.annotations
        if annotations is not None and annotations.pop(LAST_APPLIED, None) is not None and not annotations:
            msgspec.structs.force_setattr(found.metadata, "annotations", None)
        return found


def status_failure(body: bytes, http_status: int, retry_after: float | None = None) -> ApiFailure:
    """The failure that the body of an error tells; any body will do. `http_status` counts where it is not 0, else the code in the body."""
    try:
        said = _STATUS.decode(body)
    except (msgspec.DecodeError, RecursionError):
        said = _Status()
    if said.kind != "Status":
        said = _Status(message=_first_words(body))
    if retry_after is None and said.details is not None and said.details.retry_after_seconds > 0:
        retry_after = said.details.retry_after_seconds
    return api_failure(http_status or said.code or 500, said.reason, said.message or "no message", retry_after)


def plain(body: bytes) -> dict[str, Any]:
    """The object in an answer, untyped."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadAnswer(f"not JSON: {error}", status=200, reason="NotJson") from error
    if not isinstance(found, dict):
        raise BadAnswer("an object was expected", status=200, reason="NotJson")
    return found


def _bookmark(metadata: _Identity) -> Bookmark:
    return Bookmark(metadata.resource_version, (metadata.annotations or {}).get(INITIAL_END) == "true")


def _first_words(body: bytes) -> str:
    text = body[:300].decode("utf-8", "replace").strip()
    return "".join(c if c.isprintable() else " " for c in text)
