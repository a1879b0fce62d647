"""Bounds and memories: chunks, the log's length, derived names, shared blame, what a lost stream leaves, and who needs what after a refusal."""

import sys
from pathlib import Path

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from weirkeeper.distribute import blame, secrets, store, stream, wire
from weirkeeper.distribute.events import Rejected
from weirkeeper.distribute.kinds import CDS, EDS, LDS, SDS, SERVER_NAME, SRDS
from weirkeeper.distribute.store import Shelf
from weirkeeper.distribute.stream import DeltaStream

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from dict_engine import BAD, Engine, item, shelf_of


def heard(raw: bytes | None) -> discovery_pb2.DeltaDiscoveryResponse:
    assert raw is not None
    return discovery_pb2.DeltaDiscoveryResponse.FromString(raw)


def opened(shelf: Shelf, kind: str, held: dict[str, str] | None = None, **more: object) -> DeltaStream:
    made = DeltaStream(shelf, 5, **more)
    made.receive(wire.Request(kind=kind, node=wire.Node("web/1", "e"), held=held or {}), 0)
    return made


def test_a_large_answer_comes_in_chunks_and_whole() -> None:
    shelf = shelf_of({(CDS, f"c{i}"): item("1", body=b"x" * 100_000) for i in range(50)})
    found, sizes = set(), []
    one = opened(shelf, CDS)
    while (raw := one.next(0)) is not None:
        sizes.append(len(raw))
        names = {resource.name for resource in heard(raw).resources}
        assert not names & found
        found |= names
    assert len(found) == 50
    assert len(sizes) == 3
    assert max(sizes) <= stream.CHUNK + 101_000


def test_unanswered_responses_are_few() -> None:
    shelf = shelf_of({(LDS, "first"): item("1")})
    one = opened(shelf, LDS)
    for number in range(20):
        shelf.put((LDS, "first"), item(f"v{number}"))
        one.next(0)
    assert len(one.lanes[LDS].outstanding) == stream.WINDOW
    first = next(iter(one.lanes[LDS].outstanding))
    one.receive(wire.Request(kind=LDS, nonce=first), 0)
    assert [resource.version for resource in heard(one.next(0)).resources] == ["v19"], "only the newest follows"


def test_a_stream_that_slept_through_the_log_finds_everything_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "TOMBSTONES", 10)
    shelf = shelf_of({(CDS, f"c{i}"): item("1") for i in range(40)} | {(LDS, "l"): item("1"), (LDS, "gone"): item("1")})
    one = opened(shelf, LDS)
    nonce = heard(one.next(0)).nonce
    one.receive(wire.Request(kind=LDS, nonce=nonce), 0)
    before = shelf.number
    shelf.put((LDS, "l"), item("2"))
    shelf.put((LDS, "gone"), None)
    for number in range(30):
        shelf.put((CDS, f"c{number}"), None)
    assert shelf.changed_since(before) is None, "the log was cut"
    assert shelf.changed_since(shelf.number) == []
    found = heard(one.next(0))
    assert [(resource.name, resource.version) for resource in found.resources] == [("l", "2")]
    assert list(found.removed_resources) == ["gone"]


def test_derived_names_are_capped_and_the_oldest_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "MOST_DERIVED", 10)
    monkeypatch.setattr(secrets, "TAKEN_BACK", 4)
    shelf = shelf_of({(SDS, "cert/w"): item("1", serves=("*.wild.example", "own.example"))})
    one = DeltaStream(shelf, 5)
    removed: list[str] = []
    for name in ["own.example", *(f"n{i}.wild.example" for i in range(30))]:
        one.receive(wire.Request(kind=SDS, node=wire.Node("web/1", "e"), subscribe=(name,)), 0)
        while (raw := one.next(0)) is not None:
            found = heard(raw)
            removed += found.removed_resources
            one.receive(wire.Request(kind=SDS, nonce=found.nonce), 0)
    assert len(one.lanes[SDS].names) <= 11
    assert removed[:4] == [f"n{i}.wild.example" for i in range(4)]
    assert "own.example" not in removed
    one.receive(wire.Request(kind=SDS, subscribe=("n0.wild.example",)), 0)
    assert [resource.name for resource in heard(one.next(0)).resources] == ["n0.wild.example"]


