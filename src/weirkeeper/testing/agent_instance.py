"""A real engine as an instance of a cluster install: a supervisor that starts it again whenever it ends, and `weir agent` beside it, each a process that may be killed.

Comes in: the authority's keys, where the replicas listen, a folder. Goes out: an instance that serves whatever the replicas say. The exchange of tokens is done here by hand.
"""

import asyncio
import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from weirkeeper.distribute.authority import AuthorityKeys, Issued, issue_instance, new_request
from weirkeeper.distribute.sidecar import KEPT, Held
from weirkeeper.model.text import Id
from weirkeeper.testing.client import fetch
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.ports import free_port

LIFE = dt.timedelta(days=1)
PATIENCE = 15.0
"""Seconds for one answer of the agent: a busy machine is no agent that is away."""


class AgentInstance(ABC):
    """One engine with its supervisor and its agent."""

    kind: ClassVar[str]
    supervisor: ClassVar[str]
    """A shell script that starts the engine, whose binary is its name, whenever there is none."""

    def __init__(
        self,
        folder: Path,
        load_balancer: Id,
        name: str,
        servers: Sequence[str],
        addresses: Sequence[str] = (),
        *,
        alive_port: int = 0,
    ) -> None:
        self.folder, self.engine = folder, folder / "e"
        self.engine.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.port, self.alive_port = free_port(), alive_port or free_port()
        self.command = [
            sys.executable, "-m", "weirkeeper", "agent", self.kind, f"--load-balancer={load_balancer}", f"--instance={name}",
            *(f"--control-plane={server}" for server in servers), "--exchange=127.0.0.1:9", f"--folder={folder / 'tls'}",
            f"--engine-folder={self.engine}", f"--token-file={folder / 'token'}", f"--authority-file={folder / 'ca.crt'}",
            f"--listen=127.0.0.1:{self.port}", f"--engine-listen=127.0.0.1:{self.alive_port}", "--threads=1", *(f"--address={one}" for one in addresses),
        ]  # fmt: skip
        self.source: Path | None = None
        """Where the agent's program lies, if not where ours does."""
        self._agent: subprocess.Popen[bytes] | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None

    def certify(self, keys: AuthorityKeys, load_balancer: Id, name: str) -> None:
        """As if the exchange had given it a certificate."""
        key, request = new_request()
        made = issue_instance(keys, request, load_balancer, name, dt.datetime.now(dt.UTC), life=LIFE)
        assert isinstance(made, Issued)
        (self.folder / "tls").mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = Held(chain=made.chain, key=key.open(), authority=made.authority)
        (self.folder / "tls" / KEPT).write_bytes(msgspec.json.encode(kept))
        (self.folder / "ca.crt").write_text(made.authority)

    def start_agent(self, *more: str) -> None:
        """Beside the engine, be it there or not."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("WEIR_", "KUBE"))}
        if self.source is not None:
            environment["PYTHONPATH"] = str(self.source)
        with (self.folder / "agent.log").open("ab") as log:
            self._agent = subprocess.Popen(
                [*self.command, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def start_supervisor(self) -> None:
        """Starts the engine whenever there is none."""
        binary = self.binary()
        assert binary is not None, f"there is no {self.kind} on this machine"
        self._supervisor = subprocess.Popen(
            ["/bin/sh", "-c", self.supervisor, str(binary)],
            stdin=subprocess.DEVNULL,
            cwd=self.engine,
            start_new_session=True,
        )

    def supervise(self, *, on: bool) -> None:
        """Whether one that has ended is started again: off as where a kubelet waits before it tries once more."""
        assert self._supervisor is not None
        self._supervisor.send_signal(signal.SIGCONT if on else signal.SIGSTOP)

    def signal_agent(self, number: signal.Signals) -> None:
        """Stop it where it is, or have it go on."""
        assert self._agent is not None
        self._agent.send_signal(number)

    def kill_agent(self) -> None:
        """As the kernel does when memory runs out."""
        assert self._agent is not None
        self._agent.kill()
        self._agent.wait()

    async def kill_engine(self) -> None:
        """Master and workers at once."""
        for pid in await self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @abstractmethod
    def binary(self) -> Path | None:
        """The engine's program."""

    @abstractmethod
    async def processes(self) -> list[int]:
        """The master, then its workers."""

    def end_now(self) -> None:
        """The same as `end`, for those without a loop."""
        asyncio.run(self.end())

    def processes_now(self) -> list[int]:
        """The same as `processes`, for those without a loop."""
        return asyncio.run(self.processes())

    @property
    def log(self) -> str:
        """What the agent said."""
        return (self.folder / "agent.log").read_text("utf-8", "replace")

    async def answer(self, path: str) -> str:
        """What the agent answers; nothing while it does not."""
        try:
            found = await fetch(f"http://localhost{path}", via=self.port, limit=PATIENCE)
        except (OSError, TimeoutError):
            return ""
        return found.body.decode()

    async def number(self, name: str) -> float:
        """A number of the agent's; NaN while it does not answer, 0 where it was never counted."""
        text = await self.answer("/metrics")
        found = [float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name)]
        return sum(found) if text else float("nan")

    async def ready(self, within: float = 60.0) -> None:
        """The engine does what is wished."""

        async def look() -> bool:
            return await self.answer("/ready") == "yes\n"

        await eventually(look, within, what=f"the agent is ready; it says {self.log[-3000:]}")

    async def end(self) -> None:
        """Nothing of it lives on."""
        if self._agent is not None and self._agent.poll() is None:
            self.kill_agent()
        found = await self.processes()
        if self._supervisor is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._supervisor.pid, signal.SIGKILL)
            self._supervisor.wait()
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


Kind = TypeVar("Kind", bound=AgentInstance)


@asynccontextmanager
async def agent_instance(  # noqa: PLR0917 - who it is, and where its replicas are
    kind: type[Kind],
    folder: Path,
    keys: AuthorityKeys,
    load_balancer: Id,
    name: str,
    servers: Sequence[str],
    *,
    addresses: Sequence[str] = (),
    alive_port: int = 0,
) -> AsyncIterator[Kind]:
    """An engine that runs until the block ends, and does what is wished when it begins. Two that answer probes at the same port have the same frame."""
    found = kind(folder, load_balancer, name, servers, addresses, alive_port=alive_port)
    found.certify(keys, load_balancer, name)
    found.start_supervisor()
    found.start_agent()
    try:
        await found.ready()
        yield found
    finally:
        await asyncio.shield(found.end())
