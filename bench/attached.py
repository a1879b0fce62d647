"""Attached routes: 1,000 HTTPRoutes created as fast as a real API server takes them; how long after the last until the Gateway counts them all, and how often its status is written.

The count and the number of writes are read off a watch of the Gateway, which tells every version of it once; each version after its creation is a write of its status, as nobody writes anything else.
A round has three parts. `created`: from the answer to the last creation until the status that says all of them (`counted_s`), and until the last route's own status (`accepted_s`).
`foreign`: a second controller adds entries of its own to all routes' statuses and writes them anew all the time, while the Gateway closes and opens to all routes, so that we write each of our entries
twice and more; then every entry of theirs must be just what they wrote last (`touched` counts those that are not). `deleted`: all routes go, until the Gateway counts none.
"""

import asyncio
import contextlib
import http.client
import itertools
import socket
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Self

import aiohttp
import msgspec

from bench import gateway, kube
from bench.cluster import SERVED, at_rest, envoy, keys_of, real_api, weir
from bench.figures import machine, rounds, save, table
from bench.stand import backends, scratch
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

PARALLEL, QUIET, PATIENCE = 32, 2.0, 180.0
THEIRS = "example.com/other"
CLOSED = "closed.example"
"""A listener of this host has none of the routes."""
ELSEWHERE = gateway.parent("elsewhere")
GATEWAYS, ROUTES = (f"/apis/{gateway.GROUP}/v1/{kind}" for kind in ("gateways", "httproutes"))
ROUTES_HERE = f"/apis/{gateway.GROUP}/v1/namespaces/default/httproutes"


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


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int = 0
    last_transition_time: str = ""


class _Parent(msgspec.Struct, rename="camel"):
    controller_name: str = ""
    conditions: tuple[_Condition, ...] = ()


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
    ours: tuple[_Condition, ...]

    @property
    def accepted(self) -> str:
        return next((one.status for one in self.ours if one.type == "Accepted"), "")


