"""What followers see reaches the leader, whole and once; what a lost follower saw is taken back after the grace time; only replicas are heard."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.distribute.authority import SERVER_NAME, Issued, issue_instance, new_authority, new_request
from weirkeeper.distribute.credentials import MutualTls, OwnTls, client_context
from weirkeeper.distribute.desk import Desk
from weirkeeper.distribute.relay import PATH, Follower, Ledger, Message, Present, Relay, Row, key_of, stands
from weirkeeper.model.observation import InstanceObservation, ItemObservation, ItemState
from weirkeeper.model.text import Digest, Id, IpAddress, Label, Name, Sentence
from weirkeeper.testing.eventually import eventually

NOW = dt.datetime.now(dt.UTC)
KEYS = new_authority(NOW)


def instance(name: str, replica: str = "b", *, serving: bool = True, address: str = "192.0.2.1") -> InstanceObservation:
    return InstanceObservation(
        load_balancer=Id("web"),
        provider=Name("envoy"),
        instance=Label(name),
        replica=Label(replica),
        addresses=(IpAddress(address),) if serving else (),
        serving=serving,
    )


def item(name: str, state: ItemState = ItemState.REJECTED, version: str = "aa") -> ItemObservation:
    message = Sentence("no") if state is ItemState.REJECTED else Sentence("")
    return ItemObservation(
        provider=Name("envoy"), load_balancer=Id("web"), kind=Label("k"), name=Label(name), version=Digest(version),
        state=state, message=message,
    )  # fmt: skip


class Front:
    """A front door: the rows as a graph would hold them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, ...], Row] = {}
        self.heard: list[Row] = []

    def __call__(self, row: Row) -> None:
        self.heard.append(row)
        key = (*key_of(row), row.replica) if isinstance(row, InstanceObservation) else key_of(row)
        if stands(row):
            self.rows[key] = row
        else:
            self.rows.pop(key, None)


class Office:
    """One replica: its relay behind its desk."""

    def __init__(self, name: str, grace: float = 0.3) -> None:
        self.front = Front()
        self.tls = OwnTls(KEYS, ())
        self.relay = Relay(name, self.front, grace)
        self.desk = Desk("127.0.0.1:0", self.tls, None, self.relay)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.desk.run())
        await asyncio.wait_for(self.desk.listening.wait(), 60)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    @asynccontextmanager
    async def following(self, leader: "Office") -> AsyncIterator[None]:
        task = asyncio.create_task(Follower(self.relay.present, self.tls).follow(f"127.0.0.1:{leader.desk.port}"))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def rows(office: Office, *wished: Row) -> None:
    async def same() -> bool:
        found = sorted(office.front.rows.values(), key=repr)
        return found == sorted(wished, key=repr)

    await eventually(same, what=f"the leader has {len(wished)} rows, not {office.front.rows}")


def test_a_follower_says_all_then_what_changes_and_is_taken_back_after_the_grace_time() -> None:
    async def story() -> None:
        async with Office("a") as leader, Office("b") as follower:
            leader.relay.lead()
            leader.relay.own(instance("e0", "a"))
            follower.relay.own(instance("e1"))
            follower.relay.own(item("bad"))
            async with follower.following(leader):
                await rows(leader, instance("e0", "a"), instance("e1"), item("bad"))
                follower.relay.own(instance("e2"))
                follower.relay.own(item("bad", ItemState.PROGRAMMED, "bb"))
                await rows(leader, instance("e0", "a"), instance("e1"), instance("e2"))
                follower.relay.own(instance("e1", serving=False))
                await rows(leader, instance("e0", "a"), instance("e2"))
                ailing = msgspec.structs.replace(instance("e2", serving=False), trouble=Sentence("it has ended"))
                follower.relay.own(ailing)
                await rows(leader, instance("e0", "a"), ailing)
                assert leader.relay.followers == {"b"}
                lost = asyncio.get_running_loop().time()
            await rows(leader, instance("e0", "a"))
            assert asyncio.get_running_loop().time() - lost >= 0.25

    asyncio.run(story())


