"""Much at once is worked off in steps: the first picture and the answers of thousands of items hold up nobody, and say no less."""

import asyncio
import datetime as dt
import sys
from pathlib import Path

from weirkeeper.distribute import wire
from weirkeeper.distribute.authority import new_authority
from weirkeeper.distribute.credentials import OwnTls
from weirkeeper.distribute.door import Away
from weirkeeper.distribute.events import Acked, Rejected
from weirkeeper.distribute.kinds import CDS
from weirkeeper.distribute.progress import Progress
from weirkeeper.distribute.server import STEP, Distributor, in_steps
from weirkeeper.distribute.service import Service, ServiceSettings
from weirkeeper.distribute.store import DesiredStore, Shelf
from weirkeeper.distribute.stream import DeltaStream
from weirkeeper.model.text import Label, Name
from weirkeeper.providers.base import EngineItem, ItemKey
from weirkeeper.runtime.dispatch import Mailbox
from weirkeeper.testing.eventually import eventually

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from dict_engine import LB, item

MANY = 3 * STEP + 1


def many() -> dict[ItemKey, EngineItem]:
    return {ItemKey(LB, Label(CDS), Label(f"c{number}")): item("v") for number in range(MANY)}


def test_an_answer_of_thousands_says_the_same_in_steps() -> None:
    versions = tuple((f"c{number}", "v") for number in range(MANY))
    events = [Acked(CDS, versions), Rejected(CDS, "bad", "v", "no"), Acked(CDS, ())]
    steps = list(in_steps(events))
    assert [len(one.versions) for one in steps if isinstance(one, Acked)] == [STEP, STEP, STEP, 1, 0]
    assert tuple(row for one in steps[:4] for row in one.versions) == versions
    assert steps[4:] == events[1:]


def test_a_fill_lets_others_have_their_turn_and_ends_with_everything() -> None:
    async def story() -> None:
        distributor = Distributor(DesiredStore(), lambda _: None, provider=Name("envoy"))
        turns = 0
        filling = asyncio.create_task(distributor.fill(many()))
        while not filling.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= MANY // STEP
        assert len(distributor.store.shelf(LB).entries) == MANY

    asyncio.run(story())


def test_looks_in_steps_find_what_one_look_finds() -> None:
    def progress() -> tuple[Progress, list[DeltaStream]]:
        shelf = Shelf()
        for key, wished in many().items():
            shelf.put((key.kind, key.name), wished)
        stream = DeltaStream(shelf, 5.0)
        held = {key.name: wished.version for key, wished in list(many().items())[::2]}
        stream.receive(wire.Request(kind=CDS, held=held), 0.0)
        while stream.next(0.0) is not None:
            pass
        return Progress(Name("envoy"), LB, shelf), [stream]

    whole, streams = progress()
    at_once = whole.look(streams)
    assert at_once
    stepped, streams = progress()
    steps = []
    while (found := stepped.look(streams, STEP)) is not None:
        steps.append(found)
    assert len(steps) == 4
    assert [one for step in steps for one in step] == at_once


def test_nobody_is_told_anything_before_all_is_filled(monkeypatch) -> None:
    async def story() -> None:
        going = asyncio.Event()
        original = Distributor.fill

        async def held_up(self: Distributor, items: dict) -> None:
            await original(self, dict(list(items.items())[:STEP]))
            await going.wait()
            await original(self, items)

        monkeypatch.setattr(Distributor, "fill", held_up)
        mailbox = Mailbox()
        mailbox.put(many())
        keys = new_authority(dt.datetime.now(dt.UTC))
        tls = OwnTls(keys, ("one",), dt.timedelta(days=1))
        service = Service(ServiceSettings(address="127.0.0.1:0", replica=Label("one")), tls)
        service.ready.set()
        serving = asyncio.create_task(service.serve({"envoy": mailbox}, lambda _: None))
        await service.listening.wait()
        assert isinstance(service._place(LB, wire.Node()), Away)
        going.set()

        async def served() -> bool:
            return not isinstance(service._place(LB, wire.Node()), Away)

        await eventually(served, what="everything is filled")
        assert len(service._place(LB, wire.Node()).store.shelf(LB).entries) == MANY
        serving.cancel()
        await asyncio.wait((serving,))

    asyncio.run(story())
