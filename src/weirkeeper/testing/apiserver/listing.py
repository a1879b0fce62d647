"""Lists: which objects, at which revision, in which page. Pure over the log.

In: a list request. Out: the bytes of the answer. Semantics of resourceVersion and of paging:
https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list
"""

import base64
import binascii
from collections.abc import Iterable, Sequence

import msgspec

from weirkeeper.model.value import Value
from weirkeeper.testing.apiserver.kinds import ServedKind
from weirkeeper.testing.apiserver.log import Entry, Log
from weirkeeper.testing.apiserver.refused import bad_request, expired, too_large
from weirkeeper.testing.apiserver.request import Asked, check_options
from weirkeeper.testing.apiserver.selectors import Selection, selection

GONE_PAGE = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing "
    "with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the "
    "time the first chunk was returned and now may show up in the list."
)
GONE_LIST = "The resourceVersion for the provided list is too old."


class Token(Value, frozen=True, kw_only=True):
    """Where a list goes on: the revision of its first page and the key after which the next one starts."""

    v: str = "meta.k8s.io/v1"
    rv: int
    start: str

    @property
    def text(self) -> str:
        """As clients send it back."""
        raw = msgspec.json.encode({"v": self.v, "rv": self.rv, "start": self.start})
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Page(Value, frozen=True, kw_only=True):
    """One page before it is written."""

    revision: int
    entries: tuple[Entry, ...]
    proceed: str = ""
    remaining: int = 0


def token(text: str) -> Token:
    """The token that a client sent back."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Token)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from None


def page(log: Log, asked: Asked) -> Page:
    """The page that a request asks for."""
    check_options(asked)
    wanted = selection(asked.kind, asked.namespace, asked.text("labelSelector"), asked.text("fieldSelector"))
    limit = int(asked.text("limit") or 0)
    if asked.text("continue"):
        return _next_page(log, asked, wanted, limit)
    revision = _revision(log, asked)
    matched = [entry for entry in log.shelf(asked.kind).snapshot(revision) if wanted.wants(entry)]
    if asked.text("resourceVersion") == "0":
        limit = 0  # served from the watch cache, which ignores limits
    return _cut(matched, revision, limit, wanted)


def _revision(log: Log, asked: Asked) -> int:
    wished = asked.revision
    if not wished:
        return log.revision
    if wished > log.revision:
        raise too_large(wished, log.revision)
    exact = asked.text("resourceVersionMatch") == "Exact"
    if asked.text("limit") and not asked.text("resourceVersionMatch"):
        exact = True  # "any" with a limit is exact, for the sake of old clients
    if not exact:
        return log.revision
    if wished < log.shelf(asked.kind).compacted:
        raise expired(GONE_LIST)
    return wished


def _next_page(log: Log, asked: Asked, wanted: Selection, limit: int) -> Page:
    if asked.text("resourceVersion") not in ("", "0"):
        raise bad_request("specifying resource version is not allowed when using continue")
    at = token(asked.text("continue"))
    shelf = log.shelf(asked.kind)
    if at.rv >= 0 and (at.rv < shelf.compacted or at.rv > log.revision):
        raise expired(GONE_PAGE, proceed=Token(rv=-1, start=at.start).text)
    revision = at.rv if at.rv >= 0 else log.revision
    entries = shelf.snapshot(revision)
    matched = [entry for entry in entries if _key(entry) >= at.start and wanted.wants(entry)]
    return _cut(matched, revision, limit, wanted)


def _cut(matched: Sequence[Entry], revision: int, limit: int, wanted: Selection) -> Page:
    if not limit or len(matched) <= limit:
        return Page(revision=revision, entries=tuple(matched))
    proceed = Token(rv=revision, start=_key(matched[limit - 1]) + "\0").text
    remaining = 0 if wanted.filters else len(matched) - limit
    return Page(revision=revision, entries=tuple(matched[:limit]), proceed=proceed, remaining=remaining)


def _key(entry: Entry) -> str:
    return f"{entry.namespace}/{entry.name}"


def written(kind: ServedKind, found: Page, *, metadata_only: bool = False) -> bytes:
    """The answer of a list. Items of built-in kinds carry neither kind nor apiVersion, custom resources do."""
    about: dict[str, str | int] = {"resourceVersion": str(found.revision)}
    if found.proceed:
        about["continue"] = found.proceed
    if found.remaining:
        about["remainingItemCount"] = found.remaining
    name, version = f"{kind.kind}List", kind.api_version
    if metadata_only:
        name, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
    head = msgspec.json.encode({"kind": name, "apiVersion": version, "metadata": about})
    return head[:-1] + b',"items":[' + b",".join(_items(kind, found.entries, metadata_only)) + b"]}\n"


def _items(kind: ServedKind, entries: Iterable[Entry], metadata_only: bool) -> Iterable[bytes]:
    if metadata_only:
        return (metadata_of(entry) for entry in entries)
    if kind.custom:
        return (entry.body for entry in entries)
    start = len(kind.prefix)
    return (b"{" + entry.body[start:] for entry in entries)


class _Partial(msgspec.Struct):
    metadata: msgspec.Raw


def metadata_of(entry: Entry) -> bytes:
    """The object as PartialObjectMetadata."""
    metadata = bytes(msgspec.json.decode(entry.body, type=_Partial).metadata)
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":' + metadata + b"}"
