"""The fence, with real processes: killed, frozen, stopped and cut-off leaders, and the server's audit of who changed what while who held the Lease."""

import asyncio
import itertools
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import pytest
from leading import TIMES, on_server

from weirkeeper.kube.access import Access
from weirkeeper.kube.client import Client
from weirkeeper.kube.lease import LeaseTimes
from weirkeeper.kube.resources import KNOWN
from weirkeeper.runtime.leader import Leadership
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.testing.apiserver import ApiServer
from weirkeeper.testing.eventually import eventually
from weirkeeper.testing.fault_proxy import CLEAR, FaultProxy, Weather

PROGRAM = Path(__file__).parent / "replica_process.py"
NAMESPACE = "ns"
LEASE = KNOWN["coordination.k8s.io", "Lease"]
TURNS = int(os.environ.get("WEIR_FENCE_TURNS", "5"))
"""How often each fault strikes; the long version has 50, with a lease of 10 s (WEIR_FENCE_LEASE)."""
LONG = LeaseTimes(duration=60, renew=40, retry=TIMES.retry)
KILLED, ENDED = max(20.0, 1.5 * TIMES.duration), 20.0
"""A dead leader has a successor in less (seconds), a Lease that is given back is taken in less: long before its end."""


class Fleet:
    """Replicas in processes of their own, and the server that they campaign on."""

    def __init__(self, api, times):
        self.api, self.times, self.processes, self.numbers = api, times, {}, itertools.count()

    async def start(self, url=""):
        who = f"replica-{next(self.numbers)}"
        times = (str(one) for one in (self.times.duration, self.times.renew, self.times.retry))
        self.processes[who] = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), url or self.api.url, NAMESPACE, who, *times, stderr=asyncio.subprocess.DEVNULL
        )
        return who

    def holder(self):
        lease = self.api.get("Lease", "lease", NAMESPACE)
        return lease["spec"]["holderIdentity"] if lease else ""

    def changes(self, who):
        return sum(record.agent == who and record.plural == "configmaps" for record in self.api.audit.changes)

    def holders(self, who):
        """What this replica wrote into the Lease, one after the other."""
        written = [record for record in self.api.audit.changes if (record.plural, record.agent) == ("leases", who)]
        return [msgspec.json.decode(record.body)["spec"]["holderIdentity"] for record in written]

    def took(self, who):
        """When it wrote its name into the Lease first."""
        return min(r.at for r in self.api.audit.changes if (r.plural, r.agent) == ("leases", who))

    async def leader(self, *, other_than=""):
        """The replica that leads and writes, once one does."""

        async def look():
            who = self.holder()
            return who if who not in ("", other_than) and self.changes(who) > 20 else None

        return await eventually(look, 3 * KILLED, what="a leader writes")

    async def end(self, who, how):
        """Send the signal and wait for the end."""
        process = self.processes.pop(who)
        process.send_signal(how)
        await process.wait()

    async def close(self):
        for process in self.processes.values():
            process.kill()
            await process.wait()


