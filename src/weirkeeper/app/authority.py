"""The certificates of the distribution channel: from the authority's Secret, which the leader makes and renews, or from files that somebody else renews.

Comes in: settings and a client. Goes out: a `TlsSource` once there is one, and the keys to sign with where they are ours. The leader also publishes the roots in a
ConfigMap, which pods of instances mount: that is how they know the control plane. Where a folder in memory is at hand the keys are kept there as well, for
a start while the API server is away.
"""

import asyncio
import base64
import datetime as dt
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from weirkeeper.distribute.authority import (
    AuthorityKeys,
    authority_from,
    expiry,
    new_authority,
    secret_fields,
    succeeded,
)
from weirkeeper.distribute.credentials import FileTls, OwnTls, TlsSource
from weirkeeper.errors import StartRefused
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import AlreadyExists, ApiFailure, Conflict, NotFound
from weirkeeper.kube.resources import KNOWN
from weirkeeper.model.text import Refused
from weirkeeper.runtime.leader import NotLeader
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.writes import LedClient

SECRET, CONFIG_MAP = KNOWN["", "Secret"], KNOWN["", "ConfigMap"]
BUNDLE = "ca.crt"
FIRST_LOOK, LONGEST_LOOK = 0.25, 60.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 15.0
KEPT = "authority.json"