def test_a_follower_that_is_back_in_time_changes_only_what_changed() -> None:
    async def story() -> None:
        async with Office("a", grace=5) as leader, Office("b") as follower:
            leader.relay.lead()
            follower.relay.own(instance("e1"))
            follower.relay.own(instance("e2"))
            async with follower.following(leader):
                await rows(leader, instance("e1"), instance("e2"))
            leader.front.heard.clear()
            follower.relay.own(instance("e2", serving=False))
            follower.relay.own(instance("e3"))
            async with follower.following(leader):
                await rows(leader, instance("e1"), instance("e3"))
            assert [(row.instance, row.serving) for row in leader.front.heard if isinstance(row, InstanceObservation)] == [
                ("e2", False), ("e3", True),
            ]  # fmt: skip

    asyncio.run(story())


def test_a_leader_that_resigns_forgets_its_followers_and_they_find_the_next() -> None:
    async def story() -> None:
        async with Office("a") as first, Office("b") as follower, Office("c") as second:
            first.relay.lead()
            follower.relay.own(instance("e1"))
            async with follower.following(first):
                await rows(first, instance("e1"))
                await first.relay.resign()
                await rows(first)
            second.relay.lead()
            async with follower.following(second):
                await rows(second, instance("e1"))

    asyncio.run(story())


def test_a_desk_that_begins_anew_takes_nothing_back_and_the_leader_still_leads() -> None:
    async def story() -> None:
        async with Office("a", grace=5) as leader, Office("b") as follower:
            leader.relay.lead()
            follower.relay.own(instance("e1"))
            async with follower.following(leader):
                await rows(leader, instance("e1"))
                leader.front.heard.clear()
                await leader.relay.hang_up()

                async def back() -> bool:
                    return leader.relay.followers == {"b"}

                await eventually(back, what="the follower is back")
                assert leader.front.heard == []

    asyncio.run(story())


def test_a_follower_that_cannot_get_through_counts_as_long_as_it_says_so_by_another_road() -> None:
    async def story() -> None:
        async with Office("a") as leader, Office("b") as follower:
            follower.relay.own(instance("e1"))
            leader.relay.told(follower.relay.present.all())
            assert leader.front.heard == [], "it does not lead"
            leader.relay.lead()
            for _ in range(10):
                leader.relay.told(follower.relay.present.all())
                await asyncio.sleep(0.1)
                assert list(leader.front.rows.values()) == [instance("e1")]
            await rows(leader)
            async with follower.following(leader):
                await rows(leader, instance("e1"))
                leader.relay.told(Message(replica="b", whole=True))
                assert list(leader.front.rows.values()) == [instance("e1")], "its own connection is the better road"
            leader.relay.told(Message(replica="a", whole=True, instances=(instance("e2", "a"),)))
            await rows(leader)

    asyncio.run(story())


def test_a_follower_knows_for_how_long_nobody_has_heard_it() -> None:
    async def story() -> None:
        async with Office("a") as leader, Office("b") as office:
            leader.relay.lead()
            follower = Follower(office.relay.present, office.tls)
            assert follower.unheard() == 0
            for address, heard in ((f"127.0.0.1:{leader.desk.port}", True), ("127.0.0.1:1", False), ("", False)):
                task = asyncio.create_task(follower.follow(address))

                async def settled(heard: bool = heard) -> bool:
                    return follower.unheard() == 0 if heard else follower.unheard() > 0.2

                await asyncio.sleep(0)
                assert follower.unheard() > 0
                await eventually(settled, what=f"{address} hears: {heard}")
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert follower.unheard() == 0, "it follows nobody"

    asyncio.run(story())


def test_a_second_replica_of_our_own_name_is_not_heard() -> None:
    async def story() -> None:
        async with Office("a") as leader, Office("a") as double:
            leader.relay.lead()
            leader.relay.own(instance("e0", "a"))
            double.relay.own(instance("e1", "a"))
            context = client_context(double.tls.current())
            url = f"https://127.0.0.1:{leader.desk.port}{PATH}"
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(url, ssl=context, server_hostname=SERVER_NAME) as socket,
            ):
                await socket.send_bytes(msgspec.json.encode(double.relay.present.whole()))
                assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert list(leader.front.rows.values()) == [instance("e0", "a")]

    asyncio.run(story())


