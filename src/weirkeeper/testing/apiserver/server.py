"""A Kubernetes API server on the wire, small enough to run in a test's own event loop, with every trouble on demand.

Theory of operation. All state is a revision log (`log`). A request is taken apart (`request`), its caller named
(`access`), the faults that strike it applied (`faults`), then served: lists from snapshots of the log (`listing`), writes
between two awaits (`writing`), watches from the log's tail (`watching`). Each request leaves a record (`audit`).
What it does not have: admission beyond a few checks, conversion between versions, server-side apply, strategic merge
patch, garbage collection. The tests in tests/api/test_verified_*.py hold it against a real kube-apiserver.

    async with ApiServer() as api:
        api.put({"kind": "Ingress", "metadata": {"name": "shop", "namespace": "default"}, "spec": {...}})
        api.faults.add(Fault(what=Trouble.STALL, plural="ingresses", after=3))
        ... a client against api.url ...
"""

import asyncio
import itertools
import socket
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

import msgspec
from aiohttp import web

from weirkeeper.listening import accept_no_more
from weirkeeper.testing.apiserver import listing, objects, writing
from weirkeeper.testing.apiserver.access import Access, User, forbidden
from weirkeeper.testing.apiserver.audit import Audit, Record, digest
from weirkeeper.testing.apiserver.discovery import discovery
from weirkeeper.testing.apiserver.faults import BEFORE, Faults, Trouble
from weirkeeper.testing.apiserver.kinds import DEFINITIONS, KINDS, NAMESPACES, TOKEN_REVIEWS, ServedKind
from weirkeeper.testing.apiserver.kinds import custom as custom_kind
from weirkeeper.testing.apiserver.log import Log
from weirkeeper.testing.apiserver.refused import (
    Json,
    Refused,
    conflict,
    expired,
    internal,
    invalid_options,
    method_not_allowed,
    no_such_resource,
    not_found,
    too_many,
    unauthorized,
)
from weirkeeper.testing.apiserver.request import WRITES, Asked, asked, check_options
from weirkeeper.testing.apiserver.watching import Cut, Watch

Aside = Callable[[str, bytes], bytes]
"""Answers what is no part of the Kubernetes API (see `control`)."""
AT_START = ("default", "kube-node-lease", "kube-public", "kube-system")
LARGEST_BODY = 4 * 1024 * 1024
NO_FEATURE = "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"


