"""Leadership in virtual time: replicas that are killed, frozen, cut off and stopped, and the law that only the holder changes anything."""

import asyncio
import random

import pytest
from virtual_time import run_virtually

from weirkeeper.kube.errors import AlreadyExists, Conflict, NotFound, Unreachable
from weirkeeper.kube.lease import LeaseTimes
from weirkeeper.kube.resources import KNOWN
from weirkeeper.runtime.leader import Leadership, NotLeader
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.writes import LedClient

LEASE, VALUE = KNOWN["coordination.k8s.io", "Lease"], KNOWN["", "ConfigMap"]


DELAYS = (0.001,) * 8 + (0.01,) * 8 + (0.2, 4.0)


class Silent:
    def write(self, _):
        pass

    def flush(self):
        pass


class Store:
    """Objects with versions, as the API server keeps them, and who changed the value while who held the lease."""

    def __init__(self):
        self.objects, self.version, self.changes = {}, 0, []

    def get(self, kind, name):
        if (kind, name) not in self.objects:
            raise NotFound("no", status=404, reason="NotFound")
        return self.objects[kind, name]

    def put(self, who, kind, name, body, *, create):
        found = self.objects.get((kind, name))
        if create and found:
            raise AlreadyExists("there", status=409)
        if (
            not create
            and body["metadata"].get("resourceVersion") != self.get(kind, name)["metadata"]["resourceVersion"]
        ):
            raise Conflict("stale", status=409)
        self.version += 1
        stored = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        self.objects[kind, name] = stored
        if kind == "ConfigMap":
            self.changes.append((who, self.objects["Lease", "l"]["spec"]["holderIdentity"]))
        return stored


class Line:
    """A client of the store over a network with delays: a request is on its way, is taken, and its answer comes back; any part may not happen."""

    def __init__(self, store, who, chance):
        self.store, self.who, self.chance = store, who, chance
        self.cut = False
        self.awake = asyncio.Event()
        self.awake.set()

    async def _over(self, act, timeout):  # noqa: ASYNC109
        there, back = (self.chance.choice(DELAYS) for _ in range(2))
        try:
            async with asyncio.timeout(timeout):
                await asyncio.sleep(there)
                if self.cut:
                    await asyncio.sleep(3600)
                answer = act()
                await asyncio.sleep(back)
        except TimeoutError:
            raise Unreachable("late", reason="Timeout") from None
        finally:
            await self.awake.wait()
        return answer

    async def get(self, resource, name, namespace="", *, type=None, timeout=None):  # noqa: A002, ASYNC109
        return await self._over(lambda: self.store.get(resource.kind, name), timeout)

    async def create(self, resource, body, namespace="", *, timeout=None):  # noqa: ASYNC109
        return await self._over(
            lambda: self.store.put(self.who, resource.kind, body["metadata"]["name"], body, create=True), timeout
        )

    async def replace(self, resource, name, body, namespace="", subresource="", *, timeout=None):  # noqa: ASYNC109
        return await self._over(lambda: self.store.put(self.who, resource.kind, name, body, create=False), timeout)


class Replica:
    """One process: campaigns, and while it leads changes the value as often as it can."""

    def __init__(self, store, who, chance, times):
        self.who, self.line = who, Line(store, who, chance)
        self.gained, self.chance = [], chance
        clock = asyncio.get_running_loop().time

        async def sleep(seconds):
            await asyncio.sleep(seconds)
            await self.line.awake.wait()

        self._sleep = sleep
        self.leadership = Leadership(
            self.line, name="l", namespace="n", identity=who, log=Log(Silent()), metrics=Metrics(), times=times,
            clock=clock, sleep=sleep, chance=chance.random,
        )  # fmt: skip
        self.client = LedClient(self.line, self.leadership)
        self.task = asyncio.ensure_future(self.leadership.run(self.lead))

    async def lead(self):
        self.gained.append(asyncio.get_running_loop().time())
        while True:
            await self._sleep(0.05)
            try:
                try:
                    body = await self.client.get(VALUE, "v", "n")
                    if self.chance.random() < 0.5:  # what no version protects
                        await self.client.create(
                            VALUE, {"metadata": {"name": f"{self.who}-{self.chance.random()}"}}, "n"
                        )
                    await self.client.replace(VALUE, "v", body, "n")
                except NotFound:
                    await self.client.create(VALUE, {"metadata": {"name": "v"}}, "n")
            except (Conflict, Unreachable, NotLeader):
                pass

    def freeze(self):
        self.line.awake.clear()

    def thaw(self):
        self.line.awake.set()

    async def kill(self):
        """Gone between two instructions: nothing of it runs any more, nothing is given back."""
        self.line.cut = True
        self.freeze()

    async def stop(self):
        self.task.cancel()
        await asyncio.wait((self.task,))


def leaders(replicas):
    return [replica for replica in replicas if replica.leadership.leading]


