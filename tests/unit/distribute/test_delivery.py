"""Wire format, identity, blame, certificates by SNI, late removal, quarantine over streams, and plans."""

import sys
from pathlib import Path

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from weirkeeper.distribute import blame, wire
from weirkeeper.distribute.events import Rejected
from weirkeeper.distribute.identity import Stranger, load_balancer_of, node_id, subject
from weirkeeper.distribute.kinds import CDS, EDS, LDS, SDS, SRDS
from weirkeeper.distribute.lane import Row
from weirkeeper.distribute.store import Shelf
from weirkeeper.distribute.stream import DeltaStream
from weirkeeper.providers.base import ItemKey
from weirkeeper.providers.plan import Limits, applied, plan

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))
from dict_engine import BAD, LB, Engine, item, shelf_of


def request() -> discovery_pb2.DeltaDiscoveryRequest:
    m = discovery_pb2.DeltaDiscoveryRequest(
        type_url=SDS, response_nonce="7", resource_names_subscribe=["a", "b"], resource_names_unsubscribe=["c"]
    )
    m.node.id, m.node.user_agent_name = "web/1", "envoy"
    m.node.user_agent_build_version.version.major_number = 1
    m.node.user_agent_build_version.version.minor_number = 40
    m.initial_resource_versions["x"] = "1"
    m.error_detail.code, m.error_detail.message = 13, "no"
    return m


def test_a_request_is_decoded() -> None:
    found = wire.request(request().SerializeToString())
    assert (found.kind, found.nonce, found.error, found.held) == (SDS, "7", "no", {"x": "1"})
    assert (found.subscribe, found.unsubscribe) == (("a", "b"), ("c",))
    assert found.node == wire.Node("web/1", "envoy 1.40.0")


def test_a_request_cut_anywhere_is_malformed_or_shorter_but_never_a_crash() -> None:
    raw = request().SerializeToString()
    for end in range(len(raw)):
        try:
            wire.request(raw[:end])
        except wire.Malformed:
            continue


def test_a_name_that_is_no_utf8_is_left_out_and_the_rest_is_heard() -> None:
    raw = wire.field(2, SDS.encode()) + wire.field(3, b"\xff\xfe") + wire.field(3, b"good")
    assert wire.request(raw).subscribe == ("good",)


def test_a_response_is_what_protobuf_reads() -> None:
    raw = wire.response(CDS, "9", [wire.resource(CDS, "n", "v", b"body")], ["gone"])
    found = discovery_pb2.DeltaDiscoveryResponse.FromString(raw)
    assert (found.type_url, found.nonce, list(found.removed_resources)) == (CDS, "9", ["gone"])
    assert (found.resources[0].name, found.resources[0].version, found.resources[0].resource.value) == (
        "n",
        "v",
        b"body",
    )


@pytest.mark.parametrize("names", [None, ["weirkeeper:load-balancer/shop%2Fweb"], ["DNS", subject("shop/web")]])
def test_an_instance_may_ask_for_what_its_certificate_names(names: list[str] | None) -> None:
    assert load_balancer_of(node_id("shop/web", "pod-1"), names) == "shop/web"


@pytest.mark.parametrize(
    ("node", "names"), [("a/1", []), ("a/1", [subject("b")]), ("a", None), ("/1", None), ("a/", None), ("a b/1", None)]
)
def test_strangers_are_refused_with_a_reason(node: str, names: list[str] | None) -> None:
    found = load_balancer_of(node, names)
    assert isinstance(found, Stranger)
    assert found.why


def test_names_are_found_as_whole_words() -> None:
    assert blame.names("listener(s) n1: bad", "n1")
    assert blame.names("first scope is 'n1'.", "n1")
    assert not blame.names("n10: bad", "n1")


def test_suspects_shrink() -> None:
    rows = [Row(f"n{i}", f"n{i}", None) for i in range(9)]
    assert [len(g) for g in blame.suspects(rows, "who knows")] == [5, 4]
    assert [len(g) for g in blame.suspects(rows, "n3 is bad")] == [1, 8]


def secrets(shelf: Shelf, *names: str) -> tuple[DeltaStream, dict[str, str | None]]:
    stream = DeltaStream(shelf, 5)
    stream.receive(wire.Request(kind=SDS, node=wire.Node("web/1", "e"), subscribe=names), 0)
    return stream, said(stream)


