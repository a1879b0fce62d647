"""Who may wait at `/drained`, what Envoy's statistics say of connections, and how long a first certificate is waited for."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from weirkeeper.cli import sidecar
from weirkeeper.cli.sidecar import MOST_WAITING, answers, first
from weirkeeper.distribute.authority import new_authority
from weirkeeper.distribute.sidecar import Certificates, SidecarSettings
from weirkeeper.providers.envoy.draining import Draining, open_connections
from weirkeeper.testing.eventually import eventually

NOWHERE = Path("/nonexistent/admin.sock")
SETTINGS = SidecarSettings(
    load_balancer="ingress/a", instance="i", servers=("127.0.0.1:1",), server_name="s", token_file="t", authority_file="a", folder="f"
)


@contextlib.asynccontextmanager
async def serving(draining: Draining) -> AsyncIterator[str]:
    app = answers(Certificates(SETTINGS, lambda *_: {}), NOWHERE, draining)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(url: str, source: str) -> int:
    connector = aiohttp.TCPConnector(local_addr=(source, 0))
    async with aiohttp.ClientSession(connector=connector) as session, session.get(f"{url}/drained") as answer:
        return answer.status


def test_strangers_that_wait_are_few_and_never_keep_the_kubelet_out() -> None:
    async def story() -> None:
        draining = Draining(NOWHERE, limit=1)

        async def wait_for(count: int) -> None:
            async def look() -> bool:
                return draining.waiting == count

            await eventually(look, 30, what=f"{count} wait")

        async with serving(draining) as url:
            strangers = [asyncio.create_task(ask(url, "127.0.0.2")) for _ in range(MOST_WAITING)]
            await wait_for(MOST_WAITING)
            assert await ask(url, "127.0.0.2") == 503
            kubelet = asyncio.create_task(ask(url, "127.0.0.1"))
            await wait_for(MOST_WAITING + 1)
            assert not draining.begun, "who waits begins nothing"
            for one in strangers:
                one.cancel()
            await wait_for(1)
            await draining.run()
            assert await kubelet == 200

    asyncio.run(story())


def test_nobody_who_waits_is_no_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weirkeeper.providers.envoy.draining.TOLD", 0.05)
    draining = Draining(NOWHERE, limit=1)
    asyncio.run(draining.run())
    assert not draining.begun


def test_connections_of_clients_are_counted_once_and_those_of_the_admin_not_at_all() -> None:
    said = """\
listener.0.0.0.0_80.downstream_cx_active: 3
listener.0.0.0.0_80.worker_0.downstream_cx_active: 2
listener.0.0.0.0_80.worker_1.downstream_cx_active: 1
listener.[__]_443.downstream_cx_active: 4
listener.admin.downstream_cx_active: 1
listener.admin.main_thread.downstream_cx_active: 1
"""
    assert open_connections(said) == 7


def first_of(tmp_path: Path) -> None:
    """A first certificate, of a control plane that does not answer."""
    (tmp_path / "token").write_text("token")
    settings = SidecarSettings(
        load_balancer="ingress/a", instance="i", servers=("127.0.0.1:1",), server_name="s",
        token_file=str(tmp_path / "token"), authority_file=str(tmp_path / "ca.crt"), folder=str(tmp_path / "run"),
    )  # fmt: skip
    asyncio.run(asyncio.wait_for(first(settings), 60))


def test_a_pod_that_is_older_than_the_roots_soon_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sidecar, "PATIENCE", 3600.0)
    monkeypatch.setattr(sidecar, "MOUNTED", 0.3)
    with pytest.raises(TimeoutError, match=r"ca\.crt has no roots yet"):
        first_of(tmp_path)
    assert "ca.crt has no roots to know it by" in caplog.text


def test_with_roots_a_certificate_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sidecar, "PATIENCE", 0.6)
    monkeypatch.setattr(sidecar, "MOUNTED", 0.3)
    (tmp_path / "ca.crt").write_text(new_authority(dt.datetime.now(dt.UTC)).bundle)
    with pytest.raises(TimeoutError, match="no certificate after"):
        first_of(tmp_path)