class ApiServer:
    """A running fake API server; an async context manager.

    ``write_delay``: seconds that each write takes, as etcd would. ``bookmark_every``: seconds between bookmarks.
    ``watch_list``: whether streamed lists are served. ``largest_page``: pages are cut to that size (0: as asked). ``tls``: serve HTTPS. ``keep_bodies``: the audit keeps the bodies
    of writes. ``clock``: by which the audit notes when.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, kinds: tuple[ServedKind, ...] = KINDS,
                 tls: ssl.SSLContext | None = None, write_delay: float = 0.0, bookmark_every: float = 60.0,
                 watch_list: bool = True, largest_page: int = 0, anonymous: bool = True, keep_bodies: bool = False,
 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self.host, self.port = host, port
        self.kinds = {kind.key: kind for kind in kinds}
        self.log, self.faults, self.audit = Log(), Faults(), Audit()
        self.access = Access(anonymous=anonymous)
        self.write_delay, self.bookmark_every, self.watch_list = write_delay, bookmark_every, watch_list
        self.largest_page = largest_page
        self.keep_bodies, self._clock = keep_bodies, clock
        self.watches: dict[int, Watch] = {}
        self._numbers = itertools.count(1)
        self._tls = tls
        self._runner: web.ServerRunner | None = None
        self.aside: Aside | None = None
        for name in AT_START:
            self.put({"kind": "Namespace", "metadata": {"name": name}})

    # ---- life

    async def start(self) -> None:
        """Listen; a port of 0 becomes the one that was given, and stays across restarts."""
        server = web.Server(self._answer, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.0)
        await self._runner.setup()
        listener = self._listener = socket.create_server((self.host, self.port), reuse_port=False, backlog=4096)
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener, ssl_context=self._tls, backlog=4096).start()

    async def stop(self) -> None:
        """Stop listening and end every connection; what is stored stays, and `start` serves it again."""
        self.cut_watches(how="abort")
        if self._runner is not None:
            await accept_no_more((self._listener,))
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        await self.stop()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    def kubeconfig(self, *, token: str = "", server: str = "") -> str:
        """A kubeconfig (YAML) for it, or for the proxy at ``server`` before it."""
        user = {"token": token} if token else {}
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": server or self.url}}],
            "users": [{"name": "fake", "user": user}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        }  # fmt: skip
        return msgspec.json.encode(document).decode()

    # ---- from the side: no request, no audit, no delay

    def serve(self, kind: ServedKind) -> None:
        """Serve one more kind."""
        self.kinds[kind.key] = kind

    def withdraw(self, plural: str, group: str = "") -> None:
        """Serve a kind no longer; its watches end."""
        del self.kinds[group, plural]
        self.cut_watches(plural)

    def kind(self, name: str, api_version: str = "") -> ServedKind:
        """The kind of an object, by its `kind` or plural; the API version decides between groups."""
        group = api_version.rpartition("/")[0]
        for kind in self.kinds.values():
            if name in (kind.kind, kind.plural) and (not api_version or group == kind.group):
                return kind
        raise no_such_resource()

    def put(self, body: Json) -> int:
        """Create or replace an object as it is, status included; its revision. The namespace is made if missing."""
        kind = self.kind(body["kind"], body.get("apiVersion", ""))
        metadata = dict(body["metadata"])
        namespace = metadata.get("namespace", "")
        if kind.namespaced and not namespace:
            namespace = metadata["namespace"] = "default"
        if kind.namespaced and ("", namespace) not in self.log.shelf(NAMESPACES).objects:
            self.put({"kind": "Namespace", "metadata": {"name": namespace}})
        before = self.log.shelf(kind).objects.get((namespace, metadata["name"]))
        body = body | {"metadata": metadata}
        kept = objects.new(kind, body)
        if kind.status and "status" in body:
            kept["status"] = body["status"]
        if before is not None:
            present = before.object["metadata"]
            kept["metadata"] |= {
                key: present[key] for key in ("uid", "creationTimestamp", "generation") if key in present
            }
        return self.log.keep(kind, kept).revision

    def remove(self, kind: str, name: str, namespace: str = "", *, api_version: str = "") -> int:
        """Delete an object; the revision of its deletion."""
        return self.log.drop(self.kind(kind, api_version), (namespace, name)).revision

    def get(self, kind: str, name: str, namespace: str = "", *, api_version: str = "") -> Json | None:
        """An object as it is now; None where there is none."""
        entry = self.log.shelf(self.kind(kind, api_version)).objects.get((namespace, name))
        return None if entry is None else entry.object

    def compact(self, revision: int | None = None) -> None:
        """Forget the history before a revision (all of it by default): who asks for older gets 410."""
        self.log.compact(self.log.revision if revision is None else revision)

    def restore(self, revision: int) -> None:
        """Go back to an earlier revision, as an etcd restored from a backup: connections end, revisions start over."""
        self.cut_watches(how="abort")
        self.log.go_back(revision)

    def cut_watches(self, plural: str = "", *, how: str = "close") -> int:
        """End running watches (of one kind), in order (`close`) or by breaking the connection (`abort`); how many."""
        ending = [watch for watch in self.watches.values() if plural in ("", watch.asked.kind.plural)]
        for watch in ending:
            watch.end(how)
        return len(ending)

    # ---- requests

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        agent = request.headers.get("User-Agent", "")
        body = await request.read() if request.can_read_body else b""
        record = Record(at=0, user="", agent=agent, verb=request.method.lower(), path=request.path_qs, status=0)
        before = self.log.revision
        try:
            user = self.access.caller(request.headers.get("Authorization", ""), _certificate_name(request))
            record = msgspec.structs.replace(record, user=user.name)
            if self.aside is not None and request.path.startswith("/_control/"):
                return web.Response(body=self.aside(request.path, body), content_type="application/json")
            if request.method == "GET" and (found := discovery(request.path, self.kinds.values())) is not None:
                return self._done(record, 200, msgspec.json.encode(found))
            if request.path in ("/livez", "/readyz", "/healthz"):
                return self._done(record, 200, b"ok", "text/plain")
            wish = self._asked(request)
            record = _named(record, wish, body, self.keep_bodies)
            self.access.check(user, wish)
            await self._strike(request, user, wish)
            if wish.verb == "watch":
                return await self._watch(request, wish, record)
            code, answer = await self._serve(request, wish, body)
            before = self.log.revision if wish.verb not in WRITES else before
        except Refused as refused:
            return self._done(record, refused.code, refused.body, headers=dict(refused.headers))
        if self.faults.find(
            (Trouble.ANSWER_LOST,), wish.verb, wish.kind.plural, namespace=wish.namespace, user=user.name
        ):
            _break(request)
        made = self.log.revision if self.log.revision != before and wish.verb in WRITES else 0
        return self._done(msgspec.structs.replace(record, revision=made), code, answer)

    def _asked(self, request: web.BaseRequest) -> Asked:
        wish = asked(request.method, request.path, request.query, self.kinds)
        limit = int(wish.text("limit") or 0)
        if self.largest_page and limit > self.largest_page:
            return msgspec.structs.replace(wish, query=wish.query | {"limit": str(self.largest_page)})
        return wish

    def _done(self, record: Record, code: int, body: bytes, content_type: str = "application/json",
              headers: dict[str, str] | None = None) -> web.Response:  # fmt: skip
        self.audit.add(msgspec.structs.replace(record, status=code, at=self._clock()))
        return web.Response(status=code, body=body, content_type=content_type, headers=headers)

    async def _strike(self, request: web.BaseRequest, user: User, wish: Asked) -> None:
        """Lets a fault that comes before everything else have its way."""
        kind = wish.kind
        fault = self.faults.find(BEFORE, wish.verb, kind.plural, namespace=wish.namespace, user=user.name)
        if fault is None:
            return
        match fault.what:
            case Trouble.UNAUTHORIZED:
                raise unauthorized()
            case Trouble.FORBIDDEN:
                raise forbidden(user, wish)
            case Trouble.KIND_MISSING:
                raise no_such_resource()
            case Trouble.TOO_MANY:
                raise too_many(max(round(fault.seconds), 1))
            case Trouble.NO_ANSWER:
                _break(request)
                raise internal()
            case Trouble.CONFLICT:
                raise conflict(kind, wish.name)
            case _:
                raise internal()

    async def _serve(self, request: web.BaseRequest, wish: Asked, body: bytes) -> writing.Answer:
        if wish.kind.key == TOKEN_REVIEWS.key:
            if wish.verb != "create":
                raise method_not_allowed()
            review = writing.parsed(body, "error decoding the review")
            return 201, msgspec.json.encode(self.access.review(review))
        metadata_only = "as=PartialObjectMetadata" in request.headers.get("Accept", "")
        if wish.verb == "list":
            return 200, await self._list(request, wish, metadata_only)
        if wish.verb == "get":
            entry = self.log.shelf(wish.kind).objects.get((wish.namespace, wish.name))
            if entry is None:
                raise not_found(wish.kind, wish.name)
            return 200, listing.metadata_of(entry) if metadata_only else entry.body
        return await self._write(request, wish, body)

    async def _list(self, request: web.BaseRequest, wish: Asked, metadata_only: bool) -> bytes:
        plural, carried = wish.kind.plural, wish.text("continue")
        if slow := self.faults.find((Trouble.SLOW_LIST,), "list", plural):
            await asyncio.sleep(slow.seconds)
        if carried and self.faults.find((Trouble.GONE_CONTINUE,), "list", plural):
            token = listing.token(carried)
            raise expired(listing.GONE_PAGE, proceed=listing.Token(rv=-1, start=token.start).text)
        found = listing.page(self.log, wish)
        number = int(wish.text("limit") or 0) and _page_number(self.log, wish)
        if self.faults.find((Trouble.PAGE_FAILS,), "list", plural, page=number):
            raise internal()
        if self.faults.find((Trouble.EMPTY_LIST,), "list", plural):
            found = listing.Page(revision=found.revision, entries=())
        written = listing.written(wish.kind, found, metadata_only=metadata_only)
        if self.faults.find((Trouble.PAGE_CUT,), "list", plural, page=number):
            await _half(request, written)
        return written

    async def _write(self, request: web.BaseRequest, wish: Asked, body: bytes) -> writing.Answer:
        if self.write_delay:
            await asyncio.sleep(self.write_delay)
        match wish.verb:
            case "create":
                answer = writing.create(self.log, wish, body)
            case "update":
                answer = writing.replace(self.log, wish, body)
            case "patch":
                content_type = request.headers.get("Content-Type", "").partition(";")[0].strip()
                answer = writing.patch(self.log, wish, body, content_type)
            case "delete":
                answer = writing.delete(self.log, wish, body)
            case _:
                found = listing.page(self.log, wish)
                for entry in found.entries:
                    writing.removed(self.log, wish.kind, entry)
                answer = 200, listing.written(wish.kind, found)
        if wish.kind.key == DEFINITIONS.key:
            self._define()
        return answer

    def _define(self) -> None:
        """Serve the kinds that CustomResourceDefinitions name."""
        for entry in self.log.shelf(DEFINITIONS).objects.values():
            spec = entry.object["spec"]
            version = next(version for version in spec["versions"] if version.get("served"))
            kind = custom_kind(spec["names"]["plural"], spec["names"]["kind"], group=spec["group"], version=version["name"],
                               namespaced=spec["scope"] == "Namespaced",
                               status="status" in (version.get("subresources") or {}))  # fmt: skip
            self.kinds.setdefault(kind.key, kind)

    # ---- watches

    async def _watch(self, request: web.BaseRequest, wish: Asked, record: Record) -> web.StreamResponse:
        self._refuse_watch(wish)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        metadata_only = "as=PartialObjectMetadata" in request.headers.get("Accept", "")
        watch = Watch(self.log, self.faults, wish, response.write, metadata_only=metadata_only,
                      bookmark_every=self.bookmark_every, watch_list=self.watch_list)  # fmt: skip
        self.audit.add(msgspec.structs.replace(record, status=200, at=self._clock()))
        await response.prepare(request)
        number = next(self._numbers)
        self.watches[number] = watch
        try:
            await watch.run()
            await response.write_eof()
        except Cut:
            _break(request)
        except ConnectionError:
            pass  # the client went first
        finally:
            del self.watches[number]
        return response

    def _refuse_watch(self, wish: Asked) -> None:
        plural = wish.kind.plural
        if self.faults.find((Trouble.GONE_STATUS,), "watch", plural):
            raise expired(f"too old resource version: {wish.revision or 0} ({self.log.revision})")
        if "sendInitialEvents" in wish.query and (
            not self.watch_list or self.faults.find((Trouble.NO_WATCH_LIST,), "watch", plural)
        ):
            raise invalid_options("sendInitialEvents", NO_FEATURE)
        check_options(wish)
        _ = wish.revision


def _named(record: Record, wish: Asked, body: bytes, keep: bool) -> Record:
    sent = ""
    if wish.verb in WRITES and b"resourceVersion" in body:
        sent = _sent_version(body)
    return msgspec.structs.replace(
        record, verb=wish.verb, group=wish.kind.group, plural=wish.kind.plural, namespace=wish.namespace, name=wish.name,
        subresource=wish.subresource, sent_version=sent, digest=digest(body), body=body.decode("utf-8", "replace") if keep else "",
    )  # fmt: skip


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Sent(msgspec.Struct, frozen=True):
    """Where a write says which revision it means: an object, or the options of a deletion."""

    metadata: _Version = _Version()
    preconditions: _Version = _Version()


def _sent_version(body: bytes) -> str:
    try:
        sent = msgspec.json.decode(body, type=_Sent)
    except msgspec.MsgspecError:
        return ""
    return sent.metadata.resource_version or sent.preconditions.resource_version


def _page_number(log: Log, wish: Asked) -> int:
    """Which page a list request asks for, counted from 0."""
    if not wish.text("continue"):
        return 0
    start = listing.token(wish.text("continue")).start
    before = sum(f"{entry.namespace}/{entry.name}" < start for entry in log.shelf(wish.kind).objects.values())
    return -(-before // int(wish.text("limit")))


def _certificate_name(request: web.BaseRequest) -> str:
    """The common name of a client certificate (the user, by Kubernetes' rule); empty without one."""
    transport = request.transport
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return cast(str, value)
    return ""


def _break(request: web.BaseRequest) -> None:
    """Ends the connection as it is; what was written still arrives."""
    if request.transport is not None:
        request.transport.close()


async def _half(request: web.BaseRequest, body: bytes) -> None:
    """Sends the first half of an answer, then ends the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    _break(request)
