"""A leader that is told to stop brings the writes that are under way to their end before it gives the Lease back: none is stored in its successor's time."""

import asyncio
import io

from weirkeeper.kube.access import Access
from weirkeeper.kube.client import Client
from weirkeeper.kube.resources import KNOWN
from weirkeeper.runtime.leader import LEASE, Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.writes import LedClient
from weirkeeper.testing.apiserver import ApiServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.fault_proxy import FaultProxy, Weather

CONFIG_MAP = KNOWN["", "ConfigMap"]
FAR = 0.5
"""Seconds that each packet takes."""


def test_what_is_under_way_is_stored_before_the_lease_is_given_back():
    async def scenario():
        async with (
            ApiServer() as api,
            FaultProxy("127.0.0.1", api.port) as proxy,
            Client(Access(api.url), user_agent="one/1") as near,
            Client(Access(f"http://127.0.0.1:{proxy.port}"), user_agent="one/1") as far,
        ):
            log = Log(io.StringIO())
            leadership = Leadership(near, name="lease", namespace="default", identity="one", log=log, metrics=Metrics())
            writes, ended = LedClient(far, leadership), []

            async def led():
                await writes.create(CONFIG_MAP, {"metadata": {"name": "first"}}, "default")  # its connection is there
                proxy.weather = Weather(delay=FAR)
                try:
                    await writes.create(CONFIG_MAP, {"metadata": {"name": "second"}}, "default")
                except asyncio.CancelledError:
                    ended.append(await near.get(CONFIG_MAP, "second", "default"))
                    raise

            task = asyncio.create_task(leadership.run(led))
            await eventually(lambda: _stormy(proxy), 60, what="the second is on its way")
            await asyncio.sleep(FAR / 5)
            task.cancel()
            await asyncio.wait((task,))
            assert [one["metadata"]["name"] for one in ended] == ["second"], "it was not waited for"
            changes = sorted(api.audit.changes, key=lambda record: record.revision)
            assert [one.plural for one in changes][-2:] == ["configmaps", "leases"]
            assert (await near.get(LEASE, "lease", "default"))["spec"]["holderIdentity"] == ""

    asyncio.run(scenario())


async def _stormy(proxy):
    return proxy.weather != Weather()
