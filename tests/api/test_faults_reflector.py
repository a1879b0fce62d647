"""Reflectors against every trouble that an API server can make, under random schedules: in the end they know what it holds.

The laws, for each trouble and each schedule: after the last fault the mirrored objects equal the server's, within a limited
time; nothing is told as gone that was there all the time; nothing is told that is no change; and each kind is listed at
most once in four seconds. Real sockets, virtual time. `SCHEDULES` says how many random schedules each trouble gets.
"""

import asyncio
import os
from random import Random

import pytest

from weirkeeper.kube.access import Access
from weirkeeper.kube.client import Client
from weirkeeper.kube.resources import Resource
from weirkeeper.kube.types import Ingress, Service
from weirkeeper.kube.watch import Absent, Applied, Back, Deleted, Gate, Listed, Lost, Reflector
from weirkeeper.testing.apiserver import ApiServer, Fault, Trouble, schedule
from weirkeeper.testing.virtual_time import run_virtually

SCHEDULES = int(os.environ.get("SCHEDULES", "3"))
MOST = max(SCHEDULES, 20)
"""So many schedules at most, until one of them has met the trouble."""
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
SERVICES = Resource("", "v1", "services", "Service")
TYPES = {INGRESSES: Ingress, SERVICES: Service}
FAULTY, AFTERWARDS = 90.0, 180.0
RATE, BURST = 0.25, 3
RESTORED, RAISED = "etcd restored", "etcd restored with higher revisions"
TROUBLES = (*Trouble, RESTORED, RAISED)
NOT_OF_A_WATCH = (Trouble.CONFLICT, Trouble.ANSWER_LOST)
OF_PAGES = (Trouble.GONE_CONTINUE, Trouble.PAGE_FAILS, Trouble.PAGE_CUT)
OF_LISTS = (*OF_PAGES, Trouble.SLOW_LIST, Trouble.EMPTY_LIST)
OF_STREAMS = (Trouble.DIES_BEFORE_SYNC, Trouble.NO_WATCH_LIST, Trouble.WATCH_LIST_IGNORED)


class Copy:
    """What a listener has been told of one kind, and which of the laws were broken while it was told."""

    def __init__(self, resource, server):
        self.resource, self.server = resource, server
        self.objects, self.wrong, self.listed, self.lost = {}, [], 0, False
        self.told_anew = (
            False  # after a restore a revision may stand for another state, so everything is told once more
        )
        self.may_vanish = set()  # what was deleted at some time, so that it may be told as gone

    def tell(self, news):
        for one in news:
            match one:
                case Applied(ref=ref, object=object):
                    if self.objects.get(ref.name) == object and not self.told_anew:
                        self.wrong.append(f"told without a change: {ref.name}")
                    self.objects[ref.name] = object
                case Deleted(ref=ref) | Absent(ref=ref):
                    if ref.name not in self.may_vanish:
                        self.wrong.append(f"never deleted: {one}")
                    if self.objects.pop(ref.name, None) is None:
                        self.wrong.append(f"told as gone, and was not there: {one}")
                case Listed():
                    self.listed += 1
                case Lost():
                    self.lost = True
                case Back():
                    self.lost = False

    @property
    def mirrored(self):
        return {name: (kept.metadata.annotations or {}).get("n") for name, kept in self.objects.items()}

    @property
    def kept(self):
        shelf = self.server.log.shelf(self.server.kind(self.resource.plural))
        return {name: entry.object["metadata"]["annotations"]["n"] for (_, name), entry in shelf.objects.items()}


