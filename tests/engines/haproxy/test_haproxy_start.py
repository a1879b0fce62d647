"""The container of a HAProxy: what its shell does with one that outlived an earlier shell, and when it is told to end."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from weirkeeper.fleet.haproxy_pod import SHARED, START
from weirkeeper.providers.haproxy.supervised import gate
from weirkeeper.testing.eventually import poll_until

pytestmark = pytest.mark.engine


def test_one_that_outlived_its_shell_is_ended_by_the_next_which_ends_in_order(tmp_path):
    (tmp_path / "haproxy.cfg").write_text(gate())
    first = started(tmp_path)
    before = poll_until(lambda: both(tmp_path), 10, what="a master and a worker")
    first.kill()
    first.wait()
    assert alive(tmp_path) == before, "as a runtime leaves them that ends the shell alone"
    second = started(tmp_path)
    try:
        now = poll_until(lambda: (now := both(tmp_path)) and not now & before and now, 10, what="others in their place")
        assert not before & now
        second.terminate()
        assert second.wait(20) == 0
        poll_until(lambda: not alive(tmp_path), 10, what="nobody lives on")
    finally:
        os.killpg(second.pid, signal.SIGKILL) if alive(tmp_path) else None


def started(folder):
    return subprocess.Popen(
        ["/bin/sh", "-c", START.replace(SHARED, str(folder))], stdin=subprocess.DEVNULL, start_new_session=True
    )


def both(folder):
    found = alive(folder)
    return found if len(found) == 2 else None


def alive(folder):
    """The HAProxies of this folder."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and named(entry) == "haproxy" and place(entry) == folder.resolve():
            found.add(int(entry.name))
    return found


def named(process):
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def place(process):
    try:
        return (process / "cwd").readlink()
    except OSError:
        return None
