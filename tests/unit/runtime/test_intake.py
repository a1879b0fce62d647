"""The front door: leading edge, newest wins, nothing before everything was seen, and endpoints first."""

import asyncio
import contextlib
import itertools
import threading

from weirkeeper.controllers.base import COMMON_KINDS, Kind
from weirkeeper.feeds.base import Cause, Seen, Synced
from weirkeeper.kube.types import EndpointSlice, IngressClass, KubeObject, Metadata
from weirkeeper.model.finding import Finding, Reason, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Sentence
from weirkeeper.reconcile import Outcome
from weirkeeper.runtime.intake import LONG, SMALL, Intake

CLASS = Kind(group="networking.k8s.io", version="v1", kind="IngressClass", namespaced=False, type=IngressClass)
NOTHING = Outcome(items={}, findings={}, statuses={}, hosts=(), runs={})


class Heart:
    """Notes what it is given; a settle can be made to wait or to fail."""

    kinds = {(k.group, k.kind): k for k in (*COMMON_KINDS, CLASS)}

    def __init__(self):
        self.batches, self.threads = [], []
        self.gate = threading.Event()
        self.gate.set()
        self.failures = 0

    def receive(self, batch):
        self.batches.append(list(batch))

    def settle(self):
        self.threads.append(threading.current_thread() is threading.main_thread())
        assert self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("a derivation failed")
        return NOTHING


def seen(name, kind="Service", cause=Cause.CHANGED, version="", problem=None, there=True):
    ref = Ref(group="discovery.k8s.io" if kind == "EndpointSlice" else "", kind=kind, name=name)
    made = EndpointSlice if kind == "EndpointSlice" else KubeObject
    thing = made(api_version=version, kind=kind, metadata=Metadata(name=name)) if there else None
    return Seen(ref=ref, object=thing, cause=cause, problem=problem)


def unreadable(name):
    problem = Finding(
        severity=Severity.ERROR, reason=Reason.INVALID_OBJECT, for_user=Sentence("no"), origin=Origin(ref=Ref(kind="Service", name=name))
    )  # fmt: skip
    return seen(name, problem=problem, there=False)


def running(scenario, **options):
    async def whole():
        heart, delivered = Heart(), []
        intake = Intake(heart, lambda outcome, batch: delivered.append(batch), **options)
        task = asyncio.create_task(intake.run())
        try:
            await asyncio.wait_for(scenario(intake, heart, delivered), 60)
        finally:
            heart.gate.set()
            task.cancel()
            await asyncio.wait((task,))

    asyncio.run(whole())


async def until(condition):
    while not condition():  # noqa: ASYNC110 - a turn of the loop, not a time
        await asyncio.sleep(0)


def names(batch):
    return [event.ref.name for event in batch if isinstance(event, Seen)]


def test_nothing_is_settled_before_every_feed_is_synced():
    async def scenario(intake, heart, delivered):
        intake.offer([seen("a")])
        intake.offer([Synced(feed="one")])
        for _ in range(20):
            await asyncio.sleep(0)
        assert heart.threads == [], "taken, and not settled"
        intake.offer([seen("b"), Synced(feed="two")])
        await until(lambda: delivered)
        assert [name for batch in heart.batches for name in names(batch)] == ["a", "b"]
        assert heart.threads == [False]  # the first settle is long: never on the loop

    running(scenario, awaited=("one", "two"))


def test_an_idle_door_opens_at_once_and_a_busy_one_gathers():
    async def scenario(intake, heart, delivered):
        intake.offer([seen("first")])
        await until(lambda: delivered)
        heart.gate.clear()
        intake.offer([seen("class", kind="IngressClass")])  # goes to the thread, and waits there
        await until(lambda: len(heart.threads) == 2)
        for version in ("1", "2", "3"):
            intake.offer([seen("a", version=version)])
        intake.offer([seen("b")])
        assert len(heart.batches) == 2
        heart.gate.set()
        await until(lambda: len(delivered) == 3)
        assert names(heart.batches[2]) == ["a", "b"]
        assert heart.batches[2][0].object.api_version == "3"
        assert heart.threads == [False, False, True]
        assert intake.waiting == 0

    running(scenario)


def test_many_events_go_to_the_thread_and_few_do_not():
    async def scenario(intake, heart, delivered):
        intake.offer([seen("first")])
        await until(lambda: len(delivered) == 1)
        intake.offer([seen(f"s{n}") for n in range(SMALL)])
        await until(lambda: len(delivered) == 2)
        intake.offer([seen(f"s{n}") for n in range(SMALL + 1)])
        await until(lambda: len(delivered) == 3)
        assert heart.threads == [False, True, False]

    running(scenario)


