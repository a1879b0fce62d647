"""The revision log: whatever happened, every moment of it can be listed and followed again."""

from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.testing.apiserver.kinds import KINDS
from weirkeeper.testing.apiserver.log import Log

SECRETS = next(kind for kind in KINDS if kind.plural == "secrets")
STEP = st.tuples(st.sampled_from("abcd"), st.sampled_from(["put", "put", "drop"]))


def secret(name, number):
    metadata = {"name": name, "namespace": "n", "uid": name, "labels": {"n": str(number)}}
    return {"metadata": metadata, "type": "Opaque"}


def played(steps):
    """A log after some steps, and what was there at each revision."""
    log, there, moments = Log(), {}, {}
    moments[log.revision] = {}
    for number, (name, what) in enumerate(steps):
        if what == "put":
            log.keep(SECRETS, secret(name, number))
            there = there | {name: str(number)}
        elif name in there:
            log.drop(SECRETS, ("n", name))
            there = {key: value for key, value in there.items() if key != name}
        moments[log.revision] = there
    return log, moments


def listed(log, revision):
    return {entry.name: entry.labels["n"] for entry in log.shelf(SECRETS).snapshot(revision)}


@given(st.lists(STEP, max_size=25), st.randoms())
def test_every_moment_can_be_listed_in_any_order(steps, random):
    log, moments = played(steps)
    revisions = list(moments)
    random.shuffle(revisions)
    for revision in revisions:
        assert listed(log, revision) == moments[revision]


@given(st.lists(STEP, max_size=25), st.data())
def test_the_changes_after_a_moment_lead_to_the_present(steps, data):
    log, moments = played(steps)
    begin = data.draw(st.sampled_from(sorted(moments)))
    there = dict(moments[begin])
    shelf = log.shelf(SECRETS)
    last = begin
    for change in shelf.after(shelf.sequence_after(begin)):
        assert change.revision > last
        last = change.revision
        assert (change.previous is None) == (change.what == "ADDED")
        if change.what == "DELETED":
            del there[change.entry.name]
        else:
            there[change.entry.name] = change.entry.labels["n"]
    assert there == moments[log.revision]


@given(st.lists(STEP, max_size=25), st.lists(STEP, max_size=8), st.data())
def test_compaction_forgets_the_past_alone_and_going_back_forgets_the_rest(steps, more, data):
    log, moments = played(steps)
    at = data.draw(st.sampled_from(sorted(moments)))
    listed(log, log.revision)
    log.compact(at)
    assert {revision: listed(log, revision) for revision in moments if revision >= at} == {
        revision: there for revision, there in moments.items() if revision >= at
    }
    log.go_back(at)
    assert (log.revision, listed(log, at)) == (at, moments[at])
    log.keep(SECRETS, secret("z", 99))
    assert listed(log, log.revision) == moments[at] | {"z": "99"}


def test_a_change_that_a_watch_has_yet_to_send_survives_compaction():
    log, _ = played([("a", "put"), ("b", "put")])
    shelf = log.shelf(SECRETS)
    shelf.readers["watch"] = shelf.first
    log.compact(log.revision)
    assert [change.entry.name for change in shelf.after(shelf.first)] == ["a", "b"]
    del shelf.readers["watch"]
    log.compact(log.revision)
    assert shelf.after(0) == []


def test_objects_are_kept_as_bytes_in_the_order_of_the_real_server():
    log = Log(revision=6)
    entry = log.keep(SECRETS, {"type": "Opaque"} | secret("a", 1))
    assert entry.body.startswith(b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"')
    assert b'"resourceVersion":"7"' in entry.body
    assert entry.selectable["type"] == "Opaque"
    gone = log.drop(SECRETS, ("n", "a"))
    assert gone.revision == 8
    assert gone.object["metadata"]["resourceVersion"] == "8"
