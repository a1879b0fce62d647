"""Credentials from a program that the kubeconfig names (client.authentication.k8s.io v1 and v1beta1).

Comes in: the program, its arguments, and what it may know of the cluster. Goes out: a token or a client certificate, kept until shortly before it expires.
Nothing runs before the first request needs it; one run at a time; a run goes on when the request that wanted it has given up. The program's output is a secret
and is never printed; what it says on standard error is part of the failure.
"""

import asyncio
import contextlib
import datetime
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from weirkeeper.kube.access import Clock, Pair, bearer
from weirkeeper.kube.errors import Unauthorized

GROUP = "client.authentication.k8s.io"
VERSIONS = (f"{GROUP}/v1", f"{GROUP}/v1beta1")
RUN_LIMIT = 60.0
"""Seconds that the program may take."""
PAUSE = 5.0
"""Seconds between two runs at least, whatever the server says."""
MARGIN = 60.0
"""Seconds before the expiry at which a new credential is fetched, or a tenth of its life where that is less."""

Now = Callable[[], datetime.datetime]


class Plugin(NamedTuple):
    """The program. `cluster` is what it is told of the cluster (provideClusterInfo), or None."""

    command: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    api_version: str = VERSIONS[0]
    interactive_mode: str = "IfAvailable"
    install_hint: str = ""
    cluster: Mapping[str, Any] | None = None


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime.datetime | None = None


class _Answer(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _Status | None = None


class _Kept(NamedTuple):
    token: str
    pair: Pair | None
    refresh_at: datetime.datetime | None
    expires_at: datetime.datetime | None


class ExecCredentials:
    """What the program gave, as long as it holds."""

    def __init__(self, plugin: Plugin, *, now: Now | None = None, clock: Clock = time.monotonic) -> None:
        self._plugin = plugin
        self._now = now or _utc_now
        self._clock = clock
        self._kept: _Kept | None = None
        self._failed: Unauthorized | None = None
        self._ran_at = -PAUSE
        self._running: asyncio.Task[None] | None = None

    async def authorization(self) -> str | None:
        """The token as a header; None where the program gives a certificate."""
        token = (await self._current()).token
        return bearer(token, f"the answer of {self._plugin.command}") if token else None

    async def certificate(self) -> Pair | None:
        """The client certificate that the program gave."""
        return (await self._current()).pair

    def renewed(self) -> bool:
        """Forget what was given; False where it was given only just now: another run would bring the same."""
        if self._clock() - self._ran_at < PAUSE:
            return False
        self._kept = None
        return True

    async def close(self) -> None:
        """End a run."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _current(self) -> _Kept:
        if self._due():
            if self._running is None or self._running.done():
                self._running = asyncio.create_task(self._run(), name="exec credentials")
            await asyncio.shield(self._running)
        if self._kept is None or _over(self._kept.expires_at, self._now()):
            raise self._failed or Unauthorized(f"{self._plugin.command} gave what has expired", reason="NoCredentials")
        return self._kept

    def _due(self) -> bool:
        if self._kept is not None and not _over(self._kept.refresh_at, self._now()):
            return False
        return self._clock() - self._ran_at >= PAUSE or (self._running is not None and not self._running.done())

    async def _run(self) -> None:
        """Never fails: what went wrong is kept, and what was given before holds until it expires."""
        try:
            async with asyncio.timeout(RUN_LIMIT):
                self._kept = kept_of(await _output(self._plugin), self._plugin, self._now())
            self._failed = None
        except TimeoutError:
            self._failed = self._failure(f"did not end within {RUN_LIMIT:g} s")
        except Unauthorized as failure:
            self._failed = failure
        except OSError as error:
            self._failed = self._failure(
                f"can't be started ({error.strerror}); {self._plugin.install_hint}".rstrip("; ")
            )
        finally:
            self._ran_at = self._clock()

    def _failure(self, why: str) -> Unauthorized:
        return Unauthorized(f"the credential program {self._plugin.command} {why}", reason="NoCredentials")


def plugin_environment(plugin: Plugin, environment: Mapping[str, str], *, interactive: bool) -> dict[str, str]:
    """What the program sees: our environment, its own entries, and `KUBERNETES_EXEC_INFO`."""
    spec: dict[str, Any] = {"interactive": interactive}
    if plugin.cluster is not None:
        spec["cluster"] = dict(plugin.cluster)
    told = {"kind": "ExecCredential", "apiVersion": plugin.api_version, "spec": spec}
    return {**environment, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": msgspec.json.encode(told).decode()}


def kept_of(output: bytes, plugin: Plugin, now: datetime.datetime) -> _Kept:
    """What an output says, or `Unauthorized` with what is wrong with it; the output itself is never repeated."""
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except msgspec.DecodeError as error:
        raise _unusable(plugin, "printed no ExecCredential") from error
    if answer.kind != "ExecCredential" or answer.api_version != plugin.api_version:
        raise _unusable(plugin, f"must print an ExecCredential of {plugin.api_version}, as the kubeconfig says")
    status = answer.status or _Status()
    certificate, key = status.client_certificate_data, status.client_key_data
    if bool(certificate) != bool(key):
        raise _unusable(plugin, "gave a certificate without a key, or a key without a certificate")
    if not status.token and not certificate:
        raise _unusable(plugin, "gave neither a token nor a certificate")
    pair = Pair(certificate.encode(), key.encode()) if certificate else None
    expires = status.expiration_timestamp
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=datetime.UTC)
    return _Kept(status.token, pair, None if expires is None else _refresh_at(now, expires), expires)


def _refresh_at(now: datetime.datetime, expires: datetime.datetime) -> datetime.datetime:
    life = (expires - now).total_seconds()
    return expires - datetime.timedelta(seconds=max(min(MARGIN, life / 10), 0.0))


def _over(moment: datetime.datetime | None, now: datetime.datetime) -> bool:
    return moment is not None and now >= moment


def _unusable(plugin: Plugin, why: str) -> Unauthorized:
    return Unauthorized(f"the credential program {plugin.command} {why}", reason="NoCredentials")


async def _output(plugin: Plugin) -> bytes:
    interactive = plugin.interactive_mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if plugin.interactive_mode == "Always" and not interactive:
        raise _unusable(plugin, "needs a terminal (interactiveMode: Always), and there is none")
    program = await asyncio.create_subprocess_exec(
        plugin.command,
        *plugin.arguments,
        stdin=None if interactive else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=None if interactive else asyncio.subprocess.PIPE,
        env=plugin_environment(plugin, os.environ, interactive=interactive),
    )
    try:
        output, said = await program.communicate()
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()
    if program.returncode != 0:
        words = (said or b"")[-500:].decode("utf-8", "replace").strip()
        raise _unusable(plugin, f"ended with {program.returncode}: {words or 'it said nothing'}")
    return output


def command_path(command: str, folder: Path) -> str:
    """The command as kubectl finds it: one with a slash in it is relative to the kubeconfig's folder, else `PATH` counts."""
    return str(folder / command) if "/" in command and not command.startswith("/") else command


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
