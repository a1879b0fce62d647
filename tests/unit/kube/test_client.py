"""The client against a server that says what no good one says: failures by name, cut and silent answers, lines split anywhere, credentials that run out."""

import asyncio
import contextlib
import datetime
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.kube.access import Access, Trust
from weirkeeper.kube.answers import lines_of, retry_after
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import (
    AlreadyExists,
    ApiFailure,
    BadAnswer,
    Forbidden,
    ServerFailure,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from weirkeeper.kube.resources import KNOWN
from weirkeeper.kube.types import Namespace, Service
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.ports import free_port

SERVICE = KNOWN["", "Service"]
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, list[str]]]:
    """A server of raw bytes on loopback: its URL, and the head of every request that it saw. A connection ends after each answer."""
    heads: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = next((int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
                heads.append(head + (await reader.readexactly(length)).decode())
                await answer(reader, writer, heads[-1])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http{'' if tls is None else 's'}://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def whole(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(reply: bytes) -> Answer:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(reply)

    return answer


def run(scenario: Callable[[Client, list[str]], Awaitable[Any]], answer: Answer, **options: Any) -> Any:
    async def running() -> Any:
        async with serving(answer) as (url, heads), Client(Access(url, **options), timeout=5) as client:
            return await scenario(client, heads)

    return asyncio.run(running())


def failure(answer: Answer, **options: Any) -> ApiFailure:
    async def scenario(client: Client, _heads: list[str]) -> ApiFailure:
        with pytest.raises(ApiFailure) as failed:
            await client.get(SERVICE, "a", "b", timeout=options.get("timeout"))
        return failed.value

    return run(scenario, answer)


def status(code: int, reason: str) -> bytes:
    return json.dumps({"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": "why"}).encode()


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (whole(403, status(403, "Forbidden")), Forbidden, "Forbidden"),
        (whole(500, b"<html>"), ServerFailure, ""),
        (whole(302, b"", "Location: http://127.0.0.1:1/"), BadAnswer, "Redirect"),
        (whole(200, b"<html>"), BadAnswer, "NotJson"),
        (b"nonsense\r\n\r\n", BadAnswer, "NotHttp"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", Unreachable, "Reset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", Unreachable, "Reset"),
    ],
)  # fmt: skip
def test_failures_have_their_names(reply: bytes, kind: type[ApiFailure], reason: str) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(reply)
        await writer.drain()
        writer.close()

    found = failure(answer)
    assert (type(found), found.reason) == (kind, reason)


def test_a_failure_that_comes_in_pieces_is_read_whole() -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: str) -> None:
        reply = whole(409, status(409, "AlreadyExists"))
        for at in range(0, len(reply), 25):
            writer.write(reply[at : at + 25])
            await writer.drain()
            await asyncio.sleep(0.002)

    assert isinstance(failure(answer), AlreadyExists)


def test_429_says_how_long() -> None:
    found = failure(always(whole(429, status(429, "TooManyRequests"), "Retry-After: 7")))
    assert isinstance(found, TooManyRequests)
    assert found.retry_after == 7


def test_a_failure_is_not_retried() -> None:
    async def scenario(client: Client, heads: list[str]) -> int:
        for _ in range(2):
            with pytest.raises(ServerFailure):
                await client.get(SERVICE, "a", "b")
        return len(heads)

    assert run(scenario, always(whole(503, status(503, "ServiceUnavailable")))) == 2


async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _head: str) -> None:
    await asyncio.Event().wait()


def test_no_answer_in_time() -> None:
    found = failure(silent, timeout=0.05)
    assert isinstance(found, Unreachable)
    assert found.reason == "Timeout"


def test_the_body_counts_for_the_time_too() -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await asyncio.Event().wait()

    assert failure(answer, timeout=0.05).reason == "Timeout"


def test_nobody_listens() -> None:
    async def scenario() -> ApiFailure:
        async with Client(Access(f"http://127.0.0.1:{free_port()}")) as client:
            with pytest.raises(Unreachable) as failed:
                await client.get_path("/version")
            return failed.value

    assert asyncio.run(scenario()).reason == "Refused"


def tls_of(authority: Authority, folder: Path) -> ssl.SSLContext:
    pair = authority.issue("127.0.0.1")
    (folder / "pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")
    return context


