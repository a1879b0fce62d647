"""An agent's side of a stream, against the control plane's: rounds, claims, answers. And the bytes, against protobuf."""

from pathlib import Path
from typing import Any

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from weirkeeper.distribute import kinds, stream, wire
from weirkeeper.distribute.asking import Asker, Change, answer, response, subscription
from weirkeeper.distribute.events import Acked, Rejected
from weirkeeper.distribute.kinds import BACKEND, LISTENER, LOAD_BALANCER, NEUTRAL, VIRTUAL_HOST
from weirkeeper.distribute.store import Shelf
from weirkeeper.distribute.stream import DeltaStream
from weirkeeper.distribute.subscription import Round, Subscription, answered
from weirkeeper.providers.base import EngineItem
from weirkeeper.providers.journal import Journal

ASKER = Asker("web/1", "haproxy", "2.6.12", ("192.0.2.1", "192.0.2.2"))
FRONT = (LOAD_BALANCER, "web")


def item(text: str, *needs: tuple[str, str]) -> EngineItem:
    return EngineItem(body=text.encode(), version=f"v-{text}", needs=needs)  # type: ignore[arg-type]


class Wire:
    """A control plane's stream and an agent's, joined."""

    def __init__(self, shelf: Shelf, agent: Subscription | None = None) -> None:
        self.agent = agent or Subscription(ASKER)
        self.stream = DeltaStream(shelf, 5)
        self.held: dict[tuple[str, str], bytes] = {}
        self.events: list[Any] = []
        self.said = 0
        for message in self.agent.begun():
            self.stream.receive(wire.request(message), 0)
            self.last = self.rounds()

    def rounds(self) -> list[Round]:
        """What comes of all that is to be said now."""
        found = []
        while (raw := self.stream.next(0)) is not None:
            self.said += 1
            one = self.agent.receive(raw)
            if one is not None:
                found.append(one)
                for key, body in one.changes.items():
                    self.held.pop(key, None)
                    if body is not None:
                        self.held[key] = body
        return found

    def answer(self, found: Round, refused: dict[tuple[str, str], str] | None = None) -> None:
        bad = refused or {}
        self.agent.distrust(bad)
        for kind, nonce, names in found.responses:
            words = {name: bad[kind, name] for name in names if (kind, name) in bad}
            self.events += self.stream.receive(wire.request(answered(kind, nonce, words)), 0)


@pytest.fixture
def shelf() -> Shelf:
    made = Shelf()
    for key, what in {FRONT: item("f"), (BACKEND, "b"): item("b"), (VIRTUAL_HOST, "g|h"): item("h", (BACKEND, "b")), (LISTENER, "80"): item("l")}.items():
        made.put(key, what)
    return made


def test_what_ails_an_engine_is_told_on_the_stream_and_on_the_next_ones(shelf: Shelf) -> None:
    one = Wire(shelf)
    [first] = one.last
    one.answer(first)
    said = wire.request(one.agent.ails("it has ended"))
    assert said.node == wire.Node("web/1", "haproxy 2.6.12", ASKER.addresses, "it has ended")
    assert one.stream.receive(said, 0) == [], "it asks for nothing"
    assert one.rounds() == []
    known = discovery_pb2.DeltaDiscoveryRequest.FromString(one.agent.ails("it hangs"))
    assert known.node.metadata["weirkeeper.trouble"] == "it hangs"
    assert [request.node.trouble for raw in one.agent.begun() if (request := wire.request(raw)).node] == ["it hangs"]
    one.agent.ails("")
    assert [request.node.trouble for raw in one.agent.begun() if (request := wire.request(raw)).node] == [""]


