"""The exact clients against the echo backend: what was asked for is what was sent, and what came is what is shown."""

import asyncio
import ssl

import h2.config
import h2.connection
import h2.events
import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame

from weirkeeper.testing import websocket
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import (
    AnswerLost,
    ClientTls,
    GrpcCall,
    Http1Connection,
    Http2Connection,
    Target,
    UpgradeRefused,
    WebSocket,
    fetch,
    get,
    grpc_unary,
)
from weirkeeper.testing.client.fetch import cut
from weirkeeper.testing.client.goaway import Farewell, GoAways
from weirkeeper.testing.client.http1 import encode_request, read_response
from weirkeeper.testing.echo import EchoServer, echo_thread
from weirkeeper.testing.ports import free_port
from weirkeeper.testing.proxy_protocol import proxy_v2


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def serving(authority, tmp_path):
    """A server context for a host, optionally asking for client certificates; and the pair that it shows."""

    def make(host, *, ask=False):
        pair = authority.issue(host)
        (tmp_path / "certificate").write_bytes(pair.certificate)
        (tmp_path / "key").write_bytes(pair.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
        if ask:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=authority.pem().decode())
        return context, pair

    return make


def run(scenario, limit=60):
    return asyncio.run(asyncio.wait_for(scenario(), limit))


def test_the_request_is_sent_byte_for_byte():
    assert encode_request(b"/\xff%2f", method="GEt", host="H:1", headers=[("a", "1"), ("A", "2")]) == (
        b"GEt /\xff%2f HTTP/1.1\r\nHost: H:1\r\na: 1\r\nA: 2\r\n\r\n"
    )
    assert b"Host" not in encode_request("/")
    assert encode_request("/", body=b"abc").endswith(b"Content-Length: 3\r\n\r\nabc")
    assert b"Content-Length" not in encode_request("/", headers=[("transfer-encoding", "chunked")], body=b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nab", 200, b"ab"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\nt: 1\r\n\r\n",
            200,
            b"abc",
        ),
        (b"HTTP/1.0 404\r\n\r\nuntil the end", 404, b"until the end"),
        (b"HTTP/1.1 204 No\r\n\r\n", 204, b""),
    ],
)
def test_answers_are_read_whole(sent, status, body):
    async def scenario():
        reader = asyncio.StreamReader()
        reader.feed_data(sent)
        reader.feed_eof()
        return await read_response(reader)

    response = run(scenario)
    assert (response.status, response.body) == (status, body)


def test_what_is_no_http_is_refused():
    async def scenario():
        reader = asyncio.StreamReader()
        reader.feed_data(b"SSH-2.0\r\n\r\n")
        await read_response(reader)

    with pytest.raises(ValueError, match="SSH"):
        run(scenario)


@pytest.mark.parametrize(
    ("url", "name", "port", "path"),
    [
        ("http://a.example", "a.example", 80, "/"),
        ("https://a.example?x", "a.example", 443, "/?x"),
        ("http://[::1]:81/%2e/../a?b=/c", "::1", 81, "/%2e/../a?b=/c"),
        ("https://[::1]/", "::1", 443, "/"),
    ],
)
def test_urls_are_cut_and_not_changed(url, name, port, path):
    wish = cut(url)
    assert (wish.name, wish.port, wish.path) == (name, port, path)


def test_an_url_of_another_scheme_is_refused():
    with pytest.raises(ValueError, match="ftp"):
        cut("ftp://a.example/")


def test_get_needs_no_event_loop():
    with echo_thread(name="e") as echo:
        response = get("http://Shop.example/a%2Fb/../c?x", via=echo.port, headers=[("X-One", "1"), ("x-one", "2")])
        assert (response.echo.host, response.echo.path) == ("Shop.example", "/a%2Fb/../c?x")
        assert response.echo.headers[1:3] == (("X-One", "1"), ("x-one", "2"))
        assert response.header("X-Echo-Name") == "e"
        assert get(f"http://127.0.0.1:{echo.port}/", host="other", http2=True).echo.host == "other"
        assert get(f"http://localhost:{echo.port}/", method="HEAD").body == b""
        posted = get(f"http://127.0.0.1:{echo.port}/", method="POST", body=b"x" * 200_000, http2=True)
        assert len(posted.echo.body) == 200_000


def test_an_answer_that_is_no_echo_shows_itself():
    with echo_thread() as echo:
        response = get(f"http://127.0.0.1:{echo.port}/?bytes=3")
        assert response.text == "xxx"
        with pytest.raises(AssertionError, match="200"):
            _ = response.echo


def test_many_requests_use_one_connection():
    async def scenario():
        async with EchoServer() as echo, Http1Connection(Target(port=echo.port, source="127.0.0.2")) as one:
            port = one.streams[1].get_extra_info("sockname")
            assert port[0] == "127.0.0.2"
            for number in range(3):
                assert (await one.request(f"/{number}", host="h")).echo.path == f"/{number}"
            assert one.usable
            assert one.streams[1].get_extra_info("sockname") == port

    run(scenario)