def test_a_server_of_another_authority_gets_no_token_until_the_file_follows(tmp_path: Path) -> None:
    old, new, trusted = Authority("old"), Authority("new"), tmp_path / "ca.crt"
    trusted.write_bytes(old.pem())

    async def scenario() -> list[str]:
        async with (
            serving(always(whole(200, b"{}")), tls_of(new, tmp_path)) as (url, heads),
            Client(Access(url, trust=Trust(trusted), credentials=Tokens("t"))) as client,
        ):
            with pytest.raises(Unreachable) as failed:
                await client.get_path("/version")
            assert failed.value.reason == "Tls"
            assert heads == []
            trusted.write_bytes(new.pem())
            await client.get_path("/version")
            return heads

    assert "Bearer t" in asyncio.run(scenario())[0]


def test_through_a_proxy_only_the_server_sees_the_token(tmp_path: Path) -> None:
    """The name of the server is for the proxy to resolve; TLS goes through it to the server, under the name of `tls-server-name`."""
    authority = Authority("a")
    seen: list[str] = []

    async def scenario() -> list[str]:
        async with serving(always(whole(200, b"{}")), tls_of(authority, tmp_path)) as (url, heads):

            async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
                seen.append(head)
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

            async with serving(connect) as (proxy, _):
                reached = Access("https://api.invalid", proxy=proxy, server_name="127.0.0.1", trust=Trust(authority.pem()), credentials=Tokens("t"))
                async with Client(reached) as client:
                    await client.get_path("/version")
            return heads

    heads = asyncio.run(scenario())
    assert "Bearer t" in heads[0]
    assert "Host: api.invalid" in heads[0]
    assert seen[0].startswith("CONNECT api.invalid:443 HTTP/1.1")
    assert "Bearer" not in seen[0]


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass  # a client that goes throws away what is under way
    finally:
        writer.close()


