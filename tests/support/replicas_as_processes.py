"""Replicas of the control plane as processes of their own (`weir run`), to be killed, stopped and frozen; and the ways in which an API server is away.

In: a kubeconfig, a folder. Out: `Plane`s; the `Away` modes over one port; Envoy's configuration in a form that can be compared.
"""

import asyncio
import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from cluster_program import NAMESPACE

from weirkeeper.distribute.authority import AuthorityKeys, authority_from
from weirkeeper.distribute.wire import MARK
from weirkeeper.providers.envoy.bootstrap import CERTIFICATE, TRUST
from weirkeeper.testing.apiserver import ApiServer, Fault, Trouble
from weirkeeper.testing.client import fetch
from weirkeeper.testing.engines import Admin, Envoy, running_envoy
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.fault_proxy import CLEAR, FaultProxy, Weather
from weirkeeper.testing.ports import free_port

EVERY_VERB = ("get", "list", "watch", "create", "update", "patch", "delete")
WARM = 120.0
PATIENCE = 15.0
"""Seconds for one answer: a busy machine is no replica that is away."""


class Plane:
    """One replica: started again and again with the same settings. ``source`` is where the program lies, if not where ours does."""

    def __init__(
        self, root: Path, name: str, kubeconfig: str, http_port: int, https_port: int, *, source: Path | None = None, **settings: Any
    ) -> None:
        self.name, self.folder, self.source = name, root / name, source
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "kubeconfig").write_text(kubeconfig)
        self.http_port, self.ads_port, self.health_port = http_port, free_port(), free_port()
        chosen = {
            "kubeconfig": self.folder / "kubeconfig", "namespace": NAMESPACE, "identity": name, "pod_address": "127.0.0.1",
            "http_port": http_port, "https_port": https_port, "ads_address": f"127.0.0.1:{self.ads_port}",
            "exchange_address": f"127.0.0.1:{free_port()}", "health_address": f"127.0.0.1:{self.health_port}",
            "state_directory": self.folder / "state", "loopback_endpoints": "true", "grace_seconds": 1, "drain_seconds": 0.3,
            "lease_seconds": 2, "renew_seconds": 1.4, "retry_seconds": 0.3, "log_format": "text", **settings,
        }  # fmt: skip
        self._flags = [text for key, value in chosen.items() for text in (f"--{key.replace('_', '-')}", str(value))]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self.ads_port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    def start(self) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("WEIR_", "KUBE"))}
        if self.source is not None:
            environment["PYTHONPATH"] = str(self.source)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "weirkeeper", "run", *self._flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            )  # fmt: skip

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def end(self) -> None:
        """Asked to stop; it must, in order."""
        assert self._process is not None
        self._process.terminate()
        assert await asyncio.to_thread(self._process.wait, WARM) == 0, self.log[-3000:]

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def over(self) -> None:
        """Whatever it does, it has ended."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self.kill()

    async def answer(self, path: str) -> str:
        try:
            found = await fetch(f"http://localhost{path}", via=self.health_port, limit=PATIENCE)
        except (OSError, TimeoutError):
            return ""
        return found.body.decode()

    async def number(self, name: str, labels: str = "") -> float:
        """A number of `/metrics`; NaN while it does not answer."""
        for line in (await self.answer("/metrics")).splitlines():
            said, _, value = line.rpartition(" ")
            if said == f"weirkeeper_{name}{labels}":
                return float(value)
        return float("nan")

    async def ready(self, within: float = WARM) -> None:
        async def look() -> bool:
            assert self.runs, f"{self.name} has ended: {self.log[-3000:]}"
            return "ok\n" in await self.answer("/readyz")

        await eventually(look, within, what=f"{self.name} is ready", pause=0.05)

    async def leads(self, within: float = WARM) -> None:
        async def look() -> bool:
            return await self.number("leader") == 1

        await eventually(look, within, what=f"{self.name} leads", pause=0.05)


@asynccontextmanager
async def planes(*several: Plane) -> AsyncIterator[None]:
    """These replicas, ready; none of them lives on after the block."""
    try:
        for one in several:
            one.start()
        for one in several:
            await one.ready()
        yield
    finally:
        for one in several:
            one.over()


async def authority_keys(server: ApiServer, name: str = "weirkeeper-authority") -> AuthorityKeys:
    """The authority that the install has made for itself."""

    async def look() -> AuthorityKeys | None:
        secret = server.get("Secret", name, NAMESPACE)
        if secret is None or not secret.get("data"):
            return None
        found = authority_from({key: base64.b64decode(value) for key, value in secret["data"].items()})
        return found if isinstance(found, AuthorityKeys) else None

    found = await eventually(look, 60, what="the install has an authority")
    assert found is not None
    return found


# Backends that cost next to nothing


@asynccontextmanager
async def backends(*names: str) -> AsyncIterator[dict[str, int]]:
    """Backends that answer at once and say their name in `x-echo-name`; their ports. An Envoy of their own: it must keep up with any load."""
    ports = {name: free_port() for name in names}
    listeners = [_saying(name, port) for name, port in ports.items()]
    async with running_envoy({"static_resources": {"listeners": listeners}}):
        yield ports


def _saying(name: str, port: int) -> dict[str, Any]:
    header = {"header": {"key": "x-echo-name", "value": name}}
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": name}}, "response_headers_to_add": [header]}
    hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
    router = {"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name, "http_filters": [router], "route_config": {"virtual_hosts": hosts},
    }  # fmt: skip
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}, "filter_chains": [chain]}


# An API server that is away


class Away:
    """One way of being away: switched on and off on a server behind a proxy. `asked` counts what replicas ask meanwhile (None: nobody can count it)."""

    name = ""

    def __init__(self, server: ApiServer, proxy: FaultProxy) -> None:
        self.server, self.proxy = server, proxy

    async def go(self) -> None:
        raise NotImplementedError

    async def come(self) -> None:
        raise NotImplementedError

    def asked(self) -> int | None:
        raise NotImplementedError


TRIES = 2
"""aiohttp sends a request that changes nothing once more where its connection was reset, on another one."""


class Refuses(Away):
    """Connections are reset, those that were open and those that are tried."""

    name = "refuses"

    async def go(self) -> None:
        self.proxy.weather = Weather(refuse=True)
        self.proxy.reset()
        self._before = self.proxy.accepted

    async def come(self) -> None:
        self.proxy.weather = CLEAR

    def asked(self) -> int:
        return (self.proxy.accepted - self._before) // TRIES


class BlackHole(Away):
    """Nothing arrives and nobody says so: packets of open connections vanish until the end, new connections are not even refused."""

    name = "black hole"

    async def go(self) -> None:
        self.proxy.weather = Weather(stalled=True)
        await self.proxy.close_door()
        # a listener that accepts nobody, with its queue full: Linux drops every further SYN (listen(2), tcp_abort_on_overflow = 0)
        self._deaf = socket.socket()
        self._deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._deaf.bind((self.proxy.host, self.proxy.port))
        self._deaf.listen(0)
        self._fill = socket.create_connection((self.proxy.host, self.proxy.port))

    async def come(self) -> None:
        self._fill.close()
        self._deaf.close()
        await self.proxy.open_door()
        self.proxy.weather = CLEAR

    def asked(self) -> None:
        return None


class Answers(Away):
    """Every request gets the same failure."""

    def __init__(self, server: ApiServer, proxy: FaultProxy, trouble: Trouble) -> None:
        super().__init__(server, proxy)
        self.name = trouble.value
        self._trouble = trouble

    async def go(self) -> None:
        self._fault = self.server.faults.add(Fault(what=self._trouble, verbs=EVERY_VERB))
        self.server.cut_watches()
        self._before = self._count()

    async def come(self) -> None:
        self.server.faults.lift(self._fault)

    def asked(self) -> int:
        return self._count() - self._before

    def _count(self) -> int:
        return sum(self.server.audit.counts.values())


class Mute(Away):
    """Connections are accepted and requests read; no answer ever comes on them, not even when the server is well again."""

    name = "accepts and never answers"

    async def go(self) -> None:
        await self.proxy.close_door()
        self.proxy.reset()
        self._heard, self._open = 0, set[asyncio.StreamWriter]()
        self._server = await asyncio.start_server(self._listen, self.proxy.host, self.proxy.port)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError):
            while request := await reader.read(1 << 16):
                self._heard += request.count(b"HTTP/1.1\r\n")
        writer.transport.abort()

    async def come(self) -> None:
        self._server.close()
        await self.proxy.open_door()

    def asked(self) -> int:
        return self._heard

    def close(self) -> None:
        for writer in self._open:
            writer.transport.abort()


def away_modes(server: ApiServer, proxy: FaultProxy) -> tuple[Away, ...]:
    """The five."""
    return (
        Refuses(server, proxy), BlackHole(server, proxy), Answers(server, proxy, Trouble.SERVER_ERROR),
        Answers(server, proxy, Trouble.UNAUTHORIZED), Mute(server, proxy),
    )  # fmt: skip


@asynccontextmanager
async def gone(server: ApiServer, proxy: FaultProxy) -> AsyncIterator[Refuses]:
    """The server is away for as long as the block runs."""
    mode = Refuses(server, proxy)
    await mode.go()
    try:
        yield mode
    finally:
        await mode.come()


# What an Envoy holds

VOLATILE = frozenset({"last_updated", "version_info"})
ITS_OWN = frozenset({CERTIFICATE, TRUST})
"""Secrets by which an instance reaches the replicas: no two have the same."""


async def held_by(admin: Admin) -> frozenset[str]:
    """Everything dynamic that an Envoy holds, each row with its kind, without what tells when it came and in which answer (the marks of scopes too)."""
    dump = await admin.config_dump()
    return frozenset(
        f"{key} {msgspec.json.encode(_plain(row)).decode()}"
        for part in dump.get("configs", ())
        for key, rows in part.items()
        if key.startswith("dynamic_")
        for row in _rows(rows)
        if not (key.startswith("dynamic_active_secrets") and row["name"] in ITS_OWN)
    )


def _rows(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Scopes stand in one list, in no order."""
    for row in rows:
        scopes = row.get("scoped_route_configs")
        yield from [{"scopes of": row.get("name"), "scope": one} for one in scopes] if scopes is not None else [row]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in sorted(value.items()) if key not in VOLATILE and not key.startswith(MARK)}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


async def until(moment: float) -> None:
    """Waits for a moment of the monotonic clock: for phases of a fault, never for something to be true."""
    await asyncio.sleep(max(moment - time.monotonic(), 0))


__all__ = [
    "Admin", "Away", "Envoy", "Mute", "Plane", "authority_keys", "away_modes", "backends", "gone", "held_by", "planes", "until",
]  # fmt: skip