@pytest.mark.parametrize("where", ["before", "middle"])
@pytest.mark.parametrize("client", [Http1Connection, Http2Connection])
def test_an_answer_that_is_cut_off_is_lost(where, client):
    async def scenario():
        async with EchoServer() as echo, client(Target(port=echo.port)) as connection:
            with pytest.raises(AnswerLost):
                await connection.request(f"/?abort={where}&bytes=10", host="h")

    run(scenario)


def test_a_connection_that_the_server_left_is_known_before_the_next_request():
    async def scenario():
        async with EchoServer() as echo, Http1Connection(Target(port=echo.port)) as one:
            await one.request("/", host="h", headers=[("connection", "close")])
            reader, _ = one.streams
            assert await reader.read() == b""
            assert not one.usable

    run(scenario)


@pytest.mark.parametrize("client", [Http1Connection, Http2Connection])
def test_no_answer_in_time_is_a_timeout(client):
    async def scenario():
        async with EchoServer() as echo, client(Target(port=echo.port)) as connection:
            connection.limit = 0.05  # for the answer alone: to connect may take its time
            with pytest.raises(TimeoutError):
                await connection.request("/?delay=60", host="h")

    run(scenario)


@pytest.mark.parametrize("http2", [False, True])
def test_nobody_listening_is_a_refusal(http2):
    with pytest.raises(ConnectionRefusedError):
        get(f"http://127.0.0.1:{free_port()}/", http2=http2)


@pytest.mark.parametrize("http2", [False, True])
def test_tls_with_a_chosen_name_and_a_client_certificate(serving, authority, http2):
    async def scenario():
        context, pair = serving("a.example", ask=True)
        mine = authority.issue("client")
        async with EchoServer(tls=context) as echo:
            known = await fetch("https://a.example/", via=echo.port, trust=authority.pem(), pair=mine, http2=http2)
            crossed = await fetch("https://b.example/", via=echo.port, sni="a.example", http2=http2)
            nameless = await fetch("https://b.example/", via=echo.port, sni="", http2=http2)
            with pytest.raises(ssl.SSLCertVerificationError):
                await fetch("https://b.example/", via=echo.port, trust=authority.pem(), http2=http2)
        assert known.fingerprint == pair.fingerprint()
        assert known.echo.tls.peer == mine.fingerprint()
        assert (crossed.echo.tls.sni, crossed.echo.host) == ("a.example", "b.example")
        assert nameless.echo.tls.sni is None
        assert known.echo.tls.alpn == ("h2" if http2 else "http/1.1")

    run(scenario)


def test_a_tls_version_can_be_chosen(serving):
    async def scenario():
        context, _ = serving("a.example")
        async with EchoServer(tls=context) as echo:
            tls = ClientTls(sni="a.example", maximum="TLSv1_2")
            async with Http1Connection(Target(port=echo.port, tls=tls)) as one:
                assert (await one.request("/", host="a.example")).echo.tls.version == "TLSv1.2"

    run(scenario)


def test_several_authorities_share_one_http2_connection(serving):
    async def scenario():
        context, _ = serving("a.example")
        async with EchoServer(tls=context) as echo:
            target = Target(port=echo.port, tls=ClientTls(sni="a.example", alpn=("h2",)))
            async with Http2Connection(target) as two:
                hosts = [f"h{number}.example" for number in range(50)]
                responses = await asyncio.gather(*(two.request("/?bytes=100000", host=host) for host in hosts))
                assert {len(response.body) for response in responses} == {100_000}
                echoes = await asyncio.gather(*(two.request("/", host=host) for host in hosts))
                assert [response.echo.host for response in echoes] == hosts
                assert {response.echo.tls.sni for response in echoes} == {"a.example"}
                assert two.peer is not None

    run(scenario)


def test_a_server_without_http2_is_told_apart(serving):
    async def scenario():
        context, _ = serving("a.example")
        async with EchoServer(tls=context) as echo:
            target = Target(port=echo.port, tls=ClientTls(sni="a.example", alpn=()))
            with pytest.raises(ConnectionError, match="not HTTP/2"):
                await Http2Connection(target).open()

    run(scenario)


def test_a_connection_that_ends_is_told_to_its_streams():
    async def scenario():
        async with EchoServer() as echo, Http2Connection(Target(port=echo.port)) as two:
            await two.request("/", host="h")
            waiting = asyncio.ensure_future(two.request("/?delay=60", host="h"))
            while echo.count < 2:  # noqa: ASYNC110 - the server's counter has no event to wait for
                await asyncio.sleep(0.001)
            echo.cut()
            with pytest.raises(AnswerLost):
                await waiting
            assert not two.usable
            with pytest.raises(AnswerLost):
                await two.request("/", host="h")

    run(scenario)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_goaway_is_sifted_out_however_the_bytes_come(size):
    goaway = GoAwayFrame(0, last_stream_id=5, error_code=2).serialize()
    others = PingFrame(0, opaque_data=b"12345678").serialize(), DataFrame(1, data=b"x" * 300).serialize()
    sent = others[0] + goaway + others[1] + goaway
    sift = GoAways()
    pieces = [sift.sift(sent[at : at + size]) for at in range(0, len(sent), size)]
    assert b"".join(kept for kept, _ in pieces) == b"".join(others)
    assert [farewell for _, said in pieces for farewell in said] == [Farewell(last=5, code=2)] * 2


