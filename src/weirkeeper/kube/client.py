"""Requests to one API server: typed answers out, one failure of a small tree otherwise, and never anything retried behind the caller's back.

Comes in: an `Access`, resources and bodies. Goes out: typed objects, pages of lists, raw lines of watches, untyped objects of writes. What a watch means
lives in `watch.py`, what bytes mean in `decode.py`. A 401 alone is answered here: credentials are renewed and the request is sent once more.

HTTP/1.1 with a pool of kept connections; a watch takes a connection for itself. Every request has one time limit for all of it, credentials included; a watch
has it up to the head of its answer. Dead peers are noticed by TCP within about 30 s. Answers come uncompressed: in a cluster the bytes are cheaper than the
time on both sides. Redirects are not followed, so that no other host ever sees the token.
"""
# ruff: noqa: A002, ASYNC109 - `type` and `timeout` are the words that fit; every request has a limit of its own

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import aiohttp
import msgspec
from yarl import URL

from weirkeeper.kube.access import Access
from weirkeeper.kube.answers import NETWORK_FAILURES, failure_of, lines_of, unreachable
from weirkeeper.kube.decode import Decoder, Page, plain
from weirkeeper.kube.errors import BadAnswer
from weirkeeper.kube.resources import Resource
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.ids import LOCAL

T = TypeVar("T", bound=KubeObject)
Json = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_READ_BUFFER = 1 << 18
_THROW_AWAY = struct.pack("ii", 1, 0)


