"""Addresses follow answers: an instance that is back within the grace time has never been away."""

from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.distribute import wire
from weirkeeper.distribute.door import host_of
from weirkeeper.distribute.presence import InstanceKey, Presence
from weirkeeper.distribute.service import addresses_of, instance_of
from weirkeeper.model.text import Id, IpAddress

ONE = InstanceKey(Id("web"), "pod-1")
HERE, THERE = (IpAddress("192.0.2.1"),), (IpAddress("192.0.2.2"),)


def test_it_is_news_once_and_when_its_addresses_change() -> None:
    presence = Presence(5)
    presence.came(ONE)
    assert presence.serving == {}
    assert presence.serves(ONE, HERE)
    assert not presence.serves(ONE, HERE)
    assert presence.serves(ONE, THERE)


def test_it_is_gone_after_the_grace_time_and_named_once() -> None:
    presence = Presence(5)
    presence.came(ONE)
    presence.serves(ONE, HERE)
    presence.went(ONE, 100)
    assert presence.wake_at() == 105
    assert presence.gone(104.9) == []
    assert presence.gone(105) == [ONE]
    assert presence.gone(200) == []
    presence.came(ONE)
    assert presence.serves(ONE, HERE), "back after its time, it is news"


def test_one_that_is_back_in_time_stays_also_before_it_has_answered() -> None:
    presence = Presence(5)
    presence.came(ONE)
    presence.serves(ONE, HERE)
    presence.went(ONE, 100)
    presence.came(ONE)
    assert presence.wake_at() is None
    assert presence.gone(1000) == []
    presence.went(ONE, 1000)
    assert presence.gone(1005) == [ONE]


def test_one_that_never_answered_leaves_without_a_word() -> None:
    presence = Presence(5)
    presence.came(ONE)
    presence.went(ONE, 100)
    assert presence.wake_at() is None


def test_one_that_ails_is_counted_on_for_the_grace_time_and_again_when_it_is_well() -> None:
    presence = Presence(5)
    presence.came(ONE)
    presence.serves(ONE, HERE)
    assert presence.ails(ONE, "it hangs", 100)
    assert not presence.ails(ONE, "it hangs", 101)
    assert presence.standing(ONE) == (HERE, "it hangs")
    assert presence.ails(ONE, "it has ended", 104), "other words are news, and win no time"
    assert presence.wake_at() == 105
    assert presence.gone(105) == [ONE]
    assert presence.standing(ONE) == (None, "it has ended")
    assert presence.wake_at() is None
    assert presence.ails(ONE, "", 106)
    assert not presence.ails(ONE, "", 107)
    assert presence.standing(ONE) == (HERE, "")


def test_of_one_that_ailed_and_left_nothing_is_known() -> None:
    presence = Presence(5)
    presence.came(ONE)
    assert presence.ails(ONE, "it hangs", 100), "be it serving or not"
    presence.went(ONE, 101)
    assert presence.gone(105) == [ONE]
    assert presence.gone(106) == [ONE]
    assert presence.standing(ONE) == (None, "")


@given(st.lists(st.tuples(st.sampled_from("csw"), st.floats(0, 3)), max_size=40))
def test_nobody_is_gone_while_a_stream_is_there_nor_before_the_time(steps: list[tuple[str, float]]) -> None:
    presence, now, streams, last = Presence(5), 0.0, 0, 0.0
    for step, passed in steps:
        now += passed
        if presence.gone(now):
            assert streams == 0
            assert now >= last + 5
        if step == "c":
            presence.came(ONE)
            streams += 1
        elif step == "s" and streams:
            presence.serves(ONE, HERE)
        elif step == "w" and streams:
            presence.went(ONE, now)
            streams, last = streams - 1, now


def test_addresses_are_those_that_the_node_lists_else_where_it_came_from() -> None:
    assert addresses_of(wire.Node(addresses=("192.0.2.1", "nonsense", "192.0.2.1", "2001:db8::1")), "10.0.0.1") == (
        "192.0.2.1",
        "2001:db8::1",
    )
    assert addresses_of(wire.Node(), "10.0.0.1") == ("10.0.0.1",)
    assert addresses_of(wire.Node(), "") == ()


def test_the_peer_is_read_from_its_name() -> None:
    assert host_of("ipv4:192.0.2.1:4711") == "192.0.2.1"
    assert host_of("ipv6:%5B2001:db8::1%5D:4711") == "2001:db8::1"
    assert host_of("unix:") == ""


def test_an_instance_cannot_forge_a_line_with_its_name() -> None:
    assert instance_of("web/pod\n1") == "pod1"
    assert instance_of("ingress/public/pod-1") == "pod-1"


def test_the_metadata_of_a_real_node_is_read() -> None:
    request = discovery_pb2.DeltaDiscoveryRequest(type_url="t")
    request.node.id, request.node.user_agent_name = "web/pod-1", "envoy"
    request.node.metadata.update({"a": {"weirkeeper.addresses": ["9.9.9.9"]}, "weirkeeper.addresses": ["192.0.2.1", "::1", 7]})
    node = wire.request(request.SerializeToString()).node
    assert node is not None
    assert node.addresses == ("192.0.2.1", "::1", "")
    request.node.metadata.update({"weirkeeper.addresses": "no list"})
    node = wire.request(request.SerializeToString()).node
    assert node is not None
    assert node.addresses == ()