def said(stream: DeltaStream) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    while (raw := stream.next(0)) is not None:
        m = discovery_pb2.DeltaDiscoveryResponse.FromString(raw)
        found |= {r.name: r.version for r in m.resources} | dict.fromkeys(m.removed_resources)
        stream.receive(wire.Request(kind=m.type_url, nonce=m.nonce), 0)
    return found


def test_every_name_is_answered_and_a_rotation_reaches_all_aliases() -> None:
    shelf = shelf_of(
        {(SDS, "cert/a"): item("1", serves=("a.example",)), (SDS, "cert/w"): item("2", serves=("*.example",))}
    )
    stream, first = secrets(shelf, "a.example", "A.Example", "b.example", "x.y.example", "cert/w", "cert/none")
    assert first == {
        "a.example": "1",
        "A.Example": "1",
        "b.example": "2",
        "x.y.example": None,
        "cert/w": "2",
        "cert/none": None,
    }
    shelf.put((SDS, "cert/w"), item("3", serves=("*.example",)))
    assert said(stream) == {"b.example": "3", "cert/w": "3"}
    shelf.put((SDS, "cert/b"), item("4", serves=("b.example",)))
    assert said(stream) == {"b.example": "4"}
    shelf.put((SDS, "cert/b"), None)
    assert said(stream) == {"b.example": "3"}
    shelf.put((SDS, "cert/d"), item("5", default=True))
    assert said(stream) == {"x.y.example": "5"}


def test_a_cluster_goes_after_its_last_scope_and_the_drain_time() -> None:
    shelf = Shelf()
    engine = Engine(shelf, drain=5)
    for key, value in {
        (LDS, "l"): item("1"),
        (SRDS, "h"): item("1", (CDS, "c")),
        (CDS, "c"): item("1"),
        (EDS, "c"): item("1"),
    }.items():
        engine.know(*key, value)
        shelf.put(key, value)
    engine.settle()
    shelf.put((CDS, "c"), None)
    for engine.now in (50, 100):
        engine.settle()
    assert set(engine.held[CDS]) == {"c"}, "the scope still needs it"
    shelf.put((SRDS, "h"), None)
    engine.settle()
    assert not engine.held[SRDS]
    assert set(engine.held[CDS]) == {"c"}
    assert engine.stream.wake_at() == 105
    engine.now = 104.9
    engine.settle()
    assert set(engine.held[CDS]) == {"c"}
    engine.now = 105
    engine.settle()
    assert not engine.held[CDS]


def test_what_one_engine_refuses_is_not_sent_to_its_like_and_is_when_it_changes() -> None:
    shelf = Shelf()
    one = Engine(shelf)
    items = {(LDS, "l"): item("1"), **{(CDS, f"c{i}"): item("1") for i in range(100)}}
    items[CDS, "c42"] = item("9", body=BAD)
    for key, value in items.items():
        one.know(*key, value)
        shelf.put(key, value)
    one.settle()
    assert set(one.held[CDS]) == {f"c{i}" for i in range(100)} - {"c42"}
    assert [e.name for e in one.events if isinstance(e, Rejected)] == ["c42"]
    two = Engine(shelf)
    two.versions = one.versions
    two.settle()
    assert not [e for e in two.events if isinstance(e, Rejected)]
    shelf.put((CDS, "c42"), item("10"))
    for engine in (one, two):
        engine.know(CDS, "c42", item("10"))
        engine.settle()
        assert engine.held[CDS]["c42"].version == "10"


def test_a_change_looks_at_what_changed_only() -> None:
    shelf = shelf_of({(CDS, f"c{i}"): item("1") for i in range(1000)})
    number = shelf.number
    shelf.put((CDS, "c7"), item("2"))
    assert shelf.changed_since(number) == [(CDS, "c7")]
    assert not shelf.put((CDS, "c7"), item("2"))
    assert shelf.changed_since(shelf.number) == []


def test_a_plan_leads_from_before_to_after_and_refuses_beyond_its_limits() -> None:
    before = {ItemKey(LB, CDS, n): item("1") for n in "abc"}
    after = {ItemKey(LB, CDS, n): item(v) for n, v in (("b", "1"), ("c", "2"), ("d", "1"))}
    found = plan(before, after, Limits(removed=0))
    assert [(c.what, c.name) for c in found.changes] == [("removed", "a"), ("changed", "c"), ("added", "d")]
    assert applied(before, after, found) == after
    assert found.counts() == {"Cluster": {"added": 1, "changed": 1, "removed": 1}}
    assert found.refusals == ("1 items would be removed, at most 0 may be",)
    assert "- Cluster a" in found.text()
    assert not plan(after, after)
