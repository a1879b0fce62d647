"""A replica in a process of its own, to be killed and frozen: while it leads it changes a value, and creates objects, as fast as it can.

`python replica_process.py URL NAMESPACE IDENTITY DURATION RENEW RETRY`; ends in order on SIGTERM. Its identity is its user agent, so the server's audit tells who wrote.
"""

import asyncio
import contextlib
import itertools
import signal
import sys

from weirkeeper.kube.access import Access
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import ApiFailure, NotFound
from weirkeeper.kube.lease import LeaseTimes
from weirkeeper.kube.resources import KNOWN
from weirkeeper.runtime.leader import Leadership, NotLeader
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.writes import LedClient

VALUE = KNOWN["", "ConfigMap"]


async def main(url, namespace, identity, *times):
    duration, renew, retry = map(float, times)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Client(Access(url), user_agent=identity) as client:
        leadership = Leadership(
            client, name="lease", namespace=namespace, identity=identity, log=Log(), metrics=Metrics(),
            times=LeaseTimes(duration=duration, renew=renew, retry=retry),
        )  # fmt: skip
        running = asyncio.create_task(leadership.run(lambda: write(LedClient(client, leadership), namespace, identity)))
        await stop.wait()
        running.cancel()
        await asyncio.wait((running,))


async def write(client, namespace, identity):
    for number in itertools.count():
        with contextlib.suppress(ApiFailure, NotLeader):
            await change(client, namespace)
            await client.create(
                VALUE,
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": f"made-{number}-"}},
                namespace,
            )
        await asyncio.sleep(0.002)


async def change(client, namespace):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "value"}, "data": {"count": "0"}}
    try:
        body = await client.get(VALUE, "value", namespace)
    except NotFound:
        await client.create(VALUE, body, namespace)
    else:
        await client.replace(
            VALUE, "value", {**body, "data": {"count": str(int(body["data"]["count"]) + 1)}}, namespace
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
