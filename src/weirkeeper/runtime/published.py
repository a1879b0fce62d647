"""Which status entries this install has ever published: what tells our entries from others', after a restart too.

Comes in: entries that are about to be written. Goes out: the set of all. They are kept in a ConfigMap of the install, one entry a line, and noted there *before* the
first status says them: a leader that dies in between leaves no entry behind that its successor does not know. Written when an address is new, and when
somebody deleted or changed what was noted (`keep`).

Where the ConfigMap cannot be written (no permission), the set lives as long as the process, a line in the log says so, and it is tried again now and then.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import NoReturn

import msgspec

from weirkeeper.kube.client import Json
from weirkeeper.kube.errors import ApiFailure, Conflict, Forbidden, NotFound
from weirkeeper.kube.resources import KNOWN
from weirkeeper.kube.statuses import as_json, normal
from weirkeeper.kube.types import AddressStatus
from weirkeeper.runtime.leader import NotLeader
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.writes import LedClient

CONFIG_MAP = KNOWN["", "ConfigMap"]
KEY = "entries"
MOST = 1000
"""So many are kept, the newest; by the time that many addresses came and went the oldest are nowhere any more."""
TRIES = 5
LOOK = 30.0
AGAIN = 60.0
"""Seconds after which what was forbidden is tried again."""


class PublishedRecord:
    """The record of one install. `entries` is ordered, the oldest first."""

    def __init__(self, client: LedClient, *, name: str, namespace: str, log: Log) -> None:
        self._client, self._name, self._namespace, self._log = client, name, namespace, log
        self.entries: dict[AddressStatus, None] = {}
        self._version = ""
        self._forbidden_until = 0.0
        self._writing = asyncio.Lock()

    async def load(self) -> dict[AddressStatus, None] | None:
        """What former leaders noted, which we know from now on; `None` where it may not be read. Raises any `ApiFailure` but `Forbidden`."""
        try:
            found = await self._client.get(CONFIG_MAP, self._name, self._namespace)
        except NotFound:
            self._version = ""
            return {}
        except Forbidden as failure:
            self._give_up(failure)
            return None
        self._version = str(found["metadata"]["resourceVersion"])
        lines = [_entry(line) for line in str((found.get("data") or {}).get(KEY, "")).splitlines()]
        noted = {entry: None for entry in lines if entry is not None}
        since = dict(self.entries)
        self.entries.clear()  # others hold this very mapping
        self.entries.update(noted | since)
        return noted

    async def note(self, entries: Iterable[AddressStatus]) -> None:
        """Make sure that these are noted. May raise `NotLeader` and any `ApiFailure` but `Forbidden`; then nothing may be published."""
        new = [entry for entry in entries if entry not in self.entries]
        if not new:
            return
        async with self._writing:
            for attempt in range(TRIES):
                wished = {**self.entries, **dict.fromkeys(new)}
                if self._forbidden or wished == self.entries:
                    break
                try:
                    await self._write(wished)
                    break
                except (Conflict, NotFound):  # somebody else wrote it, or deleted it
                    if attempt == TRIES - 1:
                        raise
                    await self.load()
            self.entries.update(dict.fromkeys(new))

    async def keep(self) -> NoReturn:
        """Look now and then, until cancelled, whether all of it is still noted, and note it again where it is not."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self._mend()
            except (ApiFailure, NotLeader):
                continue  # the next look comes, and who publishes something new hears of it

    async def _mend(self) -> None:
        async with self._writing:
            noted = None if self._forbidden else await self.load()
            if noted is not None and len(noted) < min(len(self.entries), MOST):
                self._log.info(
                    "the record of published addresses is written anew", config_map=f"{self._namespace}/{self._name}"
                )
                await self._write(self.entries)

    @property
    def _forbidden(self) -> bool:
        return time.monotonic() < self._forbidden_until

    async def _write(self, wished: dict[AddressStatus, None]) -> None:
        lines = [msgspec.json.encode(as_json(entry)).decode() for entry in list(wished)[-MOST:]]
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "data": {KEY: "\n".join(lines) + "\n"},
        }
        try:
            answer = await self._sent(body)
        except Forbidden as failure:
            self._give_up(failure)
            return
        self._version = str(answer["metadata"]["resourceVersion"])

    async def _sent(self, body: Json) -> Json:
        if not self._version:
            try:
                return await self._client.create(CONFIG_MAP, body, self._namespace)
            except Forbidden:  # the shipped rights are for this one name
                made = await self._client.ensure(CONFIG_MAP, self._name, self._namespace)
                self._version = str(made["metadata"]["resourceVersion"])
        patch = {"metadata": {"resourceVersion": self._version}, "data": body["data"]}
        return await self._client.patch(CONFIG_MAP, self._name, patch, self._namespace)

    def _give_up(self, failure: Forbidden) -> None:
        if not self._forbidden_until:
            self._log.warning(
                "published addresses are not remembered: those of a former leader may stay in statuses",
                config_map=f"{self._namespace}/{self._name}", why=failure,
            )  # fmt: skip
        self._forbidden_until = time.monotonic() + AGAIN


def _entry(line: str) -> AddressStatus | None:
    try:
        return normal([msgspec.json.decode(line, type=AddressStatus)])[0]
    except msgspec.DecodeError:
        return None
