"""An instance whose clock differs from the control plane's: it renews in time and not all the time, and says what is wrong where nothing can be done."""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from weirkeeper.distribute import credentials, sidecar
from weirkeeper.distribute.accounts import ServiceAccount
from weirkeeper.distribute.authority import BACKDATE, LEAF_LIFE, AuthorityKeys, new_authority
from weirkeeper.distribute.credentials import OwnTls
from weirkeeper.distribute.desk import Desk
from weirkeeper.distribute.exchange import Exchange
from weirkeeper.distribute.sidecar import KEPT, Certificates, Held, SidecarSettings
from weirkeeper.testing.eventually import eventually

HOUR = 3600.0


async def review(_token: str) -> ServiceAccount:
    return ServiceAccount("edge", "envoy")


@asynccontextmanager
async def control_plane(folder: Path, life: dt.timedelta = LEAF_LIFE, keys: AuthorityKeys | None = None) -> AsyncIterator[SidecarSettings]:
    keys = keys or new_authority(dt.datetime.now(dt.UTC))
    exchange = Exchange(lambda: keys, review, lambda: {"edge/envoy": frozenset("*")}, life=life)
    desk = Desk("127.0.0.1:0", OwnTls(keys, ()), exchange, None)
    task = asyncio.create_task(desk.run())
    await asyncio.wait_for(desk.listening.wait(), 60)
    (folder / "ca.crt").write_text(keys.bundle)
    (folder / "token").write_text("token")
    try:
        yield SidecarSettings(
            load_balancer="web", instance="pod-1", servers=(f"127.0.0.1:{desk.port}",), server_name="control-plane.weirkeeper.io",
            token_file=str(folder / "token"), authority_file=str(folder / "ca.crt"), folder=str(folder / "run"),
        )  # fmt: skip
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def running(settings: SidecarSettings, off: float) -> AsyncIterator[Certificates]:
    made = Certificates(settings, lambda chain, key, roots: {}, lambda: time.time() + off)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def kept(settings: SidecarSettings) -> Held:
    return msgspec.json.decode((Path(settings.folder) / KEPT).read_bytes(), type=Held)


@pytest.mark.parametrize("off", [20 * HOUR, -20 * HOUR, 40 * HOUR], ids=["ahead", "behind", "ahead of the end"])
def test_a_certificate_is_asked_for_once_in_its_life_whatever_our_clock_says(tmp_path: Path, off: float, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with control_plane(tmp_path) as settings:
            async with running(settings, off) as one:
                await asyncio.wait_for(one.held.wait(), 60)
                await asyncio.sleep(0.5)  # it asked again at once, as often as it was answered
                assert (one.renewals, one.failures) == (1, 0)
                assert abs(one._due() - 2 / 3 * LEAF_LIFE.total_seconds()) < 60
            assert abs(kept(settings).ahead - off) < 60
            async with running(settings, off) as again:
                await asyncio.wait_for(again.held.wait(), 60)
                await asyncio.sleep(0.2)
                assert again.renewals == 0, "what the last run left is good"
            word = "ahead of" if off > 0 else "behind"
            assert f"s {word} that of the control plane" in caplog.text

    asyncio.run(story())


@pytest.mark.parametrize("off", [2 * HOUR, -2 * HOUR, 2.0, 0.0])
def test_it_is_renewed_before_its_end_whatever_our_clock_says(tmp_path: Path, off: float) -> None:
    async def story() -> None:
        began = time.monotonic()
        async with control_plane(tmp_path, dt.timedelta(seconds=6)) as settings, running(settings, off) as one:
            await asyncio.wait_for(one.held.wait(), 60)

            async def renewed() -> bool:
                return one.renewals >= 2

            await eventually(renewed, 60, what="it is renewed")
            assert time.monotonic() - began > 2, "and not at once"

    asyncio.run(story())


@pytest.mark.parametrize(("off", "says"), [(3 * BACKDATE, "not valid yet: the clock of this machine is behind"), (-3 * LEAF_LIFE, "has expired: the clock of this machine is ahead")])
def test_a_control_plane_whose_certificate_does_not_hold_here_is_named_with_both_clocks(
    tmp_path: Path, off: dt.timedelta, says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def theirs() -> dt.datetime:
        return dt.datetime.now(dt.UTC) + off

    monkeypatch.setattr(credentials, "_now", theirs)
    monkeypatch.setattr(sidecar, "FIRST_PAUSE", 0.01)

    async def story() -> None:
        keys = new_authority(dt.datetime.now(dt.UTC) - dt.timedelta(days=30))
        async with control_plane(tmp_path, keys=keys) as settings, running(settings, 0.0) as one:

            async def failed() -> bool:
                return one.failures > 0

            await eventually(failed, 60, what="it fails")
        assert says in caplog.text
        assert dt.datetime.now(dt.UTC).strftime("it says %Y-%m-%d") in caplog.text

    asyncio.run(story())