def test_two_followers_of_one_name_do_not_take_turns(caplog: pytest.LogCaptureFixture) -> None:
    """The newest was heard and the other one sent away, which came back at once: statuses changed ten times a second."""

    async def story() -> None:
        async with Office("a", grace=0.2) as leader, Office("b") as first, Office("b") as twin:
            leader.relay.lead()
            first.relay.own(instance("e1"))
            twin.relay.own(instance("e2"))
            async with twin.following(leader):
                await rows(leader, instance("e2"))
                async with first.following(leader):

                    async def refused() -> bool:
                        return "two replicas are called b" in caplog.text

                    await eventually(refused, what="the log says so")
                    await rows(leader, instance("e2"))
                    assert all(row.instance == "e2" for row in leader.front.heard if isinstance(row, InstanceObservation))
                await rows(leader, instance("e2"))
            async with first.following(leader):
                await rows(leader, instance("e1"))

    asyncio.run(story())


@pytest.mark.parametrize("who", ["nobody", "an instance"])
def test_only_replicas_are_heard(who: str) -> None:
    async def story() -> None:
        async with Office("a") as leader:
            leader.relay.lead()
            key, request = new_request()
            made = issue_instance(KEYS, request, Id("web"), "e1", NOW)
            assert isinstance(made, Issued)
            pair = MutualTls(chain=made.chain.encode(), key=key.open().encode(), authority=made.authority.encode())
            context = client_context(pair if who == "an instance" else None, KEYS.bundle.encode())
            url = f"https://127.0.0.1:{leader.desk.port}{PATH}"
            async with aiohttp.ClientSession() as session:
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(url, ssl=context, server_hostname=SERVER_NAME)
            assert refused.value.status == 403
            assert leader.front.heard == []

    asyncio.run(story())


def test_a_replica_that_does_not_lead_turns_followers_away() -> None:
    async def story() -> None:
        async with Office("a") as idle, Office("b") as follower:
            context = client_context(follower.tls.current())
            url = f"https://127.0.0.1:{idle.desk.port}{PATH}"
            async with aiohttp.ClientSession() as session:
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(url, ssl=context, server_hostname=SERVER_NAME)
            assert refused.value.status == 503

    asyncio.run(story())


def test_a_refusal_holds_as_long_as_any_replica_holds_it() -> None:
    ledger, front = Ledger(), Front()

    def take(found: list[Row]) -> None:
        for row in found:
            front(row)

    take(ledger.put("a", [item("bad")]))
    take(ledger.put("b", [item("bad")]))
    take(ledger.put("a", [item("bad", ItemState.PROGRAMMED)]))
    assert list(front.rows.values()) == [item("bad")]
    take(ledger.drop("b"))
    assert front.rows == {}


ROWS = st.one_of(
    st.builds(lambda n, s: instance(n, serving=s), st.sampled_from("xyz"), st.booleans()),
    st.builds(item, st.sampled_from("pq"), st.sampled_from(ItemState), st.sampled_from(["aa", "bb"])),
)


@given(st.lists(st.one_of(st.tuples(st.just("see"), ROWS), st.tuples(st.sampled_from(["tell", "lose"]), st.none())), max_size=40))
def test_the_leader_ends_with_what_the_follower_sees(steps: list[tuple[str, Row | None]]) -> None:
    """Whatever is seen, told in batches, or lost and told whole again: in the end the leader has the follower's standing rows, and no other."""
    present, ledger, front, sees = Present("b"), Ledger(), Front(), Front()
    connected = False

    def say(message: Message) -> None:
        heard = msgspec.json.decode(msgspec.json.encode(message), type=Message)
        for row in (ledger.replace if heard.whole else ledger.put)("b", heard.rows):
            front(row)

    for step, row in [*steps, ("tell", None)]:
        if row is not None:
            present.take(row)
            sees(row)
        elif step == "lose":
            connected = False
        elif not connected:
            connected = True
            say(present.whole())
        elif present._news:
            say(asyncio.run(present.changed()))
    assert front.rows == sees.rows
    for row in ledger.drop("b"):
        front(row)
    assert front.rows == {}