def with_fleet(scenario, replicas=3, *, creations=True, times=TIMES):
    async def whole():
        async with asyncio.timeout(30 + TURNS * 4 * KILLED), ApiServer(keep_bodies=True) as api:
            api.put({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
            fleet = Fleet(api, times)
            try:
                for _ in range(replicas):
                    await fleet.start()
                await scenario(fleet)
            finally:
                await fleet.close()
            judge(api, creations=creations and replicas > 0)

    asyncio.run(whole())


def judge(api, *, creations=True):
    """Every change of a value was made by the replica that held the Lease at that revision."""
    holder, seen, wrong = "", 0, []
    for record in sorted(api.audit.changes, key=lambda record: record.revision):
        if record.plural == "leases":
            holder = msgspec.json.decode(record.body)["spec"]["holderIdentity"]
        elif record.plural == "configmaps" and (record.verb != "create" or creations):
            seen += 1
            if record.agent != holder:
                wrong.append((record.revision, record.agent, holder))
    assert wrong == []
    assert seen > (60 if creations else 25)


@pytest.mark.parametrize(("how", "within"), [(signal.SIGKILL, KILLED), (signal.SIGTERM, ENDED)])
def test_a_leader_that_ends_has_a_successor_in_time(how, within):
    async def scenario(fleet):
        for _ in range(TURNS):
            first = await fleet.leader()
            await fleet.end(first, how)
            ended = time.monotonic()
            second = await fleet.leader(other_than=first)
            assert fleet.took(second) - ended < within
            assert (how == signal.SIGTERM) == any(holder == "" for holder in fleet.holders(first))
            await fleet.start()

    with_fleet(scenario, times=LONG if how == signal.SIGTERM else TIMES)


def test_a_frozen_leader_changes_nothing_when_it_wakes():
    async def scenario(fleet):
        for turn in range(TURNS):
            first = await fleet.leader()
            process = fleet.processes[first]
            process.send_signal(signal.SIGSTOP)
            second = await fleet.leader(other_than=first)
            fleet.api.audit.counts.clear()
            process.send_signal(signal.SIGCONT)

            async def woke():
                return fleet.api.audit.counts["get", "leases"] > 5

            await eventually(woke, 10 * KILLED)
            assert fleet.holder() == second, turn

    # a stop between the look at the clock and the first byte (0.2 ms) leaves the version as the only fence, and a creation has none
    with_fleet(scenario, creations=False)


def test_a_leader_that_naps_around_its_lease_s_end_is_no_exception():
    async def scenario(fleet):
        for turn in range(TURNS):
            first = await fleet.leader()
            process = fleet.processes[first]
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(TIMES.duration * (0.65 + 0.15 * (turn % 5)))  # the fault itself, not a wait to be right
            process.send_signal(signal.SIGCONT)
            await fleet.leader()

    with_fleet(scenario, creations=False)


def test_what_a_leader_sent_into_a_black_hole_changes_nothing_when_it_comes_out():
    """Its requests left in time and arrive late: their versions are stale by then. (A creation has no version; what a leader creates may arrive late.)"""

    async def scenario(fleet):
        async with FaultProxy("127.0.0.1", fleet.api.port) as proxy:
            first = await fleet.start(f"http://127.0.0.1:{proxy.port}")
            await fleet.leader()
            await fleet.start()
            for _ in range(3):
                proxy.weather = Weather(stalled=True, downward=False)
                await fleet.leader(other_than=first)
                proxy.weather = CLEAR
                await fleet.end(fleet.holder(), signal.SIGTERM)
                await fleet.leader(other_than="replica-never")
                while fleet.holder() != first:
                    await fleet.end(fleet.holder(), signal.SIGTERM)
                    await fleet.leader()
                await fleet.start()

    with_fleet(scenario, replicas=0)


def test_a_lease_is_readable_by_people_and_keeps_what_others_wrote(either_server):
    async def scenario(client, namespace, api):
        labels = {"app": "weir"}
        await client.create(
            LEASE,
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lease", "labels": labels}},
            namespace,
        )
        leadership = Leadership(
            client, name="lease", namespace=namespace, identity="one", log=Log(), metrics=Metrics(),
            times=LeaseTimes(duration=2.5, renew=1.4, retry=0.2), annotations={"weirkeeper.io/relay": "10.0.0.1:18001"},
        )  # fmt: skip
        leading = asyncio.Event()

        async def led():
            leading.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(leadership.run(led))
        await asyncio.wait_for(leading.wait(), 60)
        first = await client.get(LEASE, "lease", namespace)
        assert first["metadata"]["labels"] == labels
        assert first["metadata"]["annotations"] == {"weirkeeper.io/relay": "10.0.0.1:18001"}
        assert (first["spec"]["holderIdentity"], first["spec"]["leaseDurationSeconds"]) == ("one", 3)

        async def renewed():
            found = await client.get(LEASE, "lease", namespace)
            return found if found["spec"]["renewTime"] > first["spec"]["renewTime"] else None

        later = await eventually(renewed, 60)
        assert later["spec"]["acquireTime"] == first["spec"]["acquireTime"]
        assert leadership.leader.holder == "one"
        task.cancel()
        await asyncio.wait((task,))
        last = await client.get(LEASE, "lease", namespace)
        assert (last["spec"]["holderIdentity"], last["metadata"].get("annotations", {})) == ("", {})
        assert not leadership.leading

    on_server(either_server, scenario)


def test_a_lease_of_the_usual_client_is_respected(either_server):
    """client-go renews with whole seconds of its own; a duration that is longer than ours counts."""

    async def scenario(client, namespace, api):
        body = {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lease"},
            "spec": {"holderIdentity": "other", "leaseDurationSeconds": 3, "acquireTime": "2020-01-01T00:00:00.000000Z",
                     "renewTime": "2020-01-01T00:00:00.000000Z", "leaseTransitions": 4},
        }  # fmt: skip
        await client.create(LEASE, body, namespace)
        async with Client(client.access, user_agent="weir-test/1") as own:
            leadership = Leadership(
                own, name="lease", namespace=namespace, identity="one", log=Log(), metrics=Metrics(), times=LeaseTimes(duration=1, renew=0.7, retry=0.1)
            )  # fmt: skip
            began = time.monotonic()
            gained = asyncio.Event()

            async def led():
                gained.set()
                await asyncio.Event().wait()

            task = asyncio.create_task(leadership.run(led))
            await asyncio.wait_for(gained.wait(), 60)
            assert time.monotonic() - began >= 3
            assert (await own.get(LEASE, "lease", namespace))["spec"]["leaseTransitions"] == 5
            task.cancel()
            await asyncio.wait((task,))

    on_server(either_server, scenario)


def test_a_wrong_address_is_no_reason_to_end():
    async def scenario():
        async with Client(Access("http://127.0.0.1:1"), user_agent="x") as client:
            leadership = Leadership(
                client,
                name="l",
                namespace="n",
                identity="one",
                log=Log(),
                metrics=Metrics(),
                times=LeaseTimes(duration=1, renew=0.5, retry=0.05),
            )
            task = asyncio.create_task(leadership.run(asyncio.Event().wait))

            async def tried():
                return leadership._metrics.text().count("lease_failures") and not task.done()

            await eventually(tried, 60)
            task.cancel()
            await asyncio.wait((task,))

    asyncio.run(scenario())
