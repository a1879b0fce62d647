"""The last good configuration: what was saved is what is loaded; whatever is wrong with the file refuses it whole; keys stay in memory."""

import asyncio
import io

import pytest

from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.snapshot import Kept, Snapshot, is_in_memory, opened

KEY = ItemKey("ingress/main", "kind", "one")
PRIVATE = ItemKey("ingress/main", "secret", "two")
ITEMS = {
    "envoy": {
        KEY: EngineItem(body=b"\x00one", version="01", needs=(("kind", "other"),)),
        PRIVATE: EngineItem(body=b"a key", version="02", private=True, serves=("a.example",)),
    }
}


def snapshot(tmp_path, *, in_memory=True, version="1.2.3", install=""):
    return Snapshot(tmp_path / "state", version, Log(io.StringIO()), install=install, in_memory=in_memory)


def test_what_is_saved_is_loaded(tmp_path):
    one = snapshot(tmp_path)
    one.save(ITEMS, 12.5)
    kept = one.load()
    assert isinstance(kept, Kept)
    assert kept.items() == ITEMS
    assert kept.written == 12.5
    assert (tmp_path / "state" / "last-good.snapshot").stat().st_mode & 0o077 == 0


def test_on_a_disk_keys_are_withheld(tmp_path):
    one = snapshot(tmp_path, in_memory=False)
    one.save(ITEMS, 1.0)
    kept = one.load()
    assert isinstance(kept, Kept)
    item = kept.items()["envoy"][PRIVATE]
    assert (item.body, item.withheld, item.version, item.serves) == (b"", True, "02", ("a.example",))
    assert kept.items()["envoy"][KEY] == ITEMS["envoy"][KEY]
    assert b"a key" not in (tmp_path / "state" / "last-good.snapshot").read_bytes()


def test_that_of_another_install_is_refused(tmp_path):
    snapshot(tmp_path, install="edge/public").save(ITEMS, 1.0)
    assert snapshot(tmp_path, install="edge/internal").load() == "it is that of another install: edge/public"
    assert isinstance(snapshot(tmp_path, install="edge/public").load(), Kept)
    snapshot(tmp_path).save(ITEMS, 1.0)
    assert isinstance(snapshot(tmp_path, install="edge/public").load(), Kept)


def test_none_there_is_said(tmp_path):
    assert snapshot(tmp_path).load() == "there is none"


@pytest.mark.parametrize("cut", [0, 5, 40, 90, 100, -1])
def test_a_truncated_file_is_refused(tmp_path, cut):
    one = snapshot(tmp_path)
    one.save(ITEMS, 1.0)
    content = (tmp_path / "state" / "last-good.snapshot").read_bytes()
    assert isinstance(opened(content[:cut], "1.2.3"), str)


def test_a_flipped_bit_is_refused_wherever_it_is(tmp_path):
    one = snapshot(tmp_path)
    one.save(ITEMS, 1.0)
    content = bytearray((tmp_path / "state" / "last-good.snapshot").read_bytes())
    for at in range(len(content)):
        content[at] ^= 1
        assert isinstance(opened(bytes(content), "1.2.3"), str), at
        content[at] ^= 1
    assert isinstance(opened(bytes(content), "1.2.3"), Kept)


@pytest.mark.parametrize(
    ("reader", "works"),
    [("1.2.3", True), ("1.3.0", True), ("2", True), ("1.2.2", True), ("1.1.0", True), ("1.0.9", False), ("0.9", False), ("", False)],
)
def test_a_version_that_is_newer_by_more_than_one_step_is_refused(tmp_path, reader, works):
    snapshot(tmp_path).save(ITEMS, 1.0)
    loaded = snapshot(tmp_path, version=reader).load()
    assert isinstance(loaded, Kept) is works
    assert works or "newer" in loaded


def test_it_is_written_when_something_changed_and_once_more_at_the_end(tmp_path):
    one = snapshot(tmp_path)

    async def scenario():
        changed, items = asyncio.Event(), {"envoy": {}}
        keeping = asyncio.create_task(one.keep(lambda: items, changed, 3600))
        changed.set()
        async with asyncio.timeout(60):
            while not one.written:  # noqa: ASYNC110 - a thread writes it
                await asyncio.sleep(0.01)
        items["envoy"] = ITEMS["envoy"]
        changed.set()
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.wait((keeping,))

    asyncio.run(scenario())
    kept = one.load()
    assert isinstance(kept, Kept)
    assert kept.items() == ITEMS


def test_which_folders_are_in_memory(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\ntmpfs {tmp_path}/mem\\040ory tmpfs rw 0 0\n/dev/sdb {tmp_path}/mem\\040ory/disk ext4 rw 0 0\n"
    )
    assert is_in_memory(tmp_path / "mem ory" / "state", mounts)
    assert not is_in_memory(tmp_path / "mem ory" / "disk" / "state", mounts)
    assert not is_in_memory(tmp_path, mounts)
    assert not is_in_memory(tmp_path, tmp_path / "none")
