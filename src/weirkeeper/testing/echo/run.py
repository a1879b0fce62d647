"""The echo backend elsewhere than in the present event loop: in a thread, or in a process."""

import asyncio
import contextlib
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import msgspec

from weirkeeper.testing.echo.server import EchoServer

STARTING = 10.0


class EchoProcess(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    port: int
    pid: int


@contextlib.contextmanager
def echo_thread(
    *, name: str = "echo", host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[EchoServer]:
    """A running echo backend with an event loop of its own; `requests` and `count` may be read from any thread."""
    server = EchoServer(name=name, host=host, port=port, tls=tls)
    started: Future[asyncio.AbstractEventLoop] = Future()
    ended = asyncio.Event()

    async def serve() -> None:
        try:
            await server.start()
        except OSError as error:
            started.set_exception(error)
            return
        started.set_result(asyncio.get_running_loop())
        await ended.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name=f"echo {name}", daemon=True)
    thread.start()
    loop = started.result(STARTING)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(STARTING)


@contextlib.contextmanager
def echo_process(
    *, name: str = "echo", host: str = "127.0.0.1", port: int = 0, certificate: str = "", key: str = ""
) -> Iterator[EchoProcess]:
    """A running echo backend in a process that ends with the block, or with us."""
    command = [sys.executable, "-m", "weirkeeper.testing.echo", "--name", name, "--host", host, "--port", str(port)]
    if certificate:
        command += ["--certificate", certificate, "--key", key]
    with subprocess.Popen([*command, "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the echo backend {name!r} did not start; it ended with {process.wait()}")
        try:
            told = msgspec.json.decode(line, type=dict[str, str | int])
            yield EchoProcess(name=name, port=int(told["port"]), pid=process.pid)
        finally:
            process.terminate()