def test_a_control_plane_that_does_not_know_the_youngest_kind_ends_its_rounds(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    older = NEUTRAL[:-1]
    monkeypatch.setattr(stream, "NEUTRAL", older)
    monkeypatch.setattr(kinds, "ORDER", tuple(kind for kind in kinds.ORDER if kind not in NEUTRAL or kind in older))
    one = Wire(shelf)
    [first] = one.last
    assert one.held.keys() == shelf.entries.keys()
    one.answer(first)
    shelf.put((VIRTUAL_HOST, "g|i"), item("i", (BACKEND, "b")))
    [second] = one.rounds()
    assert list(second.changes) == [(VIRTUAL_HOST, "g|i")]


def test_requests_are_what_protobuf_reads() -> None:
    found = discovery_pb2.DeltaDiscoveryRequest.FromString(subscription(BACKEND, {"x": "1"}, ASKER))
    assert (found.type_url, dict(found.initial_resource_versions), found.node.id) == (BACKEND, {"x": "1"}, "web/1")
    assert list(found.node.metadata[wire.ADDRESSES]) == list(ASKER.addresses)
    assert wire.request(subscription(BACKEND, {}, ASKER)).node == wire.Node("web/1", "haproxy 2.6.12", ASKER.addresses)
    refused = discovery_pb2.DeltaDiscoveryRequest.FromString(answer(BACKEND, "7", "no"))
    assert (refused.response_nonce, refused.error_detail.code, refused.error_detail.message) == ("7", 3, "no")
    assert not discovery_pb2.DeltaDiscoveryRequest.FromString(answer(BACKEND, "7")).HasField("error_detail")


def test_responses_of_protobuf_are_read() -> None:
    made = discovery_pb2.DeltaDiscoveryResponse(type_url=BACKEND, nonce="3", system_version_info="8", removed_resources=["gone"])
    one = made.resources.add(name="n", version="v")
    one.resource.type_url, one.resource.value = BACKEND, b"body"
    found = response(made.SerializeToString())
    assert found == (BACKEND, "3", (Change("n", "v", b"body"), Change("gone", "", None)), "8")


def test_everything_comes_in_rounds_that_end_with_all_kinds(shelf: Shelf) -> None:
    wired = Wire(shelf)
    assert wired.held == {FRONT: b"f", (BACKEND, "b"): b"b", (VIRTUAL_HOST, "g|h"): b"h", (LISTENER, "80"): b"l"}
    (first,) = wired.last
    assert set(first.changes) == set(wired.held)
    assert {kind for kind, _, _ in first.responses} == set(NEUTRAL)
    assert not wired.stream.converged()
    wired.answer(first)
    assert wired.stream.converged()


def test_changes_of_one_time_are_one_round_and_nobody_waits_for_an_answer(shelf: Shelf) -> None:
    wired = Wire(shelf)
    shelf.put((BACKEND, "new"), item("n"))
    shelf.put((VIRTUAL_HOST, "g|new"), item("nh", (BACKEND, "new")))
    shelf.put((BACKEND, "b"), None)
    shelf.put((VIRTUAL_HOST, "g|h"), None)
    (found,) = wired.rounds()
    assert dict(found.changes) == {(BACKEND, "new"): b"n", (VIRTUAL_HOST, "g|new"): b"nh", (BACKEND, "b"): None, (VIRTUAL_HOST, "g|h"): None}
    for number in range(20):
        shelf.put((BACKEND, "new"), item(f"n{number}"))
        assert len(wired.rounds()) == 1, "without an answer to any"


def test_what_looked_like_more_and_is_nothing_does_not_leave_a_round_open(shelf: Shelf) -> None:
    wired = Wire(shelf)
    wired.answer(*wired.last)
    shelf.put((BACKEND, "b"), item("b2"))
    shelf.put((VIRTUAL_HOST, "g|h"), item("h2", (BACKEND, "b")))
    shelf.put((VIRTUAL_HOST, "g|h"), item("h", (BACKEND, "b")))
    (found,) = wired.rounds()
    assert dict(found.changes) == {(BACKEND, "b"): b"b2"}


def test_a_new_stream_is_told_what_differs_and_begins_with_one_whole_round(shelf: Shelf) -> None:
    first = Wire(shelf)
    first.answer(*first.last)
    shelf.put((BACKEND, "b"), item("b2"))
    shelf.put((LISTENER, "80"), None)
    again = Wire(shelf, first.agent)
    (found,) = again.last
    assert dict(found.changes) == {FRONT: b"f", (BACKEND, "b"): b"b2", (LISTENER, "80"): None}
    same = Wire(shelf, again.agent)
    (found,) = same.last
    assert dict(found.changes) == {FRONT: b"f"}


def test_a_front_that_is_gone_is_gone_after_a_new_stream_though_it_was_not_claimed(shelf: Shelf) -> None:
    first = Wire(shelf)
    shelf.put(FRONT, None)
    (found,) = Wire(shelf, first.agent).last
    assert dict(found.changes) == {FRONT: None}


def test_a_round_that_was_cut_comes_again(shelf: Shelf) -> None:
    wired = Wire(shelf)
    shelf.put((BACKEND, "b"), None)
    shelf.put((BACKEND, "new"), item("n"))
    raw = wired.stream.next(0)
    assert raw is not None
    cut = discovery_pb2.DeltaDiscoveryResponse.FromString(raw)
    cut.system_version_info = ""
    assert wired.agent.receive(cut.SerializeToString()) is None
    (found,) = Wire(shelf, wired.agent).last
    assert dict(found.changes) == {FRONT: b"f", (BACKEND, "b"): None, (BACKEND, "new"): b"n"}


def test_what_the_engine_refuses_is_tried_alone_and_its_last_good_form_takes_its_place(shelf: Shelf) -> None:
    wired = Wire(shelf)
    wired.answer(*wired.last)
    shelf.put((VIRTUAL_HOST, "g|h"), item("bad", (BACKEND, "b")))
    shelf.put((VIRTUAL_HOST, "g|good"), item("good"))
    for _ in range(4):
        for found in wired.rounds():
            wired.answer(found, {(VIRTUAL_HOST, "g|h"): "no"} if wired.held.get((VIRTUAL_HOST, "g|h")) == b"bad" else None)
    assert wired.held[VIRTUAL_HOST, "g|h"] == b"h"
    assert wired.held[VIRTUAL_HOST, "g|good"] == b"good"
    assert [event.name for event in wired.events if isinstance(event, Rejected)] == ["g|h"]
    assert any(isinstance(event, Acked) and ("g|good", "v-good") in event.versions for event in wired.events)
    assert shelf.refusal((VIRTUAL_HOST, "g|h"), "haproxy 2.6.12") == "g|h: no"


def test_a_refused_host_keeps_the_backend_of_its_older_form(shelf: Shelf) -> None:
    wired = Wire(shelf)
    wired.answer(*wired.last)
    shelf.put((VIRTUAL_HOST, "g|h"), item("bad", (BACKEND, "other")))
    shelf.put((BACKEND, "other"), item("o"))
    shelf.put((BACKEND, "b"), None)
    for _ in range(4):
        for found in wired.rounds():
            wired.answer(found, {(VIRTUAL_HOST, "g|h"): "no"} if wired.held.get((VIRTUAL_HOST, "g|h")) == b"bad" else None)
    assert (wired.held[VIRTUAL_HOST, "g|h"], wired.held[BACKEND, "b"]) == (b"h", b"b")
    shelf.put((VIRTUAL_HOST, "g|h"), item("fixed", (BACKEND, "other")))
    for found in wired.rounds():
        wired.answer(found)
    wired.rounds()
    assert (BACKEND, "b") not in wired.held


def test_a_journal_says_the_newest_word_and_survives_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "j"
    one = Journal(path)
    one.write({FRONT: b"f", (BACKEND, "b"): b"1"}, {FRONT: "v1", (BACKEND, "b"): "v2"})
    one.write({(BACKEND, "b"): b"2", (BACKEND, "c"): b"3"}, {(BACKEND, "b"): "v3"})
    one.write({FRONT: None}, {})
    whole = path.read_bytes()
    assert Journal(path).read() == {(BACKEND, "b"): ("v3", b"2"), (BACKEND, "c"): ("", b"3")}
    assert len(path.read_bytes()) < len(whole)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        found = Journal(path).read()
        assert all(body in {b"f", b"1", b"2", b"3"} for _, body in found.values())
    assert path.stat().st_mode & 0o077 == 0


def test_a_journal_that_grew_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from weirkeeper.providers import journal  # noqa: PLC0415

    monkeypatch.setattr(journal, "SPARE", 1000)
    one = Journal(tmp_path / "j")
    for number in range(200):
        one.write({FRONT: b"x" * 50}, {FRONT: str(number)})
        assert (tmp_path / "j").stat().st_size < 1500
    assert Journal(tmp_path / "j").read()[FRONT].version == "199"