def test_what_is_bound_to_a_name_goes_before_what_merely_holds_it_and_a_new_binding_is_sent() -> None:
    shelf = shelf_of(
        {
            (SDS, "cert/a"): item("1", serves=("shop.example",)),
            (SDS, "cert/b"): item("2"),
            (SERVER_NAME, "*.example"): item("w", body=b"cert/b"),
        }
    )
    assert [shelf.secret(name) for name in ("shop.example", "other.example", "x.y.example")] == [
        "cert/a",
        "cert/b",
        None,
    ]
    one = DeltaStream(shelf, 5)
    one.receive(wire.Request(kind=SDS, node=wire.Node("web/1", "e"), subscribe=("Shop.example",)), 0)
    found = heard(one.next(0))
    assert [resource.name for resource in found.resources] == ["Shop.example"]
    one.receive(wire.Request(kind=SDS, nonce=found.nonce), 0)
    shelf.put((SERVER_NAME, "shop.example"), item("2", body=b"cert/b"))
    assert shelf.secret("SHOP.example") == "cert/b"
    found = heard(one.next(0))
    assert [resource.name for resource in found.resources] == ["Shop.example"]
    assert not one.has((SERVER_NAME, "shop.example"), "2")
    told = one.receive(wire.Request(kind=SDS, nonce=found.nonce), 0)
    assert one.has((SERVER_NAME, "shop.example"), "2")
    assert "shop.example" in {name for event in told if event.kind == SERVER_NAME for name, _ in event.versions}
    shelf.put((SDS, "cert/b"), None)
    assert shelf.secret("shop.example") == "cert/a"
    shelf.put((SERVER_NAME, "shop.example"), None)
    assert shelf.secret("shop.example") == "cert/a"


def test_rivals_are_the_other_known_names_of_a_message() -> None:
    message = "scope key conflict found, first scope is 'web|a.example', second scope is 'web|*'. n1: not us"
    known = {"web|a.example": None, "web|*": None, "example": None, "n1": None}
    assert blame.rivals(message, "web|*", known) == {"web|a.example", "n1"}


@pytest.mark.parametrize("end", ["changes", "goes"])
def test_what_is_refused_only_beside_another_is_tried_again_when_that_one(end: str) -> None:
    shelf = shelf_of({(SRDS, "a"): item("1"), (SRDS, "other"): item("1")})
    one = opened(shelf, SRDS)
    one.receive(wire.Request(kind=SRDS, nonce=heard(one.next(0)).nonce), 0)
    shelf.put((SRDS, "b"), item("1"))
    refused = heard(one.next(0))
    assert [resource.name for resource in refused.resources] == ["b"]
    one.receive(wire.Request(kind=SRDS, nonce=refused.nonce, error="first scope is 'a', second scope is 'b'"), 0)
    one.receive(wire.Request(kind=SRDS, nonce=heard(one.next(0)).nonce), 0)
    assert one.next(0) is None
    shelf.put((SRDS, "other"), item("2"))
    assert [resource.name for resource in heard(one.next(0)).resources] == ["other"], "nobody blamed that one"
    shelf.put((SRDS, "a"), item("2") if end == "changes" else None)
    assert "b" in [resource.name for resource in heard(one.next(0)).resources]


def test_what_a_lost_stream_sent_and_nobody_claims_is_sent_again_or_removed() -> None:
    shelf = shelf_of({(SRDS, "sure"): item("1"), (SRDS, "stays"): item("1"), (SRDS, "goes"): item("1")})
    lost = opened(shelf, SRDS, {"sure": "1"})
    assert {resource.name for resource in heard(lost.next(0)).resources} == {"stays", "goes"}
    assert lost.doubts() == {SRDS: {"stays", "goes"}}
    shelf.put((SRDS, "goes"), None)
    back = opened(shelf, SRDS, {"sure": "1"}, doubts=lost.doubts())
    found = heard(back.next(0))
    assert [resource.name for resource in found.resources] == ["stays"]
    assert list(found.removed_resources) == ["goes"]
    assert back.doubts() == {SRDS: {"stays", "goes"}}, "until it is answered"
    back.receive(wire.Request(kind=SRDS, nonce=found.nonce), 0)
    assert back.doubts() == {}


