"""An Envoy that is stopped: what is under way is answered, kept connections are closed politely, nothing fails. And one that is not stopped is left alone."""

import asyncio
import contextlib
import datetime as dt
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest
from fleet import Instance, fleet
from pod import Beside, becomes, desk, envoy, probe, sidecar
from real_envoy import Front, living
from replicas import authority, replicas

from weirkeeper.providers.envoy.processes import ended
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import ClientTls, Http1Connection, Http2Connection, Response, Target
from weirkeeper.testing.echo import EchoServer
from weirkeeper.testing.eventually import eventually

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")]
HOST = "one.example"
PATIENCE = 60.0
"""A machine may be busy with other things."""


class Client:
    """Requests one after the other on one connection, until the server closes it; none may fail."""

    def __init__(self, connection: Http1Connection | Http2Connection) -> None:
        self.connection, self.answers = connection, list[Response]()
        self.goes = True

    async def run(self) -> None:
        async with self.connection as one:
            while self.goes and one.usable:
                self.answers.append(await one.request("/", host=HOST))
                if (self.answers[-1].header("connection") or "").lower() == "close":
                    return
                await asyncio.sleep(0.02)

    @property
    def failed(self) -> list[Response]:
        return [answer for answer in self.answers if answer.status != 200]


@asynccontextmanager
async def clients(front: Front) -> AsyncIterator[tuple[list[Client], asyncio.Task[list[None]]]]:
    """Three of each kind, and the task that ends when all have been told to go elsewhere."""
    plain, secure = Target(port=front.port), Target(port=front.secure_port, tls=ClientTls(sni=HOST, alpn=("h2",)))
    made = [Client(kind(target, limit=PATIENCE)) for kind, target in ((Http1Connection, plain), (Http2Connection, secure)) for _ in range(3)]
    task = asyncio.ensure_future(asyncio.gather(*(one.run() for one in made)))
    try:
        yield made, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def shop(front: Front, a: EchoServer) -> None:
    """One host, with and without TLS."""
    pair = Authority().issue(HOST)
    front.backend("a", a.port)
    front.secure()
    front.to(HOST, "a")
    front.certificate("one", pair, HOST)
    front.pair = pair  # type: ignore[attr-defined]


class Late:
    """A request that is under way for as long as the test wishes."""

    def __init__(self, front: Front) -> None:
        self._front, self._came, self._answered = front, asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        self._front.backend("late", self._server.sockets[0].getsockname()[1])
        self._front.to("late.example", "late")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self._came.set()
        await self._answered.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async def begin(self) -> asyncio.Task[Response]:
        """Ask, and return when the backend has been asked."""
        task = asyncio.create_task(self._ask())
        await asyncio.wait_for(self._came.wait(), PATIENCE)
        return task

    async def _ask(self) -> Response:
        async with Http1Connection(Target(port=self._front.port), limit=2 * PATIENCE) as one:
            return await one.request("/", host="late.example")

    def answer(self) -> None:
        """It has been under way for long enough."""
        self._answered.set()


