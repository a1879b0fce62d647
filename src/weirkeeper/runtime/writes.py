"""Writes of the leader: the client that everything led is given, and the only road of the product's writes to an API server.

Comes in: a client and the leadership. Goes out: the same requests, each with two locks. *Time*: a request is refused here when its time limit ends after our lease
does, asked at the moment of sending, so nothing leaves a holder later than its lease's end minus the request's own limit. *Version*: a replacement or patch names
the resourceVersion that it was made from, a deletion a uid or version, so what was held up on the way changes nothing that somebody changed since.

Why the limit is a fence for a process that is stopped in mid-request: on waking, timers that are due run before any task that waits for a connection does, so the
request is cancelled before its first byte is written; what the kernel already has was sent in time.

A write that is under way when its writer is cancelled is waited for, as long as its own limit: so nothing is on its way when the Lease is given back.

A creation has no version to name. What is created (Events, Quarantines, Holds) has a name that is made of what it says: stored late, as an API server that
was slow may do after our end, it changes no value; the next leader finds it there and counts it, or deletes what is not wished.

Not led, and so not here: the Lease itself, TokenReviews, and the Lease in which a follower says what it sees (`detour.py`), which nobody else writes.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from weirkeeper.kube.client import Client, Json
from weirkeeper.kube.resources import Resource
from weirkeeper.runtime.leader import Leadership, NotLeader

APPLY_PATCH = "application/apply-patch+yaml"


class LedClient:
    """Requests that only a leader may make. Reads pass. Every write may raise `NotLeader`, and any `ApiFailure`."""

    def __init__(self, client: Client, leadership: Leadership, *, limit: float | None = None) -> None:
        """`limit` in seconds is each write's time limit where it names none; half the lease's duration by default."""
        self._client, self._leadership = client, leadership
        self._limit = leadership.times.duration / 2 if limit is None else limit

    async def get(self, resource: Resource, name: str, namespace: str = "", *, timeout: float | None = None) -> Json:  # noqa: ASYNC109 - the client's word
        """The object as it is now."""
        return await self._client.get(resource, name, namespace, timeout=timeout)

    async def create(
        self, resource: Resource, body: Mapping[str, Any], namespace: str = "", *, timeout: float | None = None  # noqa: ASYNC109
    ) -> Json:  # fmt: skip
        """The object as created; `AlreadyExists` where one of that name is there."""
        return await _whole(self._client.create(resource, body, namespace, timeout=self._allowed(timeout)))

    async def ensure(self, resource: Resource, name: str, namespace: str = "") -> Json:
        """The object as it is; an empty one is made where there is none, by an apply that says nothing and so changes nothing.

        The server asks for the right to patch and, where there is nothing, to create *this name*: unlike a creation, it can be limited by `resourceNames`.
        """
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": name}}
        return await _whole(self._client.patch(
            resource, name, body, namespace, content_type=APPLY_PATCH, query={"fieldManager": "weirkeeper"}, timeout=self._allowed(None)
        ))  # fmt: skip

    async def replace(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str = "", subresource: str = "", *, timeout: float | None = None  # noqa: ASYNC109
    ) -> Json:  # fmt: skip
        """The object as replaced; `Conflict` where the body's resourceVersion is not the latest."""
        _versioned(body)
        limit = self._allowed(timeout)
        return await _whole(self._client.replace(resource, name, body, namespace, subresource, timeout=limit))

    async def patch(
        self, resource: Resource, name: str, body: Mapping[str, Any], namespace: str = "", subresource: str = "", *, timeout: float | None = None  # noqa: ASYNC109
    ) -> Json:  # fmt: skip
        """The object after a merge patch (RFC 7396); `Conflict` where the resourceVersion in it is not the latest."""
        _versioned(body)
        limit = self._allowed(timeout)
        return await _whole(self._client.patch(resource, name, body, namespace, subresource, timeout=limit))

    async def delete(
        self, resource: Resource, name: str, namespace: str = "", *,
        uid: str | None = None, resource_version: str | None = None, timeout: float | None = None,  # noqa: ASYNC109
    ) -> Json:  # fmt: skip
        """What the server says of the deletion; `Conflict` where another object of that name is there."""
        assert uid or resource_version, f"a deletion of {resource.kind} {namespace}/{name} names no uid and no version"
        limit = self._allowed(timeout)
        return await _whole(
            self._client.delete(resource, name, namespace, uid=uid, resource_version=resource_version, timeout=limit)
        )

    def _allowed(self, wished: float | None) -> float:
        """The time limit, if there is that much left."""
        limit = self._limit if wished is None else wished
        if not self._leadership.may_write(limit):
            raise NotLeader(
                f"{self._leadership.remaining:.2f} s are left of our lease, the write may take {limit:.2f} s"
            )
        return limit


async def _whole(request: Coroutine[Any, Any, Json]) -> Json:
    """The answer. Where we are cancelled meanwhile, the request is brought to its end first: cut off, it might be stored after we have said that we are done."""
    sent = asyncio.ensure_future(request)
    try:
        return await asyncio.shield(sent)
    except asyncio.CancelledError:
        await asyncio.wait((sent,))
        if not sent.cancelled():
            sent.exception()  # looked at: nobody else will
        raise


def _versioned(body: Mapping[str, Any]) -> None:
    version = (body.get("metadata") or {}).get("resourceVersion")
    assert version, "a write of the leader names the resourceVersion that it was made from"
