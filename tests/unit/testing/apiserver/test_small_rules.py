"""Patches, selectors, paths, tokens and faults: the pure parts of the fake API server."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.testing.apiserver.access import ANONYMOUS, Access, Denial
from weirkeeper.testing.apiserver.faults import Fault, Faults, Trouble, schedule
from weirkeeper.testing.apiserver.kinds import KINDS, TOKEN_REVIEWS, ServedKind
from weirkeeper.testing.apiserver.listing import Token, token
from weirkeeper.testing.apiserver.patches import PatchFailed, json_patch, merge_patch
from weirkeeper.testing.apiserver.refused import Refused
from weirkeeper.testing.apiserver.request import asked
from weirkeeper.testing.apiserver.selectors import label_requirements

TABLE = {kind.key: kind for kind in KINDS}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches(document, patch, expected):
    assert merge_patch(document, patch) == expected


@given(JSON, JSON)
def test_a_merge_patch_is_idempotent_and_changes_no_argument(document, patch):
    before = repr((document, patch))
    once = merge_patch(document, patch)
    assert merge_patch(once, patch) == once
    assert repr((document, patch)) == before


@pytest.mark.parametrize(
    ("document", "steps", "expected"),
    [  # RFC 6902, appendix A
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        ({"foo": ["bar", "baz"]}, [{"op": "add", "path": "/foo/1", "value": "qux"}], {"foo": ["bar", "qux", "baz"]}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["abc"]}], {"foo": ["bar", ["abc"]]}),
        ({"foo": ["bar", "qux", "baz"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["bar", "baz"]}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        (
            {"foo": ["all", "grass", "eat"]},
            [{"op": "move", "from": "/foo/1", "path": "/foo/2"}],
            {"foo": ["all", "eat", "grass"]},
        ),
        ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
    ],
)
def test_json_patches(document, steps, expected):
    assert json_patch(document, steps) == expected


@pytest.mark.parametrize(
    "step",
    [
        {"op": "remove", "path": "/nope"},
        {"op": "replace", "path": "/nope", "value": 1},
        {"op": "add", "path": "/nope/deep", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/01x", "value": 1},
        {"op": "add", "path": "/text/x", "value": 1},
        {"op": "test", "path": "/text", "value": "other"},
        {"op": "add", "path": "text", "value": 1},
        {"op": "add", "path": "/x"},
        {"op": "burn", "path": "/x"},
    ],
)
def test_json_patches_that_fail(step):
    with pytest.raises(PatchFailed):
        json_patch({"list": [1, 2], "text": "t"}, [step])


@pytest.mark.parametrize("text", ["===", "a in", "a in b", "a==b==c", "a b", "(a)", "a=b,,c"])
def test_label_selectors_that_mean_nothing(text):
    with pytest.raises(Refused) as refused:
        label_requirements(text)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/namespaces", ("list", "namespaces", "", "", "")),
        ("GET", "/api/v1/namespaces/x", ("get", "namespaces", "", "x", "")),
        ("PUT", "/api/v1/namespaces/x/status", ("update", "namespaces", "", "x", "status")),
        ("GET", "/api/v1/namespaces/x/secrets", ("list", "secrets", "x", "", "")),
        ("DELETE", "/api/v1/namespaces/x/secrets/y", ("delete", "secrets", "x", "y", "")),
        ("POST", "/apis/networking.k8s.io/v1/namespaces/x/ingresses", ("create", "ingresses", "x", "", "")),
        (
            "PATCH",
            "/apis/networking.k8s.io/v1/namespaces/x/ingresses/y/status",
            ("patch", "ingresses", "x", "y", "status"),
        ),
        ("DELETE", "/apis/networking.k8s.io/v1/namespaces/x/ingresses", ("deletecollection", "ingresses", "x", "", "")),
        ("GET", "/apis/networking.k8s.io/v1/ingressclasses/z", ("get", "ingressclasses", "", "z", "")),
    ],
)
def test_paths(method, path, expected):
    wish = asked(method, path, {}, TABLE)
    assert (wish.verb, wish.kind.plural, wish.namespace, wish.name, wish.subresource) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/", "/api", "/api/v2/secrets", "/apis/networking.k8s.io/v1beta1/ingresses", "/api/v1/namespaces/x/nodes",
        "/api/v1/namespaces/x/secrets/y/status", "/api/v1/namespaces/x/secrets/y/z/w", "/apis/x/y",
    ],
)  # fmt: skip
def test_paths_that_lead_nowhere(path):
    with pytest.raises(Refused) as refused:
        asked("GET", path, {}, TABLE)
    assert refused.value.code == 404


@given(st.integers(-1, 10**9), st.text())
def test_continue_tokens_come_back_as_they_went(revision, start):
    assert token(Token(rv=revision, start=start).text) == Token(rv=revision, start=start)


@given(st.text())
def test_a_continue_token_of_somebody_else_is_refused(text):
    with pytest.raises(Refused):
        token(f"!{text}")


def test_a_fault_strikes_where_and_as_often_as_it_says():
    faults = Faults()
    watches = (Trouble.STALL,)
    faults.add(Fault(what=Trouble.STALL, plural="ingresses", after=2, times=1))
    assert faults.find(watches, "watch", "services", sent=5) is None
    assert faults.find(watches, "watch", "ingresses", sent=1) is None
    assert faults.find((Trouble.CUT_JSON,), "watch", "ingresses", sent=5) is None
    assert faults.find(watches, "watch", "ingresses", sent=3) is not None
    assert faults.find(watches, "watch", "ingresses", sent=3) is None, "spent"
    third = faults.add(Fault(what=Trouble.TOO_MANY, every=3))
    met = [faults.find((Trouble.TOO_MANY,), "list", "pods") is not None for _ in range(6)]
    assert met == [False, False, True, False, False, True]
    assert faults.find((Trouble.TOO_MANY,), "create", "pods") is None
    faults.lift(third)
    assert faults.find((Trouble.TOO_MANY,), "list", "pods") is None
    assert faults.struck == {Trouble.STALL: 1, Trouble.TOO_MANY: 2}


def test_schedules_are_those_of_their_seed():
    plurals = ("ingresses", "services")
    made = [schedule(random.Random(7), Trouble.STALL, plurals, seconds=60) for _ in range(2)]
    assert made[0] == made[1] != schedule(random.Random(8), Trouble.STALL, plurals, seconds=60)
    for episode in made[0]:
        assert 0 <= episode.begin < episode.end <= 60 * 1.0 + 1
        assert episode.fault.what == Trouble.STALL


def test_denials_and_callers():
    access = Access()
    access.add_token("t", "jo", groups=("g",))
    jo = access.caller("Bearer t")
    assert (jo.name, jo.groups) == ("jo", ("g", "system:authenticated"))
    assert access.caller("") == ANONYMOUS
    assert access.caller("", "from-certificate").name == "from-certificate"
    wish = asked("GET", "/api/v1/namespaces/x/secrets/y", {}, TABLE)
    access.check(jo, wish)
    denial = access.deny(Denial(user="jo", plural="secrets", verbs=("get",), name="y"))
    with pytest.raises(Refused, match='User "jo" cannot get resource "secrets"'):
        access.check(jo, wish)
    access.check(jo, asked("GET", "/api/v1/namespaces/x/secrets/z", {}, TABLE))
    access.check(ANONYMOUS, wish)
    access.allow(denial)
    access.check(jo, wish)
    access.anonymous = False
    with pytest.raises(Refused, match="system:anonymous"):
        access.check(ANONYMOUS, wish)


def test_a_token_for_another_audience_is_no_token_here():
    access = Access()
    access.add_token("t", "pod", audiences=("weirkeeper",), extra={"authentication.kubernetes.io/pod-name": ("p-0",)})
    with pytest.raises(Refused, match="Unauthorized"):
        access.caller("Bearer t")
    status = access.review({"spec": {"token": "t", "audiences": ["weirkeeper", "other"]}})["status"]
    assert (status["authenticated"], status["audiences"]) == (True, ["weirkeeper"])
    assert status["user"]["extra"] == {"authentication.kubernetes.io/pod-name": ["p-0"]}
    assert not access.review({"spec": {"token": "t"}})["status"].get("authenticated")


def test_every_kind_is_there_once():
    assert len(TABLE) == len(KINDS)
    assert not TOKEN_REVIEWS.stored
    assert all(isinstance(kind, ServedKind) and kind.prefix.startswith(b'{"kind":"') for kind in KINDS)
