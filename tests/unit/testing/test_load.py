"""The load: what counts as a failure, that nothing is missed, and that it ends."""

import asyncio
import time

import pytest

from weirkeeper.testing.client import Target
from weirkeeper.testing.echo import EchoServer, echo_thread
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.load import Ask, Lost, Mix, Plan, Record, Result, load
from weirkeeper.testing.load.drive import Run
from weirkeeper.testing.ports import free_port

SHOP = Ask(name="shop", host="shop.example")


def drive(plan):
    return asyncio.run(asyncio.wait_for(Run(plan).drive(), 60))


def against_echo(**more):
    async def scenario():
        async with EchoServer(name="e") as echo:
            result = await Run(Plan(target=Target(port=echo.port), **more)).drive()
            return result, echo.count

    return asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_failure_is_a_lost_answer_or_a_wrong_one():
    right = Record(started_ns=1, ended_ns=2, target="a", status=200, answer="x")
    wrong = Record(started_ns=1, ended_ns=2, target="a", status=503)
    lost = Record(started_ns=1, ended_ns=2, target="a", status=200, lost=Lost.CUT)
    result = Result(records=(right, wrong, lost), reconnects=0, started_ns=0, ended_ns=1_000_000_000)
    assert result.failures(lambda record: record.status == 200) == [wrong, lost]
    assert result.per_second == 3


@pytest.mark.parametrize("mix", Mix)
def test_every_request_is_recorded_once(mix):
    asks = (SHOP, Ask(name="blog", host="blog.example", path="/?status=404"))
    result, served = against_echo(asks=asks, mix=mix, connections=4, count=100)
    assert len(result.records) == served == 100
    assert {(record.target, record.status, record.answer) for record in result.records} == {
        ("shop", 200, "e"),
        ("blog", 404, "e"),
    }
    assert all(
        result.started_ns <= record.started_ns <= record.ended_ns <= result.ended_ns for record in result.records
    )
    assert result.reconnects == 0
    assert len(result.failures(lambda record: record.status == 200)) == 50


@pytest.mark.parametrize("mix", Mix)
@pytest.mark.parametrize("where", ["before", "middle"])
def test_an_answer_that_is_cut_off_is_a_failure(mix, where):
    ask = Ask(name="cut", host="h", path=f"/?abort={where}")
    result, _ = against_echo(asks=(ask, SHOP), mix=mix, count=10)
    assert [record.lost for record in result.records] == [Lost.CUT, None] * 5


def test_an_answer_that_does_not_come_in_time_is_a_failure():
    result, _ = against_echo(asks=(Ask(name="late", host="h", path="/?delay=60"),), count=1, limit=0.05)
    assert [record.lost for record in result.records] == [Lost.LATE]


@pytest.mark.parametrize("mix", Mix)
def test_a_refused_connection_is_a_failure(mix):
    result = drive(Plan(target=Target(port=free_port()), asks=(SHOP,), mix=mix, connections=2, count=10))
    assert [record.lost for record in result.records] == [Lost.REFUSED] * 10


def serve_by_hand(on_connection, **more):
    async def scenario():
        async with await asyncio.start_server(on_connection, "127.0.0.1", 0) as server:
            target = Target(port=server.sockets[0].getsockname()[1])
            return await Run(Plan(target=target, asks=(SHOP,), **more)).drive()

    return asyncio.run(asyncio.wait_for(scenario(), 60))


def test_what_is_no_http_is_a_failure():
    async def babble(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hello\r\n\r\n")
        writer.close()

    assert [record.lost for record in serve_by_hand(babble, count=2).records] == [Lost.GARBLED] * 2


def test_a_connection_closed_while_idle_is_a_reconnect():
    async def once(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    result = serve_by_hand(once, count=3, rate=20)
    assert [record.status for record in result.records] == [200] * 3
    assert result.reconnects == 2


@pytest.mark.parametrize("mix", Mix)
def test_new_connections_go_to_the_addresses_that_a_file_has_then(mix, tmp_path):
    names = tmp_path / "addresses"
    names.write_text("127.0.0.2\n")

    async def scenario():
        port = free_port()
        async with EchoServer(name="first", port=port), EchoServer(name="second", host="127.0.0.2", port=port):
            run = Run(Plan(target=Target(port=port), asks=(SHOP,), mix=mix, rate=50, follow=str(names)))
            task = asyncio.create_task(run.drive())
            await eventually(asked(run, 1), 30, what="a request")
            names.write_text("127.0.0.1\n")
            await eventually(asked(run, 10), 30, what="ten requests")
            run.stopped.set()
            return await task

    answers = [record.answer for record in asyncio.run(asyncio.wait_for(scenario(), 60)).records]
    assert answers[0] == "second"
    assert answers[-1] == ("first" if mix is Mix.NEW_CONNECTION else "second"), "what is kept stays where it is"


def asked(run, count):
    async def look():
        return len(run.records) >= count

    return look


def test_a_rate_is_kept():
    result, _ = against_echo(asks=(SHOP,), connections=4, rate=200, count=40)
    assert (result.ended_ns - result.started_ns) / 1e9 >= 0.18
    assert result.per_second < 230


def test_seconds_bound_a_run():
    result, _ = against_echo(asks=(SHOP,), connections=2, seconds=0.1)
    assert result.records
    assert (result.ended_ns - result.started_ns) / 1e9 < 5


def test_a_load_in_a_process_of_its_own_is_stopped():
    with (
        echo_thread(name="e") as echo,
        load(Plan(target=Target(port=echo.port), asks=(SHOP,), connections=2)) as running,
    ):
        begun = time.monotonic_ns()
        while time.monotonic_ns() < begun + 20_000_000:
            pass
        result = running.stop()
        assert running.stop() is result
        assert running.process.wait(60) == 0
    assert len(result.records) == echo.count
    assert result.failures(lambda record: record.answer == "e") == []
    assert result.records[0].started_ns < begun < result.records[-1].ended_ns


def test_a_load_in_a_process_of_its_own_ends_by_itself():
    with echo_thread() as echo, load(Plan(target=Target(port=echo.port), asks=(SHOP,), count=5)) as running:
        assert len(running.wait().records) == 5


def test_a_load_that_is_left_is_ended():
    with echo_thread() as echo, load(Plan(target=Target(port=echo.port), asks=(SHOP,))) as running:
        assert running.process.poll() is None
    assert running.process.returncode is not None