class Stage:
    """A server, a reflector for each kind, and a hand that changes objects."""

    def __init__(self, seed, **options):
        self.random = Random(seed)
        self.loop = asyncio.get_running_loop()
        self.server = ApiServer(bookmark_every=15.0, clock=self.loop.time, **options)
        self.copies = {resource: Copy(resource, self.server) for resource in TYPES}
        self.written = 0

    async def __aenter__(self):
        for resource in TYPES:
            for number in range(self.random.randint(0, 12)):
                self.put(resource, f"o{number}")
        await self.server.start()
        self.client = await Client(Access(self.server.url)).__aenter__()
        gate = Gate()
        self.reflectors = [
            Reflector(self.client, resource, type=kind, tell=self.copies[resource].tell, gate=gate, clock=self.loop.time,
                      chance=self.random.random)
            for resource, kind in TYPES.items()
        ]  # fmt: skip
        self.running = [asyncio.create_task(reflector.run()) for reflector in self.reflectors]
        return self

    async def __aexit__(self, *_):
        for task in self.running:
            task.cancel()
        ended = await asyncio.gather(*self.running, return_exceptions=True)
        await self.client.__aexit__(None, None, None)
        await self.server.stop()
        assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended

    def put(self, resource, name):
        self.written += 1
        metadata = {"name": name, "namespace": "default", "annotations": {"n": str(self.written)}}
        spec = {"defaultBackend": {"service": {"name": "s"}}} if resource == INGRESSES else {"ports": [{"port": 80}]}
        self.server.put({"kind": resource.kind, "metadata": metadata, "spec": spec})

    def remove(self, resource, name):
        self.copies[resource].may_vanish.add(name)
        self.server.remove(resource.kind, name, "default")

    def change(self):
        """One random change."""
        resource = self.random.choice(list(TYPES))
        there = sorted(self.copies[resource].kept)
        chance = self.random.random()
        if there and chance < 0.25:
            self.remove(resource, self.random.choice(there))
        elif there and chance < 0.6:
            self.put(resource, self.random.choice(there))
        else:
            self.put(resource, f"o{self.random.randrange(30)}")

    async def changes(self, seconds):
        """Random changes, with quiet times between."""
        end = self.loop.time() + seconds
        while (now := self.loop.time()) < end:
            await asyncio.sleep(min(self.random.expovariate(1.0), end - now))
            for _ in range(self.random.choice((1, 1, 1, 5))):
                self.change()

    async def play(self, episodes):
        """Switch faults on and off as a schedule has it."""
        begun = self.loop.time()

        async def one(episode):
            await asyncio.sleep(episode.begin - (self.loop.time() - begun))
            self.server.faults.add(episode.fault)
            if self.random.random() < 0.7:
                if episode.fault.what in (*OF_LISTS, *OF_STREAMS):
                    self.server.compact()
                self.server.cut_watches(how=self.random.choice(("close", "abort")))
            await asyncio.sleep(episode.end - episode.begin)
            self.server.faults.lift(episode.fault)

        await asyncio.gather(*(one(episode) for episode in episodes))
        self.server.faults.clear()

    async def interrupt(self, trouble):
        """What makes a client list again while a trouble is on: connections that break, and history that is forgotten."""
        while True:
            await asyncio.sleep(self.random.uniform(5, 40))
            self.server.cut_watches(how=self.random.choice(("close", "abort")))
            if self.random.random() < 0.5:
                self.server.compact()

    async def restore(self, *, raised):
        """Etcd from a backup: the last changes never happened, and their revisions are given again.

        With `raised`, as its documentation wants it (`--bump-revision --mark-compacted`). Without, nobody can tell the new
        history from the old one once it is the longer: so here it stays the shorter, and both kinds have had a bookmark.
        """
        changing = asyncio.create_task(self.changes(FAULTY))
        await asyncio.sleep(self.random.uniform(20, 60))
        changing.cancel()
        await asyncio.sleep(40)  # every watch has ended once, with a bookmark before its end
        self.put(SERVICES, "last")
        self.put(INGRESSES, "last")
        await self.agree(10)
        names = {f"o{number}" for number in range(30)} | {"last"}
        for copy in self.copies.values():
            copy.may_vanish |= names
            copy.told_anew = not raised
        now = self.server.log.revision
        self.server.restore(now - self.random.randint(12, 40))
        if raised:
            self.server.log.revision += 1_000_000
            self.server.compact()
        for _ in range(self.random.randrange(5)):
            self.change()

    async def agree(self, seconds):
        """Wait until both kinds are mirrored, and are known to be; says what differs where that does not come."""
        end = self.loop.time() + seconds
        while self.loop.time() < end:
            if all(copy.listed and not copy.lost and copy.mirrored == copy.kept for copy in self.copies.values()):
                return
            await asyncio.sleep(0.5)
        for copy in self.copies.values():
            assert copy.mirrored == copy.kept, copy.resource.plural
            assert copy.listed
            assert not copy.lost

    def lists(self, resource):
        """When lists of a kind began, by what the server saw: streamed, first pages, and looks at the revision."""
        return [record.at for record in self.server.audit.records if record.plural == resource.plural and (
            (record.verb == "list" and "continue=" not in record.path)
            or (record.verb == "watch" and "sendInitialEvents" in record.path and record.status == 200))]  # fmt: skip

    def check(self):
        for resource, copy in self.copies.items():
            assert copy.wrong == []
            begun = self.lists(resource)
            for first, at in enumerate(begun):
                count = sum(at <= other < at + 60 for other in begun[first:])
                assert count <= RATE * 60 + BURST, f"{count} lists of {resource.plural} within a minute from {at}"


