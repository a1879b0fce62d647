"""R03: control plane and Envoy start while no API server is there. The last good configuration serves, live TLS included; a damaged one is refused whole; keys that were not kept are left to Envoy."""

import asyncio
import contextlib
import datetime as dt
import shutil
import time
from pathlib import Path

import pytest
from cluster_program import LOAD_BALANCER, ingress, tls_secret
from last_good import FILE, TIMES, all_written, folder_in, written
from replicas_as_processes import Plane, authority_keys, gone
from shop_stage import ANSWERS, ROUTES, host, stage

from weirkeeper.distribute.authority import issue_replica, new_authority
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.snapshot import MAGIC, Snapshot, is_in_memory, opened
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import ClientTls, Target, fetch
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.instance import instance
from weirkeeper.testing.load import Ask, Plan, load

pytestmark = [pytest.mark.engine, pytest.mark.reliability, pytest.mark.xdist_group("cluster restart")]

SERVING = 5.0
"""On a machine that has nothing else to do (`make soak`)."""
BUSY = 60.0
"""On one that does other work too."""
CATCH_UP = 15.0
SECURE = "secure.example"


def on_a_disk(folder):
    """A folder whose files reach a disk: a machine's /tmp may be in memory."""
    return next(place for place in (folder, Path("/var/tmp"), Path.cwd()) if not is_in_memory(place))


async def secure(shop, fingerprint, within=60.0):
    """The host answers over TLS, with this certificate."""

    async def look():
        try:
            found = await fetch(f"https://{SECURE}/", via=shop.https_port, limit=2.0)
        except (OSError, TimeoutError):
            return False
        return found.status == 200 and found.fingerprint == fingerprint

    await eventually(look, within, what="TLS is served", pause=0.02)


def put_secure(shop):
    pair = Authority().issue(SECURE)
    shop.server.put(tls_secret("secure", pair))
    shop.server.put(ingress("secure", SECURE, "two", secret="secure"))
    return pair


def test_a_start_without_an_api_server_serves_what_was_served_before_and_catches_up_later(tmp_path):
    with folder_in("/dev/shm") as kept:
        assert is_in_memory(kept)
        asyncio.run(cold_start(tmp_path, kept, within=BUSY, catch_up=BUSY))


async def cold_start(folder, kept, *, within=SERVING, catch_up=CATCH_UP):
    async with stage(folder, envoys=0, behind_proxy=True, snapshot_directory=kept, **TIMES) as shop:
        (plane,) = shop.planes
        pair = put_secure(shop)
        keys = await authority_keys(shop.server)
        async with instance(folder / "i0", keys, LOAD_BALANCER, "i0", [plane.server]):
            await secure(shop, pair.fingerprint(), 60)
            await all_written(shop, kept)
        await shop.proxy.close_door()
        shop.proxy.reset()
        await plane.end()
        return await _starts(folder, shop, plane, keys, pair, within, catch_up)


async def _starts(folder, shop, plane, keys, pair, within, catch_up):
    began = time.monotonic()
    plane.start()
    async with instance(folder / "i1", keys, LOAD_BALANCER, "i1", [plane.server]):
        await asyncio.gather(secure(shop, pair.fingerprint(), within), *(shop.answers(host(n), "one", within) for n in (0, 500, ROUTES - 1)))
        took = time.monotonic() - began
        await eventually(lambda: _lends(plane), 60, what="what is served is the last good configuration")
        shop.server.put(ingress("shop-0", host(0), "two"))
        shop.server.put(ingress("behind", "behind.example", "one"))
        asks = tuple(Ask(name=host(number), host=host(number)) for number in range(ROUTES))
        with load(Plan(target=Target(port=shop.http_port), asks=asks, connections=4, rate=300, seconds=120)) as running:
            await shop.proxy.open_door()
            await shop.caught_up({host(0): "two", "behind.example": "one", host(1): "one"}, catch_up)
            await secure(shop, pair.fingerprint())
            await eventually(lambda: _lends(plane, no=True), 60, what="the last good configuration is used no more")
            result = await asyncio.to_thread(running.stop)
        assert result.failures(lambda record: record.status == 200 and record.answer in ANSWERS) == []
    return took


def test_a_damaged_or_newer_snapshot_is_refused_whole(tmp_path):
    with folder_in("/dev/shm") as kept:
        asyncio.run(_refused(tmp_path, kept))


