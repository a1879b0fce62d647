"""The echo backend: it answers with what it saw, steers as asked, and keeps nothing of what is over."""

import asyncio

import pytest

from weirkeeper.testing.client import Http1Connection, Http2Connection, Target, fetch, get, grpc_unary
from weirkeeper.testing.echo import EchoServer, echo_process
from weirkeeper.testing.echo.http2 import Http2Connection as Serving


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize("http2", [False, True])
def test_answers_are_steered(http2):
    async def scenario():
        async with EchoServer(name="e") as echo:
            at = f"http://127.0.0.1:{echo.port}"
            assert (await fetch(f"{at}/?status=418", http2=http2)).status == 418
            wishes = [("x-echo-status", "204"), ("x-echo-set-header", "x-a: b")]
            answer = await fetch(f"{at}/?status=418", http2=http2, headers=wishes)
            assert (answer.status, answer.body, answer.header("x-a")) == (204, b"", "b")
            assert (await fetch(f"{at}/?bytes=7", http2=http2)).body == b"x" * 7
            for wrong in ("status=x", "status=99", "delay=-1", "bytes=-1"):
                assert (await fetch(f"{at}/?{wrong}", http2=http2)).status == 400
            assert (await fetch(f"{at}/", http2=http2, method="POST", body=b"hello")).echo.body == "hello"
            count = await fetch(f"{at}/__count", http2=http2, headers=[("x-echo-control", "1")])
            assert count.text == f'{{"name":"e","count":{echo.count}}}'
            assert echo.count == len(echo.requests) == 8

    run(scenario)


def test_requests_that_a_stricter_parser_refuses_are_seen():
    async def scenario():
        async with EchoServer() as echo, Http1Connection(Target(port=echo.port)) as one:
            raw = b"GET /a\xff%00 HTTP/1.1\r\nHoSt: h\r\nhost: i\r\nA:1\r\nA: 2\r\n\r\n"
            seen = (await one.exchange(raw)).echo
            assert (seen.path, seen.host) == ("/a\xff%00", "h")
            assert seen.headers == (("HoSt", "h"), ("host", "i"), ("A", "1"), ("A", "2"))
            chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            assert (await one.exchange(chunked)).echo.body == "abc"
            assert (await one.request("/sse", host="h")).body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"

    run(scenario)


def test_only_the_last_requests_are_kept():
    async def scenario():
        async with EchoServer(keep=2) as echo, Http1Connection(Target(port=echo.port)) as one:
            for number in range(4):
                await one.request(f"/{number}", host="h")
            assert [request.path for request in echo.requests] == ["/2", "/3"]
            assert echo.count == 4

    run(scenario)


def test_a_stream_that_is_over_leaves_nothing(monkeypatch):
    served = []
    begin = Serving.serve

    async def serve(self, start):
        served.append(self)
        await begin(self, start)

    monkeypatch.setattr(Serving, "serve", serve)

    async def scenario():
        async with EchoServer() as echo, Http2Connection(Target(port=echo.port)) as two:
            await asyncio.gather(*(two.request("/", host="h", body=b"b") for _ in range(20)))
            await grpc_unary(two, "/e.E/U", b"m", host="h")
            two.begin("/", host="h").connection.forget(1 << 20)
            open_stream = two.begin("/", host="h")
            two.forget(open_stream.number)
            await two.request("/", host="h")
            await asyncio.sleep(0)
            (connection,) = served
            left = {1 + 2 * 21}  # the one stream that was begun and never ended
            assert set(connection._requests) == set(connection._bodies) == left
            assert set(connection._turns) == set()

    run(scenario)


def test_stopping_does_not_wait_for_an_answer():
    async def scenario():
        async with EchoServer() as echo:
            waiting = asyncio.ensure_future(fetch(f"http://127.0.0.1:{echo.port}/?delay=3600"))
            while not echo.count:  # noqa: ASYNC110 - the server's counter has no event to wait for
                await asyncio.sleep(0.001)
            await echo.stop()
            with pytest.raises(ConnectionError):
                await waiting

    run(scenario)


def test_a_process_of_its_own():
    with echo_process(name="p") as echo:
        assert get(f"http://127.0.0.1:{echo.port}/").echo.name == "p"
    with pytest.raises(ConnectionRefusedError):
        get(f"http://127.0.0.1:{echo.port}/")


def test_a_port_in_use_is_told():
    async def scenario():
        async with EchoServer() as echo:
            with pytest.raises(OSError, match="in use"):
                await EchoServer(port=echo.port).start()

    run(scenario)