async def scenario(trouble, seed):
    random = Random(f"{trouble}-{seed}")
    streams = trouble in OF_STREAMS or (trouble not in OF_PAGES and random.random() < 0.7)
    async with Stage(
        f"{trouble}/{seed}", watch_list=streams, largest_page=2 if trouble in OF_PAGES else random.choice((0, 3))
    ) as stage:
        if trouble in (RESTORED, RAISED):
            await stage.restore(raised=trouble == RAISED)
        else:
            episodes = schedule(random, trouble, ("ingresses", "services"), seconds=FAULTY)
            interrupting = asyncio.create_task(stage.interrupt(trouble))
            if trouble == Trouble.EMPTY_LIST:
                for copy in stage.copies.values():
                    copy.may_vanish |= {f"o{number}" for number in range(30)}
            await asyncio.gather(stage.changes(FAULTY), stage.play(episodes))
            interrupting.cancel()
        if trouble == Trouble.EMPTY_LIST:
            for reflector in stage.reflectors:  # as the brake does when a list takes too much away
                reflector.relist()
        await stage.agree(AFTERWARDS)
        stage.check()
        return 1 if trouble in (RESTORED, RAISED) else stage.server.faults.struck[trouble]


@pytest.mark.parametrize("trouble", [trouble for trouble in TROUBLES if trouble not in NOT_OF_A_WATCH])
def test_after_every_trouble_the_copy_equals_the_server(trouble):
    struck = 0
    for seed in range(MOST):
        if seed >= SCHEDULES and struck:
            break
        try:
            struck += run_virtually(scenario(trouble, seed))
        except AssertionError as error:
            error.add_note(f"trouble {trouble}, schedule {seed}")
            raise
    assert struck, "the trouble was never met"


def test_a_silent_watch_is_noticed_in_time():
    """Nothing comes any more and the connection stays: what changes then is known 45 seconds later at the latest."""

    async def stalled():
        async with Stage("stall") as stage:
            await stage.agree(10)
            for _ in range(20):
                stage.server.faults.add(Fault(what=Trouble.STALL, times=1, plural="ingresses"))
                await asyncio.sleep(stage.random.uniform(0, 100))
                stage.put(INGRESSES, "late")
                await stage.agree(45)
            stage.check()
            assert stage.server.faults.struck[Trouble.STALL] >= 15

    run_virtually(stalled())


def test_quiet_hours_make_no_lists():
    """An hour in which hardly anything changes: no list, and now and then a look at the revision alone."""

    async def quiet():
        async with Stage("quiet") as stage:
            await stage.agree(10)
            stage.server.audit.clear()
            told = {resource: copy.listed for resource, copy in stage.copies.items()}
            for _ in range(60):
                await asyncio.sleep(60)
                stage.put(INGRESSES, "x")
                await stage.agree(2)
            begun = stage.lists(INGRESSES)
            looks = [record.at for record in stage.server.audit.records if "limit=1&" in f"{record.path}&"]
            assert set(begun) <= set(looks)
            assert len(begun) <= 60
            assert {resource: copy.listed for resource, copy in stage.copies.items()} == told
            stage.check()

    run_virtually(quiet())
