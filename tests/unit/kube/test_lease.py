"""The core of the election: what a candidate may conclude from what it has seen, and when."""

from datetime import UTC, datetime

import msgspec
import pytest

from weirkeeper.kube.lease import LONGEST, Candidate, LeaseRecord, LeaseTimes, Take, Wait, held, lease_record, released

WALL = datetime(2026, 11, 21, 7, 0, 0, 123456, tzinfo=UTC)
TIMES = LeaseTimes()


def record(holder="other", renewed="a", **fields):
    return LeaseRecord(holder=holder, renewed=renewed, duration=10, **fields)


def candidate():
    return Candidate("me", TIMES)


def test_no_lease_or_a_lease_given_back_is_taken_at_once():
    one = candidate()
    one.saw(None, 5.0)
    assert isinstance(one.next(5.0), Take)
    one.saw(record(holder=""), 6.0)
    assert isinstance(one.next(6.0), Take)


def test_a_held_lease_is_waited_for_from_when_it_was_seen_to_change_whatever_its_clock_says():
    one = candidate()
    one.saw(record(renewed="1999"), 100.0)
    assert one.next(100.0) == Wait(until=110.0, why="other holds the lease")
    one.saw(record(renewed="1999"), 109.0)
    assert one.next(109.9) == Wait(until=110.0, why="other holds the lease")
    assert isinstance(one.next(110.0), Take)
    one.saw(record(renewed="2000"), 110.5)
    assert one.next(111.0) == Wait(until=120.5, why="other holds the lease")


def test_an_edit_by_somebody_else_is_no_sign_of_life():
    one = candidate()
    one.saw(record(resource_version="1"), 100.0)
    one.saw(record(resource_version="2", annotations={"note": "x"}), 109.0)
    assert isinstance(one.next(110.0), Take)


def test_the_longer_of_two_durations_counts():
    one = candidate()
    one.saw(msgspec.structs.replace(record(), duration=30), 0.0)
    assert one.next(20.0).until == 30.0
    one.saw(msgspec.structs.replace(record(renewed="b"), duration=1), 50.0)
    assert one.next(55.0).until == 60.0


@pytest.mark.parametrize("says", [3_600, 2**31 - 1, 10**30])
def test_a_lease_that_somebody_made_endless_is_believed_for_five_minutes(says):
    one = candidate()
    one.saw(lease_record({"spec": {"holderIdentity": "other", "renewTime": "a", "leaseDurationSeconds": says}}), 100.0)
    assert one.next(100.0).until == 100.0 + LONGEST
    assert isinstance(one.next(100.0 + LONGEST), Take)


def test_a_deleted_lease_ends_nobodys_lease():
    one = candidate()
    one.saw(record(), 100.0)
    one.saw(None, 101.0)
    assert isinstance(one.next(109.0), Wait)
    assert isinstance(one.next(110.0), Take)


def test_our_end_counts_from_when_the_write_was_sent():
    one = candidate()
    assert (one.end, one.deadline) == (None, None)
    one.wrote(record(holder="me"), sent=100.0)
    assert (one.end, one.deadline) == (110.0, 107.0)
    one.saw(record(holder="me", renewed="b"), 103.0)  # a write of ours whose answer was lost: not counted
    assert one.end == 110.0
    one.saw(record(holder="other"), 104.0)
    assert one.end is None


def test_a_lease_that_names_us_is_ours_to_take_again():
    one = candidate()
    one.wrote(record(holder="me"), sent=0.0)
    one.gave_up()
    assert one.end is None
    assert isinstance(one.next(1.0), Take)


def test_a_body_keeps_what_others_wrote_and_counts_changes_of_holder():
    lease = {
        "metadata": {"name": "l", "labels": {"a": "b"}, "annotations": {"x": "y"}, "resourceVersion": "5"},
        "spec": {"strategy": "z"},
    }
    first = held(lease, candidate(), WALL, {"relay": "here"})
    assert first["metadata"] == {
        "name": "l",
        "labels": {"a": "b"},
        "annotations": {"x": "y", "relay": "here"},
        "resourceVersion": "5",
    }
    assert first["spec"] == {
        "strategy": "z", "holderIdentity": "me", "leaseDurationSeconds": 10, "renewTime": "2026-11-21T07:00:00.123456Z",
        "acquireTime": "2026-11-21T07:00:00.123456Z", "leaseTransitions": 0,
    }  # fmt: skip
    again = held(first, candidate(), WALL.replace(second=9), {})
    assert (again["spec"]["acquireTime"], again["spec"]["leaseTransitions"]) == ("2026-11-21T07:00:00.123456Z", 0)
    other = held(first, Candidate("you", LeaseTimes(duration=0.5)), WALL, {})
    assert (other["spec"]["leaseTransitions"], other["spec"]["leaseDurationSeconds"]) == (1, 1)
    free = released(first, WALL, {"relay": "here"})
    assert (free["spec"]["holderIdentity"], free["spec"]["leaseDurationSeconds"], free["metadata"]["annotations"]) == (
        "",
        1,
        {"x": "y"},
    )
    assert held(free, Candidate("you", TIMES), WALL, {})["spec"]["leaseTransitions"] == 1


def test_a_lease_that_somebody_gave_the_greatest_count_can_still_be_taken():
    lease = {"metadata": {}, "spec": {"holderIdentity": "", "acquireTime": "a", "leaseTransitions": 2**31 - 1}}
    assert held(lease, candidate(), WALL, {})["spec"]["leaseTransitions"] == 2**31 - 1


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"spec": None, "metadata": None},
        {"spec": {"holderIdentity": None, "leaseDurationSeconds": "x", "leaseTransitions": []}},
    ],
)
def test_an_odd_lease_is_a_free_one(odd):
    assert lease_record(odd) == LeaseRecord()