class Witness(threading.Thread):
    """Notes every version of the objects of one kind from now on."""

    def __init__(self, entrance: kube.Entrance, path: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[Change] = []
        self.newest: dict[str, Change] = {}
        self._path, self._headers, self._closed = path, entrance.headers, False
        where = urllib.parse.urlsplit(entrance.url)
        self._line = http.client.HTTPSConnection(where.hostname, where.port, context=entrance.context)
        self._line.request("GET", f"{path}?limit=1", headers=self._headers)
        self._version = msgspec.json.decode(self._line.getresponse().read())["metadata"]["resourceVersion"]
        self.start()

    def run(self) -> None:
        """Watch, and again from there when the server ends it, as it does with who does not keep up."""
        decoder = msgspec.json.Decoder(_Event)
        while not self._closed:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._line.request("GET", f"{self._path}?watch=true&resourceVersion={self._version}", headers=self._headers)
                answer = self._line.getresponse()
                while line := answer.readline():
                    self._note(time.monotonic(), decoder.decode(line))
            self._line.close()

    def _note(self, now: float, event: _Event) -> None:
        meta, status = event.object.metadata, event.object.status
        attached = status.listeners[0].attached_routes if status.listeners else 0
        ours = tuple(c for one in status.parents if one.controller_name == gateway.CONTROLLER for c in one.conditions)
        self.newest[meta.name] = change = Change(now, event.type, meta.name, attached, ours)
        self.seen.append(change)
        self._version = meta.resource_version
        if event.type == "DELETED":
            del self.newest[meta.name]

    def close(self) -> None:
        self._closed = True
        with contextlib.suppress(OSError, AttributeError):
            self._line.sock.shutdown(socket.SHUT_RDWR)
        self.join(10)


class Watched:
    """The Gateway and its routes, as versions of them were told in one part of a round."""

    def __init__(self, front: Witness, routes: Witness, cpu: Callable[[], float]) -> None:
        self._front, self._routes, self._cpu = front, routes, cpu
        self.begin()

    def begin(self) -> None:
        self._at = len(self._front.seen), len(self._routes.seen)
        self._began, self._spent = time.monotonic(), self._cpu()

    @property
    def front(self) -> list[Change]:
        return self._front.seen[self._at[0] :]

    @property
    def routes(self) -> list[Change]:
        return self._routes.seen[self._at[1] :]

    def settled(self, count: int) -> float:
        """Wait until the Gateway counts so many routes and nobody has written anything for a while; when it first did."""
        self.counts(count)
        until(lambda: time.monotonic() - max(one.seen[-1].at for one in (self._front, self._routes) if one.seen) > QUIET, "all is quiet")
        assert self._front.newest[gateway.FRONT].attached == count, self._front.newest
        rest = list(itertools.takewhile(lambda one: one.attached == count, reversed(self.front)))
        return rest[-1].at if rest else self._began

    def counts(self, count: int) -> None:
        """Wait until the Gateway counts so many routes."""
        newest = self._front.newest
        until(lambda: gateway.FRONT in newest and newest[gateway.FRONT].attached == count, f"the Gateway counts {count} routes")

    def all_say(self, count: int, accepted: str) -> bool:
        """Whether the newest version of every route says this of being accepted."""
        found = tuple(self._routes.newest.values())
        return len(found) == count and all(one.accepted == accepted for one in found)

    def written(self) -> Counter[str]:
        """How often we wrote each route's status: by the versions whose entry of ours is another than before."""
        last, writes = dict[str, tuple[_Condition, ...]](), Counter[str]()
        for one in self._routes.seen[: self._at[1]]:
            last[one.name] = one.ours
        for one in self.routes:
            if one.type != "DELETED" and one.ours != last.get(one.name, ()):
                writes[one.name] += 1
            last[one.name] = one.ours
        return writes

    def row(self, turn: int, part: str, count: int, last: float, *, edits: int = 0, **more: float) -> Row:
        """`last`: when the part's last request was answered; `edits`: versions of the Gateway that are not writes of its status."""
        writes, took = self.written(), last - self._began
        return Row(
            round=turn, part=part, routes=count, took_s=took, gateway_writes=len(self.front) - edits, route_writes=sum(writes.values()),
            most=max(writes.values(), default=0), weir_cpu_s=self._cpu() - self._spent, **more,
        )  # fmt: skip


def until(true: Callable[[], bool], what: str) -> None:
    poll_until(true, PATIENCE, what=what, pause=0.05)


class Stranger:
    """A second controller: it has an entry in every route's status and writes it anew all the time, each write by the version that it has read."""

    def __init__(self, entrance: kube.Entrance, names: list[str]) -> None:
        self._entrance, self._names = entrance, names
        self.wrote: dict[str, dict] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: len(self.wrote) == len(self._names) or not self._thread.is_alive(), "an entry of the second controller in every route")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=4, ssl=self._entrance.context)
        async with aiohttp.ClientSession(self._entrance.url, connector=connector, headers=self._entrance.headers) as session, asyncio.TaskGroup() as group:
            turns = ((turn, name) for turn in itertools.count() for name in self._names)
            for _ in range(4):
                group.create_task(self._in_turn(session, turns))

    async def _in_turn(self, session: aiohttp.ClientSession, turns: Iterator[tuple[int, str]]) -> None:
        while not self._stop.is_set():
            turn, name = next(turns)
            made = {"type": "Accepted", "status": "True", "reason": "Theirs", "message": f"turn {turn}", "lastTransitionTime": "2026-01-01T00:00:00Z"}
            await self._write(session, name, {"parentRef": ELSEWHERE, "controllerName": THEIRS, "conditions": [made]})

    async def _write(self, session: aiohttp.ClientSession, name: str, entry: dict) -> None:
        path = f"{ROUTES_HERE}/{name}"
        while True:
            async with session.get(path) as answer:
                found = await answer.json()
            others = [one for one in found.get("status", {}).get("parents", ()) if one["controllerName"] != THEIRS]
            found["status"] = {"parents": [entry, *others]}
            async with session.put(f"{path}/status", data=msgspec.json.encode(found)) as answer:
                said = await answer.read()
                if answer.status == 200:
                    self.wrote[name] = entry
                    return
                if answer.status != 409:
                    raise kube.Refusal(f"{name}: {answer.status} {said[:300]!r}")


