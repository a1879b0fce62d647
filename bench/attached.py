"""Attached routes: 1,000 HTTPRoutes created as fast as a real API server takes them; how long after the last until the Gateway counts them all, and how often its status is written.

The count and the number of writes are read off a watch of the Gateway, which tells every version of it once; each version after its creation is a write of its status, as nobody writes anything else.
A round has three parts. `created`: from the answer to the last creation until the status that says all of them (`counted_s`), and until the last route's own status (`accepted_s`).
`foreign`: a second controller adds entries of its own to all routes' statuses and writes them anew all the time, while the Gateway closes and opens to all routes, so that we write each of our entries
twice and more; then every entry of theirs must be just what they wrote last (`touched` counts those that are not). `deleted`: all routes go, until the Gateway counts none.
"""

import asyncio
import contextlib
import http.client
import ssl
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable

import aiohttp
import msgspec

from bench import gateway, kube
from bench.cluster import SERVED, at_rest, envoy, keys_of, real_api, weir
from bench.figures import machine, rounds, save, table
from bench.stand import backends, scratch
from weirkeeper.testing.ports import free_port

PARALLEL, QUIET, PATIENCE = 32, 2.0, 180.0
THEIRS = "example.com/other"
ELSEWHERE = gateway.parent("elsewhere")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a round. Seconds after the last creation or deletion (`counted_s`, `accepted_s`); writes of statuses, of the Gateway and of all routes; the most for one route."""

    round: int
    part: str
    routes: int
    took_s: float
    counted_s: float = 0.0
    accepted_s: float = 0.0
    gateway_writes: int = 0
    route_writes: int = 0
    most: int = 0
    touched: int = 0
    theirs: int = 0
    weir_cpu_s: float = 0.0


class _Meta(msgspec.Struct):
    name: str = ""


class _Parent(msgspec.Struct, rename="camel"):
    controller_name: str = ""
    conditions: list[msgspec.Raw] = []


class _Listener(msgspec.Struct, rename="camel"):
    attached_routes: int = -1


class _Status(msgspec.Struct):
    listeners: list[_Listener] = []
    parents: list[_Parent] = []


class _Object(msgspec.Struct):
    metadata: _Meta
    status: _Status = msgspec.field(default_factory=_Status)


class _Event(msgspec.Struct):
    type: str
    object: _Object


class Change(msgspec.Struct, frozen=True):
    """A version of an object: when it was told, whose, how many routes its listener has, and which conditions of ours a route has."""

    at: float
    type: str
    name: str
    attached: int
    ours: tuple[bytes, ...]


class Witness(threading.Thread):
    """Notes every version of the objects of one kind from now on."""

    def __init__(self, entrance: kube.Entrance, path: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[Change] = []
        where = urllib.parse.urlsplit(entrance.url)
        self._line = http.client.HTTPSConnection(where.hostname, where.port, context=entrance.context)
        self._line.request("GET", f"{path}?limit=1", headers=entrance.headers)
        version = msgspec.json.decode(self._line.getresponse().read())["metadata"]["resourceVersion"]
        self._line.request("GET", f"{path}?watch=true&resourceVersion={version}", headers=entrance.headers)
        self._answer = self._line.getresponse()
        self._socket = self._line.sock
        self.start()

    def run(self) -> None:
        decoder = msgspec.json.Decoder(_Event)
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException, ssl.SSLError):  # it was closed
            while line := self._answer.readline():
                now, event = time.monotonic(), decoder.decode(line)
                status = event.object.status
                attached = status.listeners[0].attached_routes if status.listeners else -1
                ours = tuple(bytes(c) for one in status.parents if one.controller_name == gateway.CONTROLLER for c in one.conditions)
                self.seen.append(Change(now, event.type, event.object.metadata.name, attached, ours))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self.join(5)


def until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"never: {what}")
        time.sleep(0.05)