class Client:
    """A client of one API server; an asynchronous context manager. Every request may raise any `ApiFailure`.

    `timeout` (seconds) holds for a whole request where the request names none. `cluster` is the name that decoded objects get.
    """

    def __init__(
        self, access: Access, *, user_agent: str = "weirkeeper", timeout: float = 10.0, cluster: str = LOCAL
    ) -> None:
        self.access = access
        self.cluster = cluster
        self._user_agent = user_agent
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._decoders: dict[tuple[Resource, type[KubeObject]], Decoder[Any]] = {}

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60, socket_factory=_watched_socket)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            read_bufsize=_READ_BUFFER,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        await self.access.close()

    @overload
    async def get(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        type: type[T],
        timeout: float | None = None,
    ) -> T: ...
    @overload
    async def get(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        type: None = None,
        timeout: float | None = None,
    ) -> Json: ...
    async def get(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        type: type[T] | None = None,
        timeout: float | None = None,
    ) -> T | Json:
        """The object; raises `BadAnswer` where it does not fit its type. Untyped where no type is given."""
        accept = METADATA if type is not None and type.metadata_only else JSON
        body = await self.get_path(resource.path(namespace, name), accept=accept, timeout=timeout)
        if type is None:
            return plain(body)
        item = self.decoder(resource, type).item(body.strip())
        if item.object is None:
            raise BadAnswer(f"{resource.kind} {namespace}/{name}: {item.problem}", status=200, reason="Unreadable")
        return item.object

    async def get_path(self, path: str, *, accept: str = JSON, timeout: float | None = None) -> bytes:
        """The body of any path (discovery, `/version`, `/readyz`)."""
        return await self._whole("GET", path, {}, accept=accept or JSON, timeout=timeout)

    async def pages(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        type: type[T],
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        resource_version: str | None = None,
        resource_version_match: str = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Page[T], None]:
        """The pages of a list; `timeout` is for each. `Gone` in between: the continue token is too old, begin again."""
        query = {
            "limit": str(limit) if limit else "",
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": resource_version or "",
            "resourceVersionMatch": resource_version_match,
        }
        decoder = self.decoder(resource, type)
        accept = METADATA_LIST if type.metadata_only else JSON
        while True:
            body = await self._whole("GET", resource.path(namespace), query, accept=accept, timeout=timeout)
            page = decoder.page(body)
            del body
            token = page.token
            yield page
            del page
            if not token:
                return
            query |= {"continue": token, "resourceVersion": "", "resourceVersionMatch": ""}

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        initial: bool = False,
        bookmarks: bool = True,
        timeout_seconds: int | None = None,
        metadata_only: bool = False,
        timeout: float | None = None,
        silence: float | None = None,
        opened: Callable[[], None] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, one event each (`Decoder.event` reads them); ends when the server ends it. Close it (`contextlib.aclosing`) when left early.

        `initial`: the server streams what is there first and ends that with an annotated bookmark. `timeout` limits the time to the head of the answer,
        `silence` (seconds) the time between any two bytes after it (then `Unreachable`, reason Stalled), `timeout_seconds` what the server keeps it open
        for. `opened` is called when the head has come.
        """
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true" if bookmarks else "",
            "resourceVersion": resource_version,
            "sendInitialEvents": "true" if initial else "",
            "resourceVersionMatch": "NotOlderThan" if initial else "",
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "timeoutSeconds": "" if timeout_seconds is None else str(timeout_seconds),
        }
        accept = METADATA if metadata_only else JSON
        try:
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                answer = await self._sent("GET", resource.path(namespace), query, accept=accept, silence=silence)
        except NETWORK_FAILURES as error:
            raise self._unreachable(error) from error
        try:
            if opened is not None:
                opened()
            async with aclosing(lines_of(answer.content)) as lines:
                async for line in lines:
                    yield line
        except NETWORK_FAILURES as error:
            raise self._unreachable(error) from error
        finally:
            _cut(answer)

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        namespace: str = "",
        *,
        subresource: str = "",
        name: str = "",
        timeout: float | None = None,
    ) -> Json:
        """The object as created; `AlreadyExists` where one of that name is there. With `name` and `subresource`: a TokenRequest, an Eviction."""
        return await self._written("POST", resource.path(namespace, name, subresource), body, JSON, timeout=timeout)

    async def replace(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        namespace: str = "",
        subresource: str = "",
        *,
        timeout: float | None = None,
    ) -> Json:
        """The object as replaced; `Conflict` where the body's resourceVersion is not the latest."""
        return await self._written("PUT", resource.path(namespace, name, subresource), body, JSON, timeout=timeout)

    async def patch(
        self,
        resource: Resource,
        name: str,
        body: object,
        namespace: str = "",
        subresource: str = "",
        *,
        content_type: str = MERGE_PATCH,
        query: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Json:
        """The object as patched; `query` carries fieldManager and force of a server-side apply."""
        return await self._written(
            "PATCH", resource.path(namespace, name, subresource), body, content_type, timeout=timeout, query=query
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        timeout: float | None = None,
    ) -> Json:
        """What the server says of the deletion; `Conflict` where uid or resourceVersion are not those of the object that is there."""
        wanted = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": {key: value for key, value in wanted.items() if value is not None},
        }
        return await self._written("DELETE", resource.path(namespace, name), body, JSON, timeout=timeout)

    async def post(self, path: str, body: Mapping[str, Any], *, timeout: float | None = None) -> Json:
        """The answer to a body posted to any path."""
        return await self._written("POST", path, body, JSON, timeout=timeout)

    def decoder(self, resource: Resource, type: type[T]) -> Decoder[T]:
        """The decoder for objects of this resource, kept."""
        key = (resource, type)
        if key not in self._decoders:
            self._decoders[key] = Decoder(resource, type, self.cluster)
        return self._decoders[key]

    async def _written(
        self,
        method: str,
        path: str,
        body: object,
        content_type: str,
        *,
        timeout: float | None,
        query: Mapping[str, str] | None = None,
    ) -> Json:
        encoded = msgspec.json.encode(body)
        return plain(
            await self._whole(method, path, query or {}, body=encoded, content_type=content_type, timeout=timeout)
        )

    async def _whole(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        accept: str = JSON,
        body: bytes | None = None,
        content_type: str = JSON,
        timeout: float | None,
    ) -> bytes:
        try:
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                answer = await self._sent(method, path, query, accept=accept, body=body, content_type=content_type)
                async with answer:
                    return await answer.read()
        except NETWORK_FAILURES as error:
            raise self._unreachable(error) from error

    async def _sent(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        *,
        accept: str,
        body: bytes | None = None,
        content_type: str = JSON,
        silence: float | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer with its head read and its status below 300; after a 401 asked once more with renewed credentials."""
        url = URL(self.access.server + path, encoded=True).with_query(
            {key: value for key, value in query.items() if value}
        )
        headers = {"Accept": accept} | ({} if body is None else {"Content-Type": content_type})
        for attempt in (1, 2):
            answer = await self._once(method, url, headers, body, silence)
            if answer.status < 300:
                return answer
            async with answer:
                failure = await failure_of(answer)
            if failure.status != 401 or attempt == 2 or not self.access.renewed():
                raise failure
        raise AssertionError("the second attempt returns or raises")

    async def _once(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, silence: float | None
    ) -> aiohttp.ClientResponse:
        assert self._session is not None, "a client is used inside `async with`"
        authorization = await self.access.authorization()
        context = await self.access.ssl_context()
        own = [*headers.items(), *self.access.headers]
        if authorization is not None:
            own.append(("Authorization", authorization))
        return await self._session.request(
            method,
            url,
            headers=own,
            data=body,
            ssl=context if context is not None else True,
            server_hostname=self.access.server_name,
            proxy=self.access.proxy,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence),
        )

    def _unreachable(self, error: Exception) -> Exception:
        if isinstance(error, aiohttp.ClientSSLError):
            self.access.distrusted()
        return unreachable(error, self.access.server)


def _cut(answer: aiohttp.ClientResponse) -> None:
    """End an answer that goes on, at once: a farewell of TLS would wait half a minute for a server that is silent."""
    if answer.connection is not None and answer.connection.transport is not None:
        answer.connection.transport.abort()
    answer.close()


def _watched_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket whose dead peer is noticed: probes after 15 s of silence, given up 15 s later; sent bytes are acknowledged within 30 s.

    To close it is to throw away what was not delivered (socket(7), SO_LINGER): a write that we have given up must not arrive when a broken network heals, when
    somebody else leads.
    """
    made = socket.socket(address[0], address[1], address[2])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _THROW_AWAY)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