def scene(*hosts: str) -> tuple[Shelf, Engine]:
    """A listener, clusters c1 and c2 with their assignments, and hosts on c1."""
    shelf = Shelf()
    engine = Engine(shelf, drain=5)
    items = {(LDS, "l"): item("1")}
    for name in ("c1", "c2"):
        items |= {(CDS, name): item("1"), (EDS, name): item("1")}
    items |= {(SRDS, host): item("1", (CDS, "c1")) for host in hosts}
    for key, value in items.items():
        wish(shelf, engine, key, value)
    engine.settle()
    return shelf, engine


def wish(shelf: Shelf, engine: Engine, key: tuple[str, str], value: object) -> None:
    if value is not None:
        engine.know(*key, value)
    shelf.put(key, value)


def test_a_scope_that_another_needs_comes_before_it_and_goes_after_it() -> None:
    shelf = shelf_of({(SRDS, "h"): item("1")})
    one = opened(shelf, SRDS)

    def exchange() -> tuple[list[str], list[str]]:
        found = heard(one.next(0))
        one.receive(wire.Request(kind=SRDS, nonce=found.nonce), 0)
        return [resource.name for resource in found.resources], list(found.removed_resources)

    assert exchange() == (["h"], [])
    shelf.put((SRDS, "h"), item("2", (SRDS, "h|1")))
    shelf.put((SRDS, "h|1"), item("1"))
    assert exchange() == (["h|1"], [])
    assert exchange() == (["h"], [])
    shelf.put((SRDS, "h|1"), None)
    shelf.put((SRDS, "h"), item("3"))
    assert exchange() == (["h"], [])
    assert exchange() == ([], ["h|1"])
    assert one.next(0) is None


def test_a_cluster_that_only_a_refused_version_needed_goes_after_the_drain_time() -> None:
    shelf, engine = scene("h")
    wish(shelf, engine, (SRDS, "h"), item("2", (CDS, "c2"), body=BAD))
    engine.settle()
    assert engine.held[SRDS]["h"].needs == ((CDS, "c1"),)
    wish(shelf, engine, (CDS, "c2"), None)
    engine.settle()
    assert "c2" in engine.held[CDS], "Envoy may still hold what it refused, until the old version is acknowledged again"
    wish(shelf, engine, (SRDS, "h"), item("1", (CDS, "c1")))
    engine.settle()
    engine.now = 100
    engine.settle()
    assert set(engine.held[CDS]) == {"c1"}


def test_a_cluster_stays_while_an_unanswered_version_may_need_it() -> None:
    shelf, engine = scene("h")
    wish(shelf, engine, (SRDS, "h"), item("2", (CDS, "c2")))
    assert engine.speak()
    wish(shelf, engine, (SRDS, "h"), item("3", (CDS, "c1")))
    wish(shelf, engine, (CDS, "c2"), None)
    assert engine.speak()
    engine.now = 100
    engine.speak()
    assert engine.stream.wake_at() is None, "the first answer is still open: the drain time has not begun"
    engine.settle()
    assert "c2" in engine.held[CDS]
    engine.now = 200
    engine.settle()
    assert set(engine.held[CDS]) == {"c1"}


def test_a_cluster_that_comes_back_while_it_goes_is_waited_for() -> None:
    """What the engine acknowledged before it was told to forget it says nothing of what comes after."""
    shelf, engine = scene("h")
    wish(shelf, engine, (CDS, "c2"), None)
    engine.settle()
    engine.now = 100
    assert engine.speak(), "the drain time is over: it goes, and the engine has not answered yet"
    wish(shelf, engine, (CDS, "c2"), item("1"))
    wish(shelf, engine, (SRDS, "h"), item("2", (CDS, "c2")))
    while engine.speak():
        pass
    engine.settle()
    assert engine.served["h"].needs == ((CDS, "c2"),)
    assert set(engine.held[CDS]) == {"c1", "c2"}


