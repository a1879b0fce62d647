"""Driving a fake API server that runs in another process: filling it, churning it, switching troubles, reading its audit.

In: POSTs of JSON to `/_control/<what>`. Out: JSON. Nothing here is part of the Kubernetes API. A template is the JSON of
an object in which `${n}` stands for a number, `${address}` for an IPv4 address made from it, `${other}` for n modulo 1000.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

from weirkeeper.model.value import Value
from weirkeeper.testing.apiserver.access import Denial
from weirkeeper.testing.apiserver.faults import Fault
from weirkeeper.testing.apiserver.patches import json_patch
from weirkeeper.testing.apiserver.refused import Json, bad_request
from weirkeeper.testing.apiserver.server import ApiServer

ROOT = "/_control/"


class Fill(Value, frozen=True, kw_only=True):
    """Make `count` objects from a template, numbered from `start`."""

    template: Json
    count: int
    start: int = 0


class Churn(Value, frozen=True, kw_only=True):
    """Change objects of a kind, one after the other, `rate` a second for `seconds`.

    ``path`` is the JSON pointer of the value to set and ``value`` its template, with `${n}` the number of the change.
    ``count`` of objects to go round (0: all), in the order of their keys.
    """

    kind: str
    rate: float
    seconds: float
    path: str = "/metadata/annotations"
    value: Any = msgspec.field(default_factory=lambda: {"changed": "${n}"})
    start: int = 0
    count: int = 0


class Changed(Value, frozen=True, kw_only=True):
    """One change of a churn: its number, the object, and the monotonic clock just before it was kept."""

    number: int
    namespace: str
    name: str
    at: float


class Where(Value, frozen=True, kw_only=True):
    """What an operation is about; empty means all."""

    plural: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    revision: int | None = None
    how: str = "close"
    verb: str = ""


def filled(template: bytes, number: int) -> Any:
    """The JSON of a template with a number put in."""
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    put_in = template.replace(b"${n}", b"%d" % number).replace(b"${address}", address.encode())
    return msgspec.json.decode(put_in.replace(b"${other}", b"%d" % (number % 1000)))


class Control:
    """The operations on one server."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._churned: list[Changed] = []
        self._churns: set[asyncio.Task[None]] = set()
        self._operations: dict[str, Callable[[bytes], Any]] = {
            "fill": self._fill, "put": self._put, "remove": self._remove, "churn": self._churn, "churned": self._changes,
            "fault": self._fault, "clear-faults": lambda _: server.faults.clear(), "cut": self._cut,
            "compact": self._compact, "restore": self._restore, "deny": self._deny,
            "allow-all": lambda _: server.access.denials.clear(), "token": self._token, "write-delay": self._delay,
            "audit": self._audit, "clear-audit": lambda _: server.audit.clear(), "state": self._state,
        }  # fmt: skip

    def answer(self, path: str, body: bytes) -> bytes:
        """The answer to an operation; an unknown one is refused with the list of known ones."""
        name = path.removeprefix(ROOT)
        operation = self._operations.get(name)
        if operation is None:
            raise bad_request(f"no operation {name!r}; there are: {', '.join(sorted(self._operations))}")
        try:
            return msgspec.json.encode(operation(body or b"{}"))
        except msgspec.MsgspecError as error:
            raise bad_request(f"{name}: {error}") from None

    def close(self) -> None:
        """End what runs."""
        for churn in self._churns:
            churn.cancel()

    def _fill(self, body: bytes) -> Json:
        wish = msgspec.json.decode(body, type=Fill)
        template = msgspec.json.encode(wish.template)
        for number in range(wish.start, wish.start + wish.count):
            self.server.put(filled(template, number))
        return {"revision": self.server.log.revision}

    def _put(self, body: bytes) -> Json:
        return {"revision": self.server.put(msgspec.json.decode(body))}

    def _remove(self, body: bytes) -> Json:
        where = msgspec.json.decode(body, type=Where)
        return {"revision": self.server.remove(where.kind, where.name, where.namespace)}

    def _churn(self, body: bytes) -> Json:
        wish = msgspec.json.decode(body, type=Churn)
        self._churned.clear()
        task = asyncio.get_running_loop().create_task(self._churning(wish), name="churn")
        self._churns.add(task)
        task.add_done_callback(self._churns.discard)
        return {"at": time.monotonic()}

    async def _churning(self, wish: Churn) -> None:
        """Keeps to the rate by the clock: what a pause delayed is caught up with."""
        kind = self.server.kind(wish.kind)
        shelf = self.server.log.shelf(kind)
        keys = sorted(shelf.objects)[: wish.count or None]
        template = msgspec.json.encode(wish.value)
        total, begun = int(wish.rate * wish.seconds), time.monotonic()
        for number in range(total):
            early = begun + number / wish.rate - time.monotonic()
            if early > 0:
                await asyncio.sleep(early)
            elif not number % 50:
                await asyncio.sleep(0)
            key = keys[number % len(keys)]
            if (entry := shelf.objects.get(key)) is None:
                continue
            value = filled(template, wish.start + number)
            body = json_patch(entry.object, [{"op": "add", "path": wish.path, "value": value}])
            self._churned.append(
                Changed(number=wish.start + number, namespace=key[0], name=key[1], at=time.monotonic())
            )
            self.server.log.keep(kind, body)

    def _changes(self, _: bytes) -> Json:
        return {"running": bool(self._churns), "changes": self._churned}

    def _fault(self, body: bytes) -> None:
        self.server.faults.add(msgspec.json.decode(body, type=Fault))

    def _cut(self, body: bytes) -> Json:
        where = msgspec.json.decode(body, type=Where)
        return {"cut": self.server.cut_watches(where.plural, how=where.how)}

    def _compact(self, body: bytes) -> None:
        self.server.compact(msgspec.json.decode(body, type=Where).revision)

    def _restore(self, body: bytes) -> None:
        self.server.restore(msgspec.json.decode(body, type=Where).revision or 0)

    def _deny(self, body: bytes) -> None:
        self.server.access.deny(msgspec.json.decode(body, type=Denial))

    def _token(self, body: bytes) -> None:
        self.server.access.add_token(**msgspec.json.decode(body))

    def _delay(self, body: bytes) -> None:
        self.server.write_delay = float(msgspec.json.decode(body)["seconds"])

    def _audit(self, body: bytes) -> Json:
        where = msgspec.json.decode(body, type=Where)
        found = [record for record in self.server.audit.records
                 if where.plural in ("", record.plural) and where.verb in ("", record.verb)]  # fmt: skip
        return {"records": found}

    def _state(self, _: bytes) -> Json:
        log = self.server.log
        counts = {shelf.kind.qualified: len(shelf.objects) for shelf in log.shelves.values() if shelf.objects}
        asked = {f"{verb} {plural}".strip(): count for (verb, plural), count in self.server.audit.counts.items()}
        return {"revision": log.revision, "objects": counts, "watches": len(self.server.watches), "requests": asked,
                "clock": time.monotonic()}  # fmt: skip
