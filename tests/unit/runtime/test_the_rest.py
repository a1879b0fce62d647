"""Mailboxes, supervision, log lines, numbers and times to be live."""

import ast
import asyncio
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

import weirkeeper
from weirkeeper.errors import StartRefused
from weirkeeper.feeds.base import Seen
from weirkeeper.model.ids import HostKey, Ref
from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.reconcile import Outcome
from weirkeeper.runtime.changes import Changes
from weirkeeper.runtime.dispatch import Dispatcher, Mailbox
from weirkeeper.runtime.intake import Batch
from weirkeeper.runtime.logging import Log
from weirkeeper.runtime.memory import give_back
from weirkeeper.runtime.metrics import Metrics
from weirkeeper.runtime.supervise import FIRST_PAUSE, LONGEST_PAUSE, Worker, supervise


def key(name):
    return ItemKey("lb", "kind", name)


def item(version):
    return EngineItem(body=version.encode(), version=version)


def log(**options):
    stream = io.StringIO()
    return stream, Log(stream, now=lambda: datetime(2026, 11, 21, tzinfo=UTC), **options)


def outcome(**items):
    changes = {key(name): item(version) if version else None for name, version in items.items()}
    return Outcome(
        items={"memory": changes}, findings={}, statuses={}, hosts=(HostKey("lb", "g", "shop.example"),), runs={}
    )


def test_whoever_waits_for_the_first_changes_hears_that_nothing_is_wished():
    async def scenario():
        dispatcher = Dispatcher(("memory",))
        box = dispatcher.mailboxes["memory"]
        waiting = asyncio.ensure_future(box.changed())
        await asyncio.sleep(0)
        assert not waiting.done(), "nobody knows yet what is wished"
        nothing = Outcome(items={}, findings={}, statuses={}, hosts=(), runs={})
        dispatcher.send(nothing)
        assert await waiting == {}
        again = asyncio.ensure_future(box.changed())
        dispatcher.send(nothing)
        await asyncio.sleep(0)
        assert not again.done()
        dispatcher.send(outcome(a="1"))
        assert await again == {key("a"): item("1")}

    asyncio.run(scenario())


def test_a_mailbox_merges_and_the_newest_wins():
    async def scenario():
        box = Mailbox()
        box.put({key("a"): item("1"), key("b"): item("1")})
        assert box.items() == {key("a"): item("1"), key("b"): item("1")}
        waiting = asyncio.ensure_future(box.changed())
        await asyncio.sleep(0)
        assert not waiting.done()  # what `items` answered is no change
        box.put({key("a"): item("2")})
        box.put({key("a"): item("3"), key("b"): None})
        assert await waiting == {key("a"): item("3"), key("b"): None}
        assert box.items() == {key("a"): item("3")}
        assert len(box) == 1

    asyncio.run(scenario())


def test_the_dispatcher_keeps_providers_apart():
    dispatcher = Dispatcher(("memory", "other"))
    dispatcher.send(outcome(a="1"))
    assert dispatcher.mailboxes["memory"].item(key("a")) == item("1")
    assert len(dispatcher.mailboxes["other"]) == 0


def test_a_worker_that_raises_begins_again_with_growing_pauses():
    pauses, runs = [], []
    stream, lines = log()
    metrics = Metrics()

    async def sleep(seconds):
        pauses.append(seconds)

    async def work():
        runs.append(1)
        if len(runs) < 14:
            raise RuntimeError("bug\nforged line")

    async def other():
        runs.append(0)

    asyncio.run(supervise([Worker("bad", work), Worker("good", other)], lines, metrics, sleep))
    assert runs.count(1) == 14
    assert pauses[:3] == [FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4]
    assert pauses[-1] == LONGEST_PAUSE
    assert len(stream.getvalue().splitlines()) == 13
    assert 'weirkeeper_worker_failures_total{worker="bad"} 13' in metrics.text()


