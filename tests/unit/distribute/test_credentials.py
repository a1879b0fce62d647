"""What a replica shows of itself: renewed in time, followed when files change, and never exchanged for what does not hold together."""

import asyncio
import datetime as dt
import time
from pathlib import Path

import pytest
from cryptography import x509

from weirkeeper.distribute import credentials
from weirkeeper.distribute.authority import (
    SERVER_NAME,
    AuthorityKeys,
    Issued,
    issue_instance,
    issue_replica,
    new_authority,
    new_request,
)
from weirkeeper.distribute.credentials import FileTls, OwnTls, client_context, server_context
from weirkeeper.distribute.service import Service, ServiceSettings
from weirkeeper.model.text import Id
from weirkeeper.testing.eventually import eventually

NOW = dt.datetime.now(dt.UTC)
KEYS = new_authority(NOW)
NAMES = ("tls.crt", "tls.key", "ca.crt")


def write(folder: Path, made: Issued, key: str | None = None) -> None:
    for name, content in zip(NAMES, (made.chain, key or made.key.open(), made.authority), strict=True):
        (folder / name).write_text(content)


def files(folder: Path) -> FileTls:
    return FileTls(*(folder / name for name in NAMES))


def test_files_are_followed_when_they_hold_together(tmp_path: Path) -> None:
    first, second = issue_replica(KEYS, (), NOW), issue_replica(KEYS, (), NOW)
    write(tmp_path, first)
    tls = files(tmp_path)
    assert tls.current().chain.decode() == first.chain
    write(tmp_path, second, key=first.key.open())  # half written
    tls._look()
    assert tls.current().chain.decode() == first.chain
    (tmp_path / "tls.key").unlink()
    tls._look()
    assert tls.current().chain.decode() == first.chain
    write(tmp_path, second)
    tls._look()
    assert tls.current().chain.decode() == second.chain
    assert abs(tls.expires() - second.expires) < 1


def test_files_without_the_name_of_a_replica_are_refused(tmp_path: Path) -> None:
    key, request = new_request()
    made = issue_instance(KEYS, request, Id("web"), "pod", NOW)
    assert isinstance(made, Issued)
    write(tmp_path, made, key=key.open())
    with pytest.raises(ValueError, match=SERVER_NAME):
        files(tmp_path)
    write(tmp_path, issue_replica(KEYS, (), NOW), key="nonsense")
    with pytest.raises(OSError, match="PEM"):
        files(tmp_path)


def test_our_own_is_renewed_at_two_thirds_of_its_life() -> None:
    async def story() -> None:
        tls = OwnTls(KEYS, (), dt.timedelta(seconds=6))
        first, expired, began = tls.current(), tls.expires(), time.monotonic()
        task = asyncio.create_task(tls.run())

        async def renewed() -> bool:
            return tls.current() is not first

        await eventually(renewed, what="it is renewed")
        assert time.monotonic() - began > 2.5, "not at once; how late it is, is a matter of the machine too"
        assert tls.expires() > expired + 2.5
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_clock_that_jumps_a_day_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        tls = OwnTls(KEYS, ())
        task = asyncio.create_task(tls.run())
        await asyncio.sleep(0)
        ahead = time.time() + 86_400
        monkeypatch.setattr(credentials, "_now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=1))

        async def follows() -> bool:
            return tls.expires() > ahead + 80_000

        await eventually(follows, what="it is renewed by the new clock")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_clock_that_was_ahead_leaves_no_certificate_of_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        with monkeypatch.context() as ahead:
            ahead.setattr(credentials, "_now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(days=1))
            tls = OwnTls(KEYS, ())
        task = asyncio.create_task(tls.run())

        async def valid() -> bool:
            leaf = x509.load_pem_x509_certificate(tls.current().chain)
            return leaf.not_valid_before_utc <= dt.datetime.now(dt.UTC)

        await eventually(valid, what="it is renewed by the clock that was put right")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_new_keys_are_taken_at_once_and_nothing_of_them_prints() -> None:
    tls = OwnTls(KEYS, ("192.0.2.1",))
    other: AuthorityKeys = new_authority(NOW)
    tls.trust(other)
    assert tls.current().authority.decode() == other.bundle
    assert "PRIVATE" not in repr(tls.current())
    server_context(tls.current())
    client_context(tls.current())


def test_a_taken_address_is_said_at_once() -> None:
    async def story() -> None:
        server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        service = Service(ServiceSettings(address=f"127.0.0.1:{port}"), OwnTls(KEYS, ()))
        async with server, asyncio.timeout(60):
            with pytest.raises(ExceptionGroup) as taken:
                await service.serve({}, lambda _row: None)
        assert taken.value.subgroup(OSError) is not None

    asyncio.run(story())