async def _refused(folder, kept):
    async with stage(folder, envoys=0, routes=50, behind_proxy=True, snapshot_directory=kept, **TIMES) as shop:
        (plane,) = shop.planes
        keys = await authority_keys(shop.server)
        await written(kept, 0)
        await plane.end()
        whole = (kept / FILE).read_bytes()
        assert not isinstance(opened(whole, "999"), str)
        broken = {
            "truncated": whole[: len(whole) // 2],
            "flipped": _flipped(whole, len(whole) * 2 // 3),
            "head": _flipped(whole, len(MAGIC) + 3),
            "newer": _by_version(kept, whole, "999.0"),
        }
        with contextlib.ExitStack() as stack:
            several = []
            for name, content in broken.items():
                place = stack.enter_context(folder_in("/dev/shm"))
                for other in kept.iterdir():
                    shutil.copy(other, place)
                (place / FILE).write_bytes(content)
                shop.server.access.add_token(f"token-{name}", name)
                kubeconfig = shop.server.kubeconfig(token=f"token-{name}", server=f"http://127.0.0.1:{shop.proxy.port}")
                several.append(Plane(folder, name, kubeconfig, shop.http_port, shop.https_port, snapshot_directory=place, **TIMES))
            await _none_serves(folder, shop, several, keys)


async def _none_serves(folder, shop, several, keys):
    await shop.proxy.close_door()
    shop.proxy.reset()
    try:
        for one in several:
            one.start()
        async with instance(folder / "i0", keys, LOAD_BALANCER, "i0", [one.server for one in several]) as envoy:
            for one in several:
                await eventually(lambda one=one: _says(one, "there is no last good configuration to serve"), 60, what=f"{one.name} refuses")
                assert await one.number("snapshot_in_use") == 0
                assert await one.number("items", '{provider="envoy"}') == 0
            assert (await envoy.stats("listener_manager."))["listener_manager.total_listeners_active"] == 0
            await shop.proxy.open_door()
            for one in several:
                await one.ready()
            await shop.caught_up({host(0): "one", host(49): "one"}, BUSY)
    finally:
        for one in several:
            one.over()


async def _says(plane, text):
    assert plane.runs, plane.log[-3000:]
    return text in plane.log


def _flipped(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def _by_version(folder, content, version):
    kept = opened(content, "999")
    place = folder / "newer"
    Snapshot(place, version, Log(), in_memory=True).save(kept.items(), time.time())
    made = (place / FILE).read_bytes()
    shutil.rmtree(place)
    return made


def test_keys_that_were_not_kept_on_a_disk_stay_with_an_envoy_that_runs(tmp_path):
    with folder_in(on_a_disk(tmp_path)) as kept:
        asyncio.run(_withheld(tmp_path, kept))


async def _withheld(folder, kept):
    keys = new_authority(dt.datetime.now(dt.UTC))
    files = folder / "authority"
    files.mkdir()
    made = issue_replica(keys, ["127.0.0.1"], dt.datetime.now(dt.UTC))
    for name, text in {"tls.crt": made.chain, "tls.key": made.key.open(), "ca.crt": made.authority}.items():
        (files / name).write_text(text)
    async with stage(
        folder, envoys=0, routes=50, behind_proxy=True, snapshot_directory=kept, authority_directory=files, keys=keys, **TIMES
    ) as shop:
        (plane,) = shop.planes
        pair = put_secure(shop)
        async with instance(folder / "i0", keys, LOAD_BALANCER, "i0", [plane.server]) as envoy:
            await secure(shop, pair.fingerprint(), 60)
            await all_written(shop, kept)
            assert b"PRIVATE KEY" not in (kept / FILE).read_bytes()
            tls = ClientTls(sni=SECURE, alpn=("http/1.1",))
            plan = Plan(target=Target(port=shop.https_port, tls=tls), asks=(Ask(name="secure", host=SECURE),), connections=4, rate=100, seconds=120)
            with load(plan) as running:
                async with gone(shop.server, shop.proxy):
                    await plane.end()
                    await eventually(lambda: _connected(envoy, no=True), 60, what="Envoy has noticed that nobody is there")
                    plane.start()
                    await eventually(lambda: _lends(plane), 60, what="the last good configuration is served")
                    await eventually(lambda: _connected(envoy), 60, what="Envoy is connected")
                    await secure(shop, pair.fingerprint())
                await plane.ready()
                renewed = put_secure(shop)
                await secure(shop, renewed.fingerprint(), BUSY)
                result = await asyncio.to_thread(running.stop)
            assert result.failures(lambda record: record.status == 200 and record.answer == "two") == []


async def _lends(plane, *, no=False):
    return await plane.number("snapshot_in_use") == (0 if no else 1)


async def _connected(envoy, *, no=False):
    return (await envoy.stats("control_plane.")).get("control_plane.connected_state") == (0 if no else 1)

