"""The one tree of tasks, and the only broad `except` of the product: a bug in one worker must not take the others with it.

Comes in: workers, each a name and a coroutine function. Goes out: nothing until all have ended, been cancelled, or one says `StartRefused`. A worker that
raises is logged with its trace and started again after a pause that doubles; a worker that returns is done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from weirkeeper.errors import StartRefused
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
CALM = 60.0
"""A worker that ran this long before it failed begins again with the shortest pause."""

Sleep = Callable[[float], Awaitable[None]]


class Worker(NamedTuple):
    """Something that runs as long as the program does."""

    name: str
    run: Callable[[], Awaitable[None]]


async def supervise(workers: Sequence[Worker], log: Log, metrics: Metrics, sleep: Sleep = asyncio.sleep) -> None:
    """Run all workers, each in a task of its name, until every one is done."""
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(_keep(worker, log, metrics, sleep), name=worker.name)


async def _keep(worker: Worker, log: Log, metrics: Metrics, sleep: Sleep) -> None:
    clock = asyncio.get_running_loop().time
    pause = FIRST_PAUSE
    while True:
        began = clock()
        try:
            await worker.run()
        except StartRefused:
            raise
        except Exception as error:  # noqa: BLE001 - the one place: a bug is reported and its worker begins again
            if clock() - began > CALM:
                pause = FIRST_PAUSE
            metrics.count("worker_failures", worker=worker.name)
            log.failure("worker failed", error, worker=worker.name, again_in=f"{pause:g}s")
        else:
            return
        await sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