def silent() -> tuple[Shelf, DeltaStream, str]:
    """A stream whose engine has read two new clusters, asked for the assignment of one, and says nothing of the clusters."""
    shelf = shelf_of({(CDS, name): item("1", (EDS, name)) for name in ("good", "bad")})
    shelf.put((EDS, "good"), item("1"))
    one = opened(shelf, CDS)
    first = heard(one.next(0)).nonce
    one.receive(wire.Request(kind=EDS, subscribe=("good",)), 0)
    one.receive(wire.Request(kind=EDS, nonce=heard(one.next(0)).nonce), 0)
    return shelf, one, first


def test_a_cluster_whose_refusal_is_never_heard_is_taken_back_and_tried_alone() -> None:
    shelf, one, first = silent()
    assert one.next(1.9) is None
    assert one.wake_at() == 2.0
    taken = heard(one.next(2.0))
    assert (list(taken.removed_resources), list(taken.resources)) == (["bad"], [])
    alone = heard(one.next(2.0))
    assert [resource.name for resource in alone.resources] == ["bad"]
    assert one.next(2.0) is None
    one.receive(wire.Request(kind=CDS, nonce=first, error="bad: no"), 2)
    one.receive(wire.Request(kind=CDS, nonce=taken.nonce), 2)
    found = one.receive(wire.Request(kind=CDS, nonce=alone.nonce, error="bad: no"), 2)
    assert [(event.name, event.message) for event in found if isinstance(event, Rejected)] == [
        ("bad", "bad: no")
    ]
    assert shelf.refusal((CDS, "bad"), "e") == "bad: no"
    again = heard(one.next(2))
    assert [resource.name for resource in again.resources] == ["good"], "it was in a refused response"
    one.receive(wire.Request(kind=CDS, nonce=again.nonce), 2)
    assert one.has((CDS, "good"), "1")


def test_an_engine_that_has_answered_nothing_is_slow_and_not_silent() -> None:
    shelf = shelf_of({(CDS, "c"): item("1", (EDS, "c"))})
    one = opened(shelf, CDS)
    one.next(0)
    assert one.next(60) is None
    assert one.wake_at() is None


def test_a_cluster_whose_assignment_was_asked_for_is_cold_and_not_suspected() -> None:
    _, one, _ = silent()
    one.receive(wire.Request(kind=EDS, subscribe=("bad",)), 1)
    while (raw := one.next(1)) is not None:
        assert heard(raw).type_url == EDS
    assert one.next(60) is None


def test_a_refused_listener_is_tried_again_and_the_scopes_follow_it() -> None:
    shelf = shelf_of({(LDS, "l"): item("1"), (SRDS, "h"): item("1")})
    one = opened(shelf, LDS)
    refused = heard(one.next(0))
    one.receive(wire.Request(kind=SRDS), 0)
    one.receive(wire.Request(kind=SRDS, nonce=heard(one.next(0)).nonce), 0)
    one.receive(wire.Request(kind=LDS, nonce=refused.nonce, error="cannot bind"), 0)
    taken = heard(one.next(0))
    assert list(taken.removed_resources) == ["l"]
    one.receive(wire.Request(kind=LDS, nonce=taken.nonce), 0)
    assert one.next(4.9) is None
    assert one.wake_at() == stream.LISTENER_RETRY
    again = heard(one.next(5.0))
    assert [resource.name for resource in again.resources] == ["l"]
    assert [resource.name for resource in heard(one.next(5.0)).resources] == ["h"]
    one.receive(wire.Request(kind=LDS, nonce=again.nonce), 5)
    shelf.put((LDS, "l"), item("2"))
    assert heard(one.next(5)).type_url == LDS
    assert one.next(5) is None, "a listener that is held shares its scopes with the next"