def test_a_refused_start_ends_everything():
    async def refuse():
        raise StartRefused("no")

    async def forever():
        await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(supervise([Worker("a", refuse), Worker("b", forever)], log()[1], Metrics()))
    assert (
        caught.group_contains(StartRefused)
        if hasattr(caught, "group_contains")
        else caught.value.subgroup(StartRefused)
    )


def test_broad_excepts_exist_in_one_module_only():
    broad = set()
    for path in Path(weirkeeper.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"Exception"}
                if names & {"Exception", "BaseException"}:
                    broad.add(path.name)
    assert broad == {"supervise.py"}


@pytest.mark.parametrize("evil", ["a\nb", "a b=c", '"', "\x1b[2J", "é\u2028", "", "a\\b", "a\rlevel=error"])
def test_a_value_forges_no_line_and_no_field(evil):
    stream, lines = log()
    lines.info("said", value=evil)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.isascii()
    written = text.rstrip("\n").partition(" value=")[2]
    assert json.loads(written) == evil


def test_a_log_that_cannot_be_written_costs_the_line_and_nothing_else():
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it must fail
    log = Log(full)
    log.info("lost")
    log.failure("lost too", ValueError("why"))
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_json_lines_levels_and_length():
    stream, lines = log(json_lines=True, level="warning")
    lines.info("not this")
    lines.warning("this", value="x" * 10_000)
    written = json.loads(stream.getvalue())
    assert (written["message"], written["level"], len(written["value"])) == ("this", "warning", 500)
    assert written["time"] == "2026-11-21T00:00:00.000Z"


def observed(name, version, state=ItemState.PROGRAMMED):
    return ItemObservation(provider="memory", load_balancer="lb", kind="kind", name=name, version=version, state=state)


class Clock:
    now = 10.0

    def __call__(self):
        return self.now


def changes():
    stream, lines = log()
    clock = Clock()
    return Changes(lines, Metrics(), clock), clock, stream


def batch(*names, arrived=10.0):
    events = tuple(Seen(ref=Ref(kind="Service", name=name)) for name in names)
    return Batch(events, arrived, arrived, arrived + 0.001)


def test_a_change_is_live_when_everything_that_came_of_it_was_taken():
    made, clock, stream = changes()
    made.delivered(outcome(a="1", b="1", c=""), batch("shop"))
    made.observed(observed("a", "1"))
    made.observed(observed("b", "0"))  # of an older version: says nothing about this change
    assert made.done == type(made.done)(maxlen=made.done.maxlen)
    assert len(made.under_way) == 1
    clock.now += 0.0042
    made.observed(observed("b", "1"))
    (done,) = made.done
    assert (done.live_ms, done.settle_ms, done.items, done.objects, done.hosts) == (
        4.2, 1.0, 3, ("Service shop",), ("shop.example",)
    )  # fmt: skip
    assert made.under_way == ()
    assert "live_ms=4.2" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_an_item_that_is_replaced_counts_for_the_newer_change():
    made, _, _ = changes()
    made.delivered(outcome(a="1"), batch("one"))
    made.delivered(outcome(a="2"), batch("two"))
    assert [change.number for change in made.done] == [1]
    made.observed(observed("a", "1"))
    assert len(made.under_way) == 1
    made.observed(observed("a", "2"))
    assert [change.number for change in made.done] == [1, 2]


def test_a_rejection_is_told_as_one():
    made, _, stream = changes()
    made.delivered(outcome(a="1"), batch("one"))
    made.observed(observed("a", "1", ItemState.REJECTED))
    assert made.done[0].rejected
    assert "change rejected" in stream.getvalue()


def test_a_settle_that_changed_no_item_is_no_change():
    made, _, stream = changes()
    made.delivered(Outcome(items={"memory": {}}, findings={}, statuses={}, hosts=(), runs={}), batch("one"))
    assert (list(made.done), made.under_way, stream.getvalue()) == ([], (), "")


def test_memory_that_nobody_uses_is_given_back() -> None:
    held = [bytes(2_000) for _ in range(20_000)]
    del held[::2]
    assert give_back()