def test_a_kind_that_took_much_work_goes_to_the_thread_and_one_that_had_to_wait_does_not():
    used = 0.0

    def take(heart, work):
        def settle():
            nonlocal used
            used += work
            heart.threads.append(threading.current_thread() is threading.main_thread())
            return NOTHING

        heart.settle = settle

    async def scenario(intake, heart, delivered):
        async def settled(name, work):
            take(heart, work)
            before = len(delivered)
            intake.offer([seen(name)])
            await until(lambda: len(delivered) == before + 1)

        await settled("first", 0.0)
        await settled("light, though the clock says otherwise", LONG / 2)
        await settled("heavy", 2 * LONG)
        await settled("after", 0.0)
        assert heart.threads == [False, True, True, False]

    ticks = itertools.count()
    running(scenario, work=lambda: used, clock=lambda: float(next(ticks)))


def test_changed_endpoints_overtake_a_large_batch_and_deleted_ones_do_not():
    async def scenario(intake, heart, delivered):
        intake.offer([seen("first")])
        await until(lambda: delivered)
        gone = seen("gone", kind="EndpointSlice", cause=Cause.DELETED, there=False)
        intake.offer([*(seen(f"s{n}") for n in range(SMALL + 1)), seen("slice", kind="EndpointSlice"), gone])
        await until(lambda: len(delivered) == 3)
        assert names(heart.batches[1]) == ["slice"]
        assert len(heart.batches[2]) == SMALL + 2
        assert "gone" in names(heart.batches[2])

    running(scenario)


def test_unreadable_does_not_replace_what_was_read_before():
    async def scenario(intake, heart, delivered):
        intake.offer([seen("a", version="1")])
        intake.offer([unreadable("a")])
        intake.offer([unreadable("b")])
        intake.offer([seen("b", version="2")])
        await until(lambda: delivered)
        first, second, third = heart.batches[0]
        assert (first.ref.name, first.object.api_version) == ("a", "1")
        assert second.unreadable
        assert (third.ref.name, third.object.api_version) == ("b", "2")

    running(scenario)


def test_a_settle_that_raised_is_tried_again_by_the_next_run():
    async def scenario():
        heart, delivered = Heart(), []
        heart.failures = 1
        intake = Intake(heart, lambda outcome, batch: delivered.append(batch))
        intake.offer([seen("a")])
        with contextlib.suppress(RuntimeError):
            await intake.run()
        again = asyncio.create_task(intake.run())
        await until(lambda: delivered)
        assert names(heart.batches[1]) == ["a"]
        again.cancel()
        await asyncio.wait((again,))

    asyncio.run(scenario())


def test_being_cancelled_waits_for_the_settle_that_runs():
    async def scenario():
        heart = Heart()
        heart.gate.clear()
        intake = Intake(heart, lambda outcome, batch: None)
        intake.offer([seen("a")])
        task = asyncio.create_task(intake.run())
        await until(lambda: heart.threads)
        task.cancel()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not task.done()
        assert intake.still.locked()
        heart.gate.set()
        await asyncio.wait((task,))
        assert task.cancelled()
        assert not intake.still.locked()

    asyncio.run(scenario())


def test_the_first_output_waits_for_what_is_read_by_name_and_comes_as_one():
    known, asked = [], []

    def ready():
        asked.append(None)
        return bool(known)

    async def scenario(intake, heart, delivered):
        intake.offer((seen("a"), Synced(feed="kube")))
        await until(lambda: len(asked) == 1)
        intake.offer((seen("b"),))
        await until(lambda: len(asked) == 2)
        assert not delivered
        assert not intake.synced.is_set()
        known.append(True)
        intake.offer((seen("c"),))
        await until(lambda: delivered)
        assert names(delivered[0].events) == ["a", "b", "c"]
        known.clear()
        intake.offer((seen("d"),))
        await until(lambda: len(delivered) == 2)

    running(scenario, awaited=("kube",), ready=ready)


def test_an_answer_that_came_while_the_last_settle_ran_is_in_the_first_output():
    async def scenario():
        heart, delivered = Heart(), []
        heart.gate.clear()
        intake = Intake(heart, lambda outcome, batch: delivered.append(batch), awaited=("kube",))
        intake.offer((seen("a"), Synced(feed="kube")))
        task = asyncio.create_task(intake.run())
        await until(lambda: heart.threads)
        intake.offer((seen("b"),))  # nothing is missing any more, and this one still waits
        heart.gate.set()
        await until(lambda: delivered)
        assert names(delivered[0].events) == ["a", "b"]
        task.cancel()
        await asyncio.wait((task,))

    asyncio.run(scenario())


def test_of_outcomes_that_are_delivered_together_the_later_word_counts():
    first = Outcome(
        items={"memory": {"a": 1, "b": 2}}, findings={"x": None}, statuses={"s": 1}, hosts=("h", "i"), runs={"t": 1}
    )
    then = Outcome(
        items={"memory": {"a": None}, "other": {"c": 3}},
        findings={"x": ("f",)},
        statuses={},
        hosts=("i",),
        runs={"t": 2},
    )
    both = then.after(first)
    assert both.items == {"memory": {"a": None, "b": 2}, "other": {"c": 3}}
    assert (both.findings, both.statuses, both.hosts) == ({"x": ("f",)}, {"s": 1}, ("h", "i"))
    assert both.runs == {"t": 3}