def one_round(turn: int, count: int, kubeconfig: str, port: int, api: kube.Api, watched: Watched) -> list[Row]:
    """The three parts."""
    held = [gateway.route(f"r{turn}-{n}", f"h{n}.apps.example", f"s{n % 10}", [gateway.parent()]) for n in range(count)]
    watched.begin()
    kube.bulk(kubeconfig, iter(held), PARALLEL)
    last = time.monotonic()
    until(lambda: watched.all_say(count, "True"), "every route is accepted")
    counted = watched.settled(count)
    first = {one.name: one.at for one in reversed(watched.routes) if one.ours}
    rows = [watched.row(turn, "created", count, last, counted_s=counted - last, accepted_s=max(first.values()) - last)]
    watched.begin()
    with Stranger(kube.Entrance.of(kubeconfig), [one["metadata"]["name"] for one in held]) as stranger:
        for host, left in ((CLOSED, 0), ("", count)):
            front = gateway.gateway([gateway.listener(port, host=host)])
            api.merge(front, {"spec": front["spec"]})
            watched.counts(left)
            until(lambda status=str(not host): watched.all_say(count, status), "every route says so")
    last = time.monotonic()
    watched.settled(count)
    theirs = {one["metadata"]["name"]: [e for e in one["status"]["parents"] if e["controllerName"] == THEIRS] for one in api.get(ROUTES)["items"]}
    touched = sum(theirs.get(name) != [entry] for name, entry in stranger.wrote.items())
    rows.append(watched.row(turn, "foreign", count, last, edits=2, touched=touched, theirs=len(stranger.wrote)))
    watched.begin()
    kube.bulk_delete(kubeconfig, held, PARALLEL)
    last = time.monotonic()
    counted = watched.settled(0)
    rows.append(watched.row(turn, "deleted", count, last, counted_s=counted - last))
    return rows


def measured(count: int, rounds: int) -> list[Row]:
    """That many rounds."""
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(scratch())
        backend = stack.enter_context(backends(place, "a", ("0.0.0.0",)))["a"]
        kubeconfig = stack.enter_context(real_api()).kubeconfig()
        port = SERVED[0] if kube.isolated() else free_port()
        gateway.install_kinds(kubeconfig)
        objects = [one for n in range(10) for one in (kube.service(f"s{n}"), kube.endpoint_slice(f"s{n}", [kube.address(n)], backend))]
        kube.bulk(kubeconfig, [gateway.gateway_class(), gateway.gateway([gateway.listener(port)]), *objects], 1)
        plane = stack.enter_context(weir(place, kubeconfig, more=gateway.FLAGS))
        engine = stack.enter_context(envoy(place, keys_of(kubeconfig, plane), plane, load_balancer=gateway.LOAD_BALANCER, port=port))
        plane.ready()
        until(engine.listens, "the Gateway is served")
        at_rest(plane)
        api = kube.Api(kubeconfig)
        stack.callback(api.close)
        witnesses = [Witness(api.entrance, path) for path in (GATEWAYS, ROUTES)]
        for one in witnesses:
            stack.callback(one.close)
        watched = Watched(*witnesses, lambda: plane.usage().cpu)
        for turn in range(rounds):
            for row in one_round(turn, count, kubeconfig, port, api, watched):
                rows.append(row)
                print(f"  {row}", flush=True)
    return rows


def printed(rows: list[Row]) -> str:
    columns = [field for field in Row.__struct_fields__ if field not in ("round", "part")]
    return table(("attached: round, part", *columns), [(f"{row.round} {row.part}", *(getattr(row, column) for column in columns)) for row in rows])


def run(*, quick: bool) -> str:
    about = machine()
    rows = measured(100, 2) if quick else measured(1000, rounds(5))
    made = sorted((row for row in rows if row.part == "created"), key=lambda row: row.counted_s)
    found = {"median": made[len(made) // 2], "worst": made[-1], "touched": sum(row.touched for row in rows), "theirs": sum(row.theirs for row in rows)}
    save("attached", rows, msgspec.to_builtins(found), about, quick=quick)
    return printed(rows)