async def one_leads(replicas, within):
    now = asyncio.get_running_loop().time
    end = now() + within
    while now() < end:
        if len(found := [r for r in leaders(replicas) if r.line.awake.is_set()]) == 1:
            return found[0], within - (end - now())
        await asyncio.sleep(0.01)
    raise AssertionError(f"nobody leads after {within} s")


async def trial(seed, fault):
    chance, store = random.Random(seed), Store()
    times = LeaseTimes()
    replicas = [Replica(store, f"r{n}", chance, times) for n in range(3)]
    overlap = []

    async def watch():
        while True:
            if len(found := leaders(replicas)) > 1:
                overlap.append([replica.who for replica in found])
            await asyncio.sleep(0.02)

    watching = asyncio.ensure_future(watch())
    first, _ = await one_leads(replicas, 60)
    await asyncio.sleep(chance.uniform(0, 5))
    first, _ = await one_leads(replicas, 60)
    rest = [replica for replica in replicas if replica is not first]
    took = await fault(first, rest, chance)
    await asyncio.sleep(20)
    watching.cancel()
    for replica in replicas:
        replica.thaw()
        replica.task.cancel()
    await asyncio.wait([replica.task for replica in replicas])
    return store, overlap, took


async def kill(first, rest, chance):
    await first.kill()
    await asyncio.sleep(0)
    return (await one_leads(rest, 40))[1]


async def freeze(first, rest, chance):
    first.freeze()
    took = (await one_leads(rest, 40))[1]
    await asyncio.sleep(chance.uniform(0, 20))
    first.thaw()
    return took


async def nap(first, rest, chance):
    """Frozen for a time around the lease's end, when it matters most."""
    first.freeze()
    await asyncio.sleep(chance.uniform(6, 12))
    first.thaw()


async def cut(first, rest, chance):
    first.line.cut = True
    took = (await one_leads(rest, 40))[1]
    first.line.cut = False
    return took


async def stop(first, rest, chance):
    await first.stop()
    return (await one_leads(rest, 40))[1]


@pytest.mark.parametrize("fault", [kill, freeze, nap, cut, stop], ids=lambda fault: fault.__name__)
def test_no_value_is_changed_by_a_replica_that_does_not_hold_the_lease(fault):
    changes = 0
    for seed in range(20):
        store, overlap, _ = run_virtually(trial(seed, fault))
        assert overlap == [], seed
        assert [pair for pair in store.changes if pair[0] != pair[1]] == [], seed
        changes += len(store.changes)
    assert changes > 400


class Fast(random.Random):
    """A network without delays, and every other chance as it comes."""

    def choice(self, _):
        return 0.002


@pytest.mark.parametrize(
    ("fault", "within"),
    [(kill, 13.5), (cut, 13.5), (freeze, 13.5), (stop, 2.0)],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_successor_leads_in_time(fault, within, monkeypatch):
    monkeypatch.setattr(random, "Random", Fast)
    slowest = max(run_virtually(trial(seed, fault))[2] for seed in range(20))
    assert 0.01 < slowest < within


def test_what_is_led_is_cancelled_when_the_lease_cannot_be_renewed():
    async def scenario():
        replica = Replica(Store(), "r", Fast(1), LeaseTimes())
        await one_leads([replica], 5)
        led = asyncio.all_tasks()
        replica.line.cut = True
        began = asyncio.get_running_loop().time()
        while replica.leadership.leading:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - began < 7.1
        await asyncio.sleep(6)  # what was in flight is cut off by its own limit
        assert replica.leadership.remaining == 0
        assert not replica.leadership.may_write(0)
        with pytest.raises(NotLeader):
            await replica.client.create(VALUE, {"metadata": {"name": "x"}})
        replica.task.cancel()
        await asyncio.wait((replica.task,))
        assert led

    run_virtually(scenario())


def test_a_failure_of_what_is_led_gives_the_lease_back_and_is_told():
    async def scenario():
        store = Store()
        replica = Replica(store, "r", Fast(1), LeaseTimes())

        async def fails():
            await asyncio.sleep(3)
            raise RuntimeError("bug")

        replica.task.cancel()
        with pytest.raises(RuntimeError):
            await replica.leadership.run(fails)
        assert store.objects["Lease", "l"]["spec"]["holderIdentity"] == ""
        assert not replica.leadership.leading

    run_virtually(scenario())


def test_a_write_without_a_version_is_a_bug():
    async def scenario():
        replica = Replica(Store(), "r", Fast(1), LeaseTimes())
        await one_leads([replica], 5)
        with pytest.raises(AssertionError):
            await replica.client.replace(VALUE, "v", {"metadata": {"name": "v"}})
        with pytest.raises(AssertionError):
            await replica.client.delete(VALUE, "v")
        replica.task.cancel()
        await asyncio.wait((replica.task,))

    run_virtually(scenario())