class Authority:
    """The channel's certificates of one replica. `run` on every replica, `lead` on the leader."""

    def __init__(
        self,
        client: Client,
        *,
        name: str,
        namespace: str,
        published: str,
        names: Sequence[str],
        life: dt.timedelta,
        log: Log,
        memory: Path | None,
    ) -> None:
        """`published`: the namespace where instances find the roots. `names`: what this replica's certificate says besides the channel's own name.
        `memory`: a folder in memory, or none.
        """
        self._client, self._namespace, self._published, self._log = client, namespace, published, log
        self._names, self._life = names, life
        self._name = f"{name}-authority"
        self._kept = memory / KEPT if memory is not None else None
        self._own: OwnTls | None = None
        self._there = asyncio.Event()
        self.why = "not asked yet"
        """Why there is no certificate yet."""

    @property
    def keys(self) -> AuthorityKeys | None:
        """What signs the certificates of instances; none yet, or none of ours."""
        return self._own.keys if self._own is not None else None

    def expires(self) -> float:
        """When this replica's certificate ends, in seconds since 1970; 0 without one."""
        return self._own.expires() if self._own is not None else 0.0

    async def tls(self) -> TlsSource:
        """The source of this replica's certificate; waits for the first."""
        await self._there.wait()
        assert self._own is not None
        return self._own

    async def run(self) -> None:
        """Keep in step with the Secret, and renew our certificate, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="authority")
            await self._there.wait()
            assert self._own is not None
            group.create_task(self._own.run(), name="our certificate")

    async def lead(self, writes: LedClient) -> None:
        """Make the authority where there is none, renew its roots in time, publish them. Until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._bring(writes)
            except (ApiFailure, NotLeader) as failure:
                self._log.warning(
                    "the authority could not be kept", secret=self._name, why=failure, again_in=f"{pause:g}s"
                )
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = FIRST_PAUSE
                await asyncio.sleep(self._look)

    @property
    def _look(self) -> float:
        return min(LONGEST_LOOK, self._life.total_seconds() / 10)

    async def _follow(self) -> None:
        pause = FIRST_LOOK
        while True:
            try:
                self._take(await self._client.get(SECRET, self._name, self._namespace, timeout=3.0))
            except NotFound:
                self.why = f"the Secret {self._namespace}/{self._name} is not there yet; the leader makes it"
            except ApiFailure as failure:
                self.why = f"the Secret {self._namespace}/{self._name} cannot be read: {failure}"
                self._remember()
            pause = self._look if self._own is not None else min(pause * 1.5, 2.0)
            await asyncio.sleep(pause)

    def _take(self, secret: Mapping[str, Any]) -> None:
        if not secret.get("data"):
            self.why = f"the Secret {self._namespace}/{self._name} is empty; the leader fills it"
            return
        fields = {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}
        keys = _usable(fields)
        if isinstance(keys, Refused):
            self.why = f"the Secret {self._namespace}/{self._name} {keys.why}"
            self._log.error("the authority cannot be used", why=self.why)
            return
        if self._own is None or self._own.keys != keys:
            self._trust(keys)
            self._keep(fields)

    def _trust(self, keys: AuthorityKeys) -> None:
        self.why = ""
        if self._own is None:
            self._own = OwnTls(keys, self._names, self._life)
        else:
            self._own.trust(keys)
        self._there.set()

    def _keep(self, fields: Mapping[str, bytes]) -> None:
        if self._kept is None:
            return
        try:
            descriptor = os.open(self._kept, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(dict(fields)))
        except OSError as error:
            self._log.warning("the authority could not be kept in memory", path=self._kept, why=error)

    def _remember(self) -> None:
        """While the API server does not answer at the start, what the last run kept will do."""
        if self._own is not None or self._kept is None:
            return
        try:
            fields = msgspec.json.decode(self._kept.read_bytes(), type=dict[str, bytes])
        except (OSError, msgspec.MsgspecError):
            return
        keys = _usable(fields)
        if not isinstance(keys, Refused):
            self._trust(keys)
            self._log.warning("the authority of the last run is used: the API server does not answer")

    async def _bring(self, writes: LedClient) -> None:
        """One look by the leader."""
        try:
            secret = await self._client.get(SECRET, self._name, self._namespace, timeout=3.0)
        except NotFound:
            secret = await self._made(writes)
        if not secret.get("data"):
            secret = await writes.replace(SECRET, self._name, {**secret, "data": _fresh()}, self._namespace)
        self._take(secret)
        if self.keys is None:
            return
        now = dt.datetime.now(dt.UTC)
        after = succeeded(self.keys, now, self._life)
        if after is not None:
            body = {**secret, "data": _encoded(secret_fields(after))}
            self._take(await writes.replace(SECRET, self._name, body, self._namespace))
            self._log.info("the authority has taken a step of its succession", secret=self._name)
        await self._publish(writes)

    async def _made(self, writes: LedClient) -> dict[str, Any]:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "type": "Opaque",
            "data": _fresh(),
        }
        try:
            made = await writes.create(SECRET, body, self._namespace)
        except AlreadyExists:
            return await self._client.get(SECRET, self._name, self._namespace)
        self._log.info("an authority was made for the distribution channel", secret=f"{self._namespace}/{self._name}")
        return made

    async def _publish(self, writes: LedClient) -> None:
        """The roots, for pods to mount."""
        keys = self.keys
        if keys is None:
            return
        wished = {BUNDLE: keys.bundle}
        try:
            found = await self._client.get(CONFIG_MAP, self._name, self._published, timeout=3.0)
        except NotFound:
            body = {
                "apiVersion": "v1", "kind": "ConfigMap", "data": wished,
                "metadata": {"name": self._name, "namespace": self._published},
            }  # fmt: skip
            await writes.create(CONFIG_MAP, body, self._published)
            return
        if found.get("data") != wished:
            try:
                await writes.replace(CONFIG_MAP, self._name, {**found, "data": wished}, self._published)
            except Conflict:
                return  # the next look brings it


def _usable(fields: Mapping[str, bytes]) -> AuthorityKeys | Refused:
    """The authority in these fields, if it can sign today."""
    keys = authority_from(fields)
    if not isinstance(keys, Refused) and expiry(keys.certificate) <= dt.datetime.now(dt.UTC):
        return Refused("holds an authority that has expired; take its data away to have a new one made")
    return keys


def _fresh() -> dict[str, str]:
    return _encoded(secret_fields(new_authority(dt.datetime.now(dt.UTC))))


def _encoded(fields: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in fields.items()}


def tls_from_folder(folder: Path) -> FileTls:
    """Certificates that somebody else makes, cert-manager for one: `tls.crt`, `tls.key` and `ca.crt` in a folder."""
    try:
        return FileTls(folder / "tls.crt", folder / "tls.key", folder / BUNDLE)
    except (OSError, ValueError) as error:
        raise StartRefused(f"the certificates in {folder} cannot be used: {error}") from None