async def drain(admin: Path, *more: str) -> tuple[int, str]:
    """``weir drain``; its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "weirkeeper", "drain", "--admin-socket", str(admin), *more, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 2 * PATIENCE)
    assert process.returncode is not None
    return process.returncode, said.decode()


def all_asked(made: list[Client], count: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return all(len(one.answers) >= count for one in made)

    return look


def test_weir_drain_sends_everybody_elsewhere_and_cuts_nobody(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a, Late(front) as late:
            await shop(front, a)
            async with living(front, state) as live:
                await front.answers(HOST, "a")
                await front.shows(HOST, front.pair)
                admin = next(live.folder.glob("*/admin.sock"))
                async with clients(front) as (made, task):
                    await eventually(all_asked(made, 10), what="kept connections are in use")
                    asked = await late.begin()
                    draining = asyncio.create_task(drain(admin, "--seconds", str(PATIENCE)))
                    await asyncio.wait_for(task, PATIENCE)
                    assert not draining.done(), "it waits for what is under way"
                    late.answer()
                    assert await draining == (0, "")
                    got = await asked
                    assert (got.status, got.header("connection")) == (200, "close")
                assert [one.failed for one in made] == [[]] * 6
                assert (await front.ask(HOST)).status == 200, "who comes late is served"
                async with Http1Connection(Target(port=front.port)):
                    code, said = await drain(admin, "--seconds", "0.3")
                assert (code, said) == (1, "weir drain: connections that are left: 1\n")
        code, said = await drain(admin)
        assert code == 2
        assert "no Envoy answers" in said

    asyncio.run(story())


@asynccontextmanager
async def pod(state: Path, front: Front, *more: str) -> AsyncIterator[tuple[Beside, Instance]]:
    """A sidecar and its Envoy, serving."""
    keys = authority()
    (state / "ca.crt").write_text(keys.bundle)
    async with (
        replicas(front, keys, 1) as (one,),
        desk(one, dt.timedelta(days=1), []) as port,
        sidecar(state, port, *more) as beside,
    ):
        await becomes(f"{beside.url}/started", 200)
        made = await envoy(state, one.port)
        async with fleet(made):
            await becomes(f"{beside.url}/ready", 200)
            await front.answers(HOST, "a")
            await front.shows(HOST, front.pair)
            yield beside, made


def test_a_pod_that_is_stopped_drains_and_ends_when_no_connection_is_left(state: Path) -> None:
    """As a kubelet does it: Envoy is left alone until its hook is answered, the sidecar is told at once."""

    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a, Late(front) as late:
            await shop(front, a)
            async with pod(state, front, "--drain-seconds", "600") as (beside, made), clients(front) as (asking, task):
                await eventually(all_asked(asking, 10), what="kept connections are in use")
                hook = asyncio.create_task(probe(f"{beside.url}/drained"))
                asked = await late.begin()
                assert not hook.done()
                assert (await probe(f"{beside.url}/ready"))[0] == 200
                began = asyncio.get_running_loop().time()
                stopped = asyncio.create_task(beside.stop())
                assert await becomes(f"{beside.url}/ready", 503) == "it was told to go\n"
                late.answer()
                assert await hook == (200, "yes\n")
                made.signal(signal.SIGTERM)
                assert "connections that are left: 0" in await stopped
                assert asyncio.get_running_loop().time() - began < PATIENCE, "long before its limit"
                await asyncio.wait_for(task, PATIENCE)
                assert (await asked).status == 200
            assert [one.failed for one in asking] == [[]] * 6

    asyncio.run(story())


def test_a_connection_that_stays_is_waited_for_up_to_the_limit_and_nobody_is_kept_by_a_hook_that_forgets_envoy(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a:
            await shop(front, a)
            async with pod(state, front, "--drain-seconds", "1") as (beside, made), Http1Connection(Target(port=front.port)) as idle:
                assert (await idle.request("/", host=HOST)).status == 200
                hook = asyncio.create_task(probe(f"{beside.url}/drained"))
                said = await beside.stop()
                assert await hook == (200, "yes\n")
                assert "connections that are left: 1" in said
                await asyncio.wait_for(ended(made.process), PATIENCE)  # nobody stopped it: so the sidecar did

    asyncio.run(story())


def test_a_sidecar_that_alone_is_started_anew_drains_nothing(state: Path) -> None:
    async def story() -> None:
        front = Front()
        async with EchoServer(name="a") as a:
            await shop(front, a)
            async with pod(state, front) as (beside, _), clients(front) as (asking, task):
                gone = asyncio.create_task(probe(f"{beside.url}/drained"))
                await asyncio.sleep(0.2)
                gone.cancel()  # who asked and went away does not count
                await eventually(all_asked(asking, 10), what="kept connections are in use")
                assert "drained" not in await beside.stop()
                before = [len(one.answers) for one in asking]
                await eventually(all_asked(asking, max(before) + 10), what="they still are")
                assert not task.done()
                for one in asking:
                    one.goes = False
                await task
            assert [one.failed for one in asking] == [[]] * 6
            assert not any(answer.header("connection") for one in asking for answer in one.answers)

    asyncio.run(story())
