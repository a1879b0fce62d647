"""The last good configuration that a replica keeps: where, and when it is written.

In: a stage. Out: folders, waits.
"""

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

from cluster_program import ingress

from weirkeeper.testing.eventually import eventually

FILE = "last-good.snapshot"
TIMES = {"snapshot_seconds": 0.2, "lease_seconds": 10, "renew_seconds": 7, "retry_seconds": 1.5}


@contextlib.contextmanager
def folder_in(place):
    folder = Path(tempfile.mkdtemp(prefix="weir-last-good-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


async def written(folder, after):
    """A snapshot newer than that moment is there."""

    async def look():
        file = folder / FILE
        return file.exists() and file.stat().st_mtime > after

    await eventually(look, 60, what="the last good configuration is written")


async def all_written(shop, folder):
    """Everything that is served now is in the snapshot: one more change is, and it came last."""
    now = time.time()
    shop.server.put(ingress("last", "last.example", "one"))
    await written(folder, now)