@pytest.mark.parametrize(("last", "answered"), [(2**31 - 1, True), (0, False)])
def test_an_answer_after_goaway_is_whole_and_no_new_stream_opens(last, answered):
    async def draining(reader, writer):
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        server.initiate_connection()
        while chunk := await reader.read(65536):
            for event in server.receive_data(chunk):
                if isinstance(event, h2.events.RequestReceived):
                    writer.write(server.data_to_send() + GoAwayFrame(0, last_stream_id=last).serialize())
                    if answered:
                        server.send_headers(event.stream_id, [(":status", "200")])
                        server.send_data(event.stream_id, b"whole", end_stream=True)
            writer.write(server.data_to_send())
        writer.close()

    async def scenario():
        async with await asyncio.start_server(draining, "127.0.0.1", 0) as server:
            two = await Http2Connection(Target(port=server.sockets[0].getsockname()[1])).open()
            if answered:
                assert (await two.request("/", host="h")).body == b"whole"
            else:
                with pytest.raises(AnswerLost, match="GOAWAY"):
                    await two.request("/", host="h")
            assert not two.usable
            with pytest.raises(AnswerLost, match="GOAWAY"):
                await two.request("/", host="h")
            await two.close()

    run(scenario)


def test_the_proxy_prefix_comes_first():
    async def scenario():
        prefix = proxy_v2("192.0.2.1", "192.0.2.2", 1, 2)
        seen = asyncio.get_running_loop().create_future()

        async def on_connection(reader, writer):
            seen.set_result(await reader.readexactly(len(prefix) + 4))
            writer.close()

        async with await asyncio.start_server(on_connection, "127.0.0.1", 0) as server:
            with pytest.raises(AnswerLost):
                await fetch(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", prefix=prefix)
        assert await seen == prefix + b"GET "

    run(scenario)


def test_a_websocket_exchange():
    async def scenario():
        async with EchoServer() as echo:
            async with WebSocket.open(Target(port=echo.port), "/ws", host="h", headers=[("x-a", "1")]) as socket:
                assert await socket.exchange("héllo") == "héllo"
                assert await socket.exchange("x" * 100_000) == "x" * 100_000
                await socket.send(websocket.Frame(opcode=websocket.PING, payload=b"p"))
                assert (await socket.receive()).opcode == websocket.PONG
                await socket.send(websocket.Frame(opcode=websocket.CLOSE, payload=b""))
                assert (await socket.receive()).opcode == websocket.CLOSE
                with pytest.raises(AnswerLost):
                    await socket.receive()
            assert echo.requests[0].header("x-a") == "1"

    run(scenario)


def test_an_upgrade_that_is_refused_shows_the_answer():
    async def scenario():
        async def refuse(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno")
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            target = Target(port=server.sockets[0].getsockname()[1])
            with pytest.raises(UpgradeRefused) as refused:
                async with WebSocket.open(target, host="h"):
                    raise AssertionError("it must not open")
        assert refused.value.response.status == 403

    run(scenario)


def test_grpc_unary_and_its_status():
    async def scenario():
        async with EchoServer() as echo, Http2Connection(Target(port=echo.port)) as two:
            reply = await grpc_unary(two, "/e.E/U", b"hey", host="h")
            assert (reply.status, reply.messages, reply.http_status) == (0, (b"hey",), 200)
            failed = await grpc_unary(two, "/e.E/U", b"", host="h", metadata=[("x-echo-grpc-status", "14")])
            assert (failed.status, failed.messages) == (14, (b"",))
            plain = await grpc_unary(two, "/e.E/U", b"hey", host="h", metadata=[("x-echo-status", "503")])
            assert (plain.status, plain.http_status) == (None, 503)

    run(scenario)


def test_grpc_both_ways_in_turn_and_at_once():
    async def scenario():
        async with EchoServer() as echo, Http2Connection(Target(port=echo.port)) as two:
            call = GrpcCall(two, "/e.E/S", host="h")
            for number in range(5):
                await call.send(b"%d" % number)
                assert await call.receive() == b"%d" % number
            await call.send(b"y" * 300_000)
            await call.end()
            reply = await call.finish()
            assert reply.status == 0
            assert [len(message) for message in reply.messages] == [1, 1, 1, 1, 1, 300_000]
            left = GrpcCall(two, "/e.E/S", host="h")
            left.cancel()
            assert (await two.request("/", host="after")).echo.host == "after"

    run(scenario)