class Tokens:
    """Credentials that are renewed once."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)

    async def authorization(self) -> str | None:
        return f"Bearer {self.tokens[0]}"

    async def certificate(self) -> None:
        return None

    def renewed(self) -> bool:
        if len(self.tokens) > 1:
            del self.tokens[0]
            return True
        return False

    async def close(self) -> None:
        self.tokens = []


async def only_new(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
    writer.write(whole(200, b'{"metadata": {}}') if "Bearer new" in head else whole(401, status(401, "Unauthorized")))


def test_a_401_renews_the_credentials_once() -> None:
    async def scenario(client: Client, heads: list[str]) -> int:
        assert await client.create(SERVICE, {"a": 1}, "b") == {"metadata": {}}
        return len(heads)

    assert run(scenario, only_new, credentials=Tokens("old", "new")) == 2


@pytest.mark.parametrize("tokens", [("old",), ("old", "older", "new")])
def test_a_401_is_told_when_that_does_not_do(tokens: tuple[str, ...]) -> None:
    async def scenario(client: Client, heads: list[str]) -> int:
        with pytest.raises(Unauthorized):
            await client.get(SERVICE, "a", "b")
        return len(heads)

    assert run(scenario, only_new, credentials=Tokens(*tokens)) == min(len(tokens), 2)


def test_what_is_asked() -> None:
    async def scenario(client: Client, heads: list[str]) -> list[str]:
        await client.delete(SERVICE, "a", "b", uid="u")
        await client.patch(SERVICE, "a", {"x": 1}, "b", "status", content_type="application/json-patch+json", query={"force": "true"})
        with pytest.raises(BadAnswer):
            async for _ in client.pages(KNOWN["", "Namespace"], type=Namespace, resource_version="0", label_selector="a in (b,c)"):
                pass
        return heads

    heads = run(scenario, always(whole(200, b"{}")), headers=[("Impersonate-Group", "a"), ("Impersonate-Group", "b")])
    assert heads[0].startswith("DELETE /api/v1/namespaces/b/services/a HTTP/1.1")
    assert json.loads(heads[0].partition("\r\n\r\n")[2])["preconditions"] == {"uid": "u"}
    assert heads[0].count("Impersonate-Group: ") == 2
    assert heads[1].startswith("PATCH /api/v1/namespaces/b/services/a/status?force=true HTTP/1.1")
    assert "Content-Type: application/json-patch+json" in heads[1]
    assert "GET /api/v1/namespaces?" in heads[2]
    assert "labelSelector=a+in+%28b%2Cc%29" in heads[2] or "labelSelector=a+in+(b,c)" in heads[2]
    assert "as=PartialObjectMetadataList" in heads[2]
    assert "User-Agent: weirkeeper" in heads[2]


def watching(reply: list[bytes], *, end: bool = True, **options: Any) -> tuple[list[bytes], ApiFailure | None]:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for chunk in reply:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)
        if not end:
            await asyncio.Event().wait()
        writer.close()

    async def scenario(client: Client, _heads: list[str]) -> tuple[list[bytes], ApiFailure | None]:
        seen: list[bytes] = []
        opened: list[bool] = []
        try:
            async with aclosing(client.watch(SERVICE, opened=lambda: opened.append(True), **options)) as lines:
                async for line in lines:
                    assert opened == [True]
                    seen.append(line)
        except ApiFailure as error:
            return seen, error
        return seen, None

    return run(scenario, answer)


def test_lines_come_whole() -> None:
    long = "ü".encode() * 1_500_000
    text = b'{"a":1}\n\n' + long + b'\r\n{"b":2}'
    chunks = [text[:3], text[3:5], *(text[at : at + 99_991] for at in range(5, len(text), 99_991))]
    seen, error = watching(chunks)
    assert error is None
    assert seen == [b'{"a":1}', long, b'{"b":2}']


@given(st.lists(st.binary(max_size=8), max_size=8), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_lines_do_not_depend_on_chunks(parts: list[bytes], sizes: list[int]) -> None:
    text = b"\n".join(part.replace(b"\n", b"x") for part in parts)

    class Content:
        async def iter_any(self) -> AsyncIterator[bytes]:
            at, turn = 0, 0
            while at < len(text):
                size = sizes[turn % len(sizes)]
                yield text[at : at + size]
                at, turn = at + size, turn + 1

    async def scenario() -> list[bytes]:
        return [line async for line in lines_of(Content())]  # type: ignore[arg-type]

    assert asyncio.run(scenario()) == [line.strip() for line in text.split(b"\n") if line.strip()]


def test_a_silent_watch_is_noticed() -> None:
    seen, error = watching([b'{"a":1}\n'], end=False, silence=1.0)
    assert seen == [b'{"a":1}']
    assert isinstance(error, Unreachable)
    assert error.reason == "Stalled"


def test_a_watch_that_is_never_answered() -> None:
    async def scenario(client: Client, _heads: list[str]) -> ApiFailure:
        with pytest.raises(Unreachable) as failed:
            async for _ in client.watch(SERVICE, timeout=0.05):
                pass
        return failed.value

    assert run(scenario, silent).reason == "Timeout"


def test_a_watch_that_is_refused() -> None:
    async def scenario(client: Client, _heads: list[str]) -> None:
        with pytest.raises(Forbidden):
            async for _ in client.watch(SERVICE):
                pass

    run(scenario, always(whole(403, status(403, "Forbidden"))))


def test_a_cancelled_watch_closes_its_connection() -> None:
    gone = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}\n")
        await writer.drain()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        gone.set()

    async def scenario(client: Client, _heads: list[str]) -> None:
        started = asyncio.Event()

        async def watch() -> None:
            async for _ in client.watch(SERVICE):
                started.set()

        task = asyncio.create_task(watch())
        await started.wait()
        task.cancel()
        await asyncio.wait_for(gone.wait(), 60)
        await asyncio.gather(task, return_exceptions=True)

    run(scenario, answer)


NOW = datetime.datetime(2026, 11, 21, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("", None), ("7", 7), ("0", 0), ("soon", None), ("-1", None), ("Sat, 21 Nov 2026 12:00:30 GMT", 30), ("Sat, 21 Nov 2026 11:00:00 GMT", 0), ("٣", None)],
)  # fmt: skip
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_one_object_that_does_not_fit_is_no_answer() -> None:
    async def scenario(client: Client, _heads: list[str]) -> None:
        with pytest.raises(BadAnswer, match="spec"):
            await client.get(SERVICE, "a", "b", type=Service)

    run(scenario, always(whole(200, b'{"metadata": {"name": "a"}, "spec": 7}\n')))
