"""A pod on this machine: `weir sidecar` and `weir bootstrap` as processes, an exchange that knows one token, and probes as a kubelet asks them.

In: a replica, a folder. Out: addresses of probes, an Envoy with the bootstrap that was printed.
"""

import asyncio
import datetime as dt
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from fleet import Instance
from replicas import Replica
from served import LB

from weirkeeper.distribute.accounts import ServiceAccount
from weirkeeper.distribute.desk import Desk
from weirkeeper.distribute.exchange import Exchange
from weirkeeper.model.text import Refused
from weirkeeper.providers.envoy.processes import Folder
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.ports import free_port


@asynccontextmanager
async def desk(replica: Replica, life: dt.timedelta, counted: list[str]) -> AsyncIterator[int]:
    async def review(token: str) -> ServiceAccount | Refused:
        return ServiceAccount("edge", "envoy") if token == "token-7f3a" else Refused("the token is not valid")

    exchange = Exchange(lambda: replica.tls.keys, review, lambda: {"edge/envoy": frozenset({LB})}, life=life, counted=counted.append)
    made = Desk("127.0.0.1:0", replica.tls, exchange, None)
    task = asyncio.create_task(made.run())
    await asyncio.wait_for(made.listening.wait(), 60)
    try:
        yield made.port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def weir(*arguments: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "weirkeeper", *arguments, stdout=pipe, stderr=pipe)


class Beside:
    """A running ``weir sidecar``: its process, and where it answers."""

    def __init__(self, process: asyncio.subprocess.Process, listen: str) -> None:
        self.process, self.url = process, f"http://{listen}"

    async def stop(self) -> str:
        """End it as a kubelet does; what it has said."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        _, said = await asyncio.wait_for(self.process.communicate(), 60)
        assert self.process.returncode == 0, said.decode()
        assert b"token-7f3a" not in said
        return said.decode()


@asynccontextmanager
async def sidecar(state: Path, port: int, *more: str, token: str = "token-7f3a") -> AsyncIterator[Beside]:
    """``weir sidecar`` of the Envoy in ``state``, until the block ends."""
    (state / "token").write_text(token + "\n")
    listen = f"127.0.0.1:{free_port()}"
    process = await weir(
        "sidecar", "--load-balancer", LB, "--instance", "pod-1", "--control-plane", f"127.0.0.1:{free_port()}",
        "--control-plane", f"127.0.0.1:{port}", "--token-file", f"{state}/token", "--authority-file", f"{state}/ca.crt",
        "--folder", f"{state}/run", "--admin-socket", f"{state}/i0/admin.sock", "--listen", listen, *more,
    )  # fmt: skip
    beside = Beside(process, listen)
    try:
        yield beside
    finally:
        if process.returncode is None:
            await beside.stop()


async def envoy(state: Path, port: int) -> Instance:
    process = await weir(
        "bootstrap", "--load-balancer", LB, "--instance", "pod-1", "--address", "192.0.2.7",
        "--control-plane", f"127.0.0.1:{port}", "--folder", f"{state}/run", "--admin-socket", f"{state}/i0/admin.sock",
    )  # fmt: skip
    document, said = await process.communicate()
    assert process.returncode == 0, said
    json.loads(document)
    return Instance(Folder(state / "i0"), document)


async def probe(url: str) -> tuple[int, str]:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, await answer.text()
    except aiohttp.ClientConnectionError:
        return 0, ""


async def becomes(url: str, status: int, seconds: float = 60) -> str:
    async def look() -> str:
        found = await probe(url)
        return found[1] if found[0] == status else ""

    return await eventually(look, seconds, what=f"{url} answers {status}", pause=0.05)
