"""Names that are read: which watches they need, and when one of them is found, absent, or only not known."""

import pytest

from weirkeeper.feeds.base import Cause, Seen
from weirkeeper.feeds.kube.wishes import SECRET, Wishes
from weirkeeper.kube.errors import Forbidden, Unreachable
from weirkeeper.kube.mirror import Absent, Applied, Back, Deleted, Listed, Lost, Unreadable
from weirkeeper.kube.types import Metadata, Secret
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Ref

CONFIG_MAP = ("", "ConfigMap")
NO = Forbidden("not for you", status=403)


def ref(name, kind="Secret", namespace="shop"):
    return Ref(kind=kind, namespace=namespace, name=name)


def there(name):
    return Applied(ref(name), Secret(kind="Secret", metadata=Metadata(name=name, namespace="shop")))


def wish(wishes, *names, now=0.0):
    return wishes.wish(SECRET, frozenset(ref(name) for name in names), now)


def scope(wishes, **fields):
    (found,) = (one for one in wishes.scopes() if all(getattr(one, key) == value for key, value in fields.items()))
    return found


def crowd(wishes, names, now=0.0):
    """A crowd whose first watch is there."""
    wish(wishes, *names, now=now)
    return scope(wishes, type_selector="type=kubernetes.io/tls")


def causes(seen):
    return {one.ref.name: one.cause for one in seen}


def test_one_name_is_one_watch_of_it():
    wishes = Wishes()
    assert wish(wishes, "a") == []
    made = scope(wishes, name="a")
    assert made.field_selector == "metadata.name=a"
    assert wishes.pending == (ref("a"),)


def test_found_and_absent_end_the_waiting_and_deleted_is_absent_at_once():
    wishes = Wishes()
    wish(wishes, "a", "b")
    a, b = scope(wishes, name="a"), scope(wishes, name="b")
    assert wishes.told(a, [there("a"), Listed()], 0.0) == [Seen(ref=ref("a"), object=there("a").object)]
    assert wishes.told(b, [Listed()], 0.0) == [Seen(ref=ref("b"), cause=Cause.NOT_FOUND)]
    assert wishes.pending == ()
    assert wishes.told(a, [Deleted(ref("a"))], 1.0) == [Seen(ref=ref("a"), cause=Cause.NOT_FOUND)]
    assert [one.object is not None for one in wishes.told(b, [there("b")], 2.0)] == [True]


def test_what_a_second_list_lacks_too_goes_ten_seconds_later():
    wishes = Wishes()
    wish(wishes, "a")
    a = scope(wishes, name="a")
    wishes.told(a, [there("a"), Listed()], 0.0)
    assert wishes.told(a, [Absent(ref("a")), Listed()], 5.0) == []
    assert wishes.doubted(14.0) == frozenset()
    assert wishes.doubted(15.0) == {a}
    assert wishes.told(a, [Listed()], 15.0) == [Seen(ref=ref("a"), cause=Cause.NOT_FOUND)]
    assert wishes.doubted(30.0) == frozenset()


def test_what_comes_back_is_doubted_no_longer():
    wishes = Wishes()
    wish(wishes, "a")
    a = scope(wishes, name="a")
    wishes.told(a, [there("a"), Listed()], 0.0)
    wishes.told(a, [Absent(ref("a")), Listed()], 5.0)
    wishes.told(a, [there("a"), Listed()], 6.0)
    assert wishes.doubted(60.0) == frozenset()
    assert wishes.told(a, [Listed()], 60.0) == []


@pytest.mark.parametrize(("error", "said"), [(NO, True), (Unreachable("away"), False)])
def test_a_refusal_or_a_lost_watch_changes_nothing_that_is_known(error, said):
    wishes = Wishes()
    wish(wishes, "a", "b")
    a, b = scope(wishes, name="a"), scope(wishes, name="b")
    wishes.told(a, [there("a"), Listed()], 0.0)
    for one in (a, b):
        assert wishes.told(one, [Lost(error)], 1.0) == []
    assert wishes.pending == (ref("b"),)
    assert set(wishes.refused) == ({ref("a"), ref("b")} if said else set())
    assert wishes.told(b, [Back()], 2.0) == []
    assert wishes.pending == (ref("b"),)
    assert ref("b") not in wishes.refused


def test_a_secret_that_does_not_fit_is_an_answer_and_keeps_its_last_form():
    wishes = Wishes()
    wish(wishes, "a")
    (seen,) = wishes.told(scope(wishes, name="a"), [Unreadable(ref("a"), "data: no"), Listed()], 0.0)
    assert seen.unreadable
    assert seen.problem.reason is Reason.INVALID_OBJECT
    assert wishes.pending == ()


def test_names_that_nobody_reads_any_more_stay_for_a_while_and_then_go():
    wishes = Wishes(linger=60.0)
    wish(wishes, "a")
    first = scope(wishes, name="a")
    wishes.told(first, [there("a"), Listed()], 0.0)
    wish(wishes, now=1.0)
    assert wishes.forget(60.0) == []
    assert wishes.scopes() == {first}
    assert causes(wishes.forget(61.0)) == {"a": Cause.FORGOTTEN}
    assert wishes.scopes() == frozenset()
    wish(wishes, "a", now=62.0)
    assert scope(wishes, name="a") != first, "a watch of its own, which tells everything again"
    assert wishes.pending == (ref("a"),)
    assert wishes.told(first, [Deleted(ref("a"))], 62.0) == [], "what an ended watch still says does not count"


def test_names_that_are_read_again_in_time_were_never_away():
    wishes = Wishes(linger=60.0)
    wish(wishes, "a")
    wishes.told(scope(wishes, name="a"), [there("a"), Listed()], 0.0)
    wish(wishes, now=1.0)
    assert wish(wishes, "a", now=50.0) == []
    assert wishes.forget(200.0) == []
    assert wishes.pending == ()


@pytest.mark.parametrize("name", ["", "UPPER", "a/b", "a b", "-a", "a,b=c", "x" * 254, "é", "a\n"])
def test_names_that_no_object_can_have_are_absent_without_asking(name):
    wishes = Wishes()
    assert causes(wish(wishes, name)) == {name: Cause.NOT_FOUND}
    assert wishes.scopes() == frozenset()
    assert wishes.pending == ()
    assert wish(wishes, name) == []


def test_a_crowd_is_watched_by_type_and_the_other_types_only_where_something_lacks():
    wishes, names = Wishes(crowd=3), ("a", "b", "c", "d")
    tls = crowd(wishes, names)
    assert wishes.scopes() == {tls}
    assert wishes.told(tls, [there(name) for name in names], 0.0)
    assert wishes.told(tls, [there("stranger")], 0.0) == [], "what nobody reads is not kept"
    wishes.told(tls, [Listed()], 0.0)
    assert wishes.scopes() == {tls}
    assert wishes.pending == ()


def test_a_name_of_a_crowd_is_absent_only_when_both_watches_lack_it():
    wishes = Wishes(crowd=3)
    tls = crowd(wishes, ("a", "b", "c", "d"))
    assert causes(wishes.told(tls, [there("a"), there("b"), Listed()], 0.0)) == {"a": Cause.CHANGED, "b": Cause.CHANGED}
    other = scope(wishes, type_selector="type!=kubernetes.io/tls")
    assert causes(wishes.told(other, [there("c")], 0.0)) == {"c": Cause.CHANGED}
    assert causes(wishes.told(other, [Listed()], 0.0)) == {"d": Cause.NOT_FOUND}


def test_a_secret_of_a_crowd_that_is_deleted_goes_once_the_other_watch_lacks_it_too():
    wishes, names = Wishes(crowd=3), ("a", "b", "c", "d")
    tls = crowd(wishes, names)
    wishes.told(tls, [*(there(name) for name in names), Listed()], 0.0)
    assert wishes.told(tls, [Deleted(ref("a"))], 1.0) == []
    other = scope(wishes, type_selector="type!=kubernetes.io/tls")
    assert causes(wishes.told(other, [Listed()], 1.1)) == {"a": Cause.NOT_FOUND}


def test_a_secret_of_a_crowd_that_changes_its_type_is_never_away():
    wishes, names = Wishes(crowd=3), ("a", "b", "c", "d")
    tls = crowd(wishes, names)
    wishes.told(tls, [*(there(name) for name in names if name != "d"), Listed()], 0.0)
    other = scope(wishes, type_selector="type!=kubernetes.io/tls")
    wishes.told(other, [there("d"), Listed()], 0.0)
    assert causes(wishes.told(other, [there("a")], 1.0)) == {"a": Cause.CHANGED}
    assert wishes.told(tls, [Deleted(ref("a"))], 1.1) == []


def test_late_names_are_watched_singly_until_they_are_a_crowd_again():
    wishes = Wishes(crowd=3)
    first = crowd(wishes, ("a", "b", "c", "d"))
    wishes.told(first, [*(there(name) for name in "abcd"), Listed()], 0.0)
    wish(wishes, *"abcdef")
    assert wishes.scopes() == {first, scope(wishes, name="e"), scope(wishes, name="f")}
    wish(wishes, *"abcdefgh")
    (again,) = wishes.scopes()
    assert again != first
    assert wishes.told(again, [*(there(name) for name in "abcdefg"), Listed()], 1.0)
    assert wishes.pending == (ref("h"),)


def test_config_maps_of_a_crowd_are_one_watch_of_the_namespace():
    wishes = Wishes(crowd=1)
    wishes.wish(CONFIG_MAP, frozenset({ref("a", "ConfigMap"), ref("b", "ConfigMap")}), 0.0)
    (made,) = wishes.scopes()
    assert (made.field_selector, made.namespace) == ("", "shop")
    assert causes(wishes.told(made, [Listed()], 0.0)) == {"a": Cause.NOT_FOUND, "b": Cause.NOT_FOUND}


def test_namespaces_and_kinds_are_apart():
    wishes = Wishes(crowd=1)
    wishes.wish(SECRET, frozenset({ref("a"), ref("a", namespace="other")}), 0.0)
    wishes.wish(CONFIG_MAP, frozenset({ref("a", "ConfigMap")}), 0.0)
    assert {(one.kind[1], one.namespace, one.name) for one in wishes.scopes()} == {
        ("Secret", "shop", "a"), ("Secret", "other", "a"), ("ConfigMap", "shop", "a"),
    }  # fmt: skip
    wishes.wish(SECRET, frozenset(), 0.0)
    assert wishes.pending == (ref("a", "ConfigMap"),)


def spread(count):
    return frozenset(ref("pair", namespace=f"team-{number}") for number in range(count))


def one(namespace):
    made = Secret(kind="Secret", metadata=Metadata(name="pair", namespace=namespace))
    return Applied(ref("pair", namespace=namespace), made)


def test_many_names_all_over_the_cluster_are_one_watch_and_what_it_lacks_is_watched_singly():
    wishes = Wishes(everywhere=True, crowd_everywhere=3)
    wishes.wish(SECRET, spread(3), 0.0)
    assert len(wishes.scopes()) == 3
    wishes.wish(SECRET, spread(4), 0.0)
    (wide,) = wishes.scopes()
    assert (wide.namespace, wide.field_selector) == ("", "type=kubernetes.io/tls")
    assert len(wishes.told(wide, [one("team-0"), one("team-1"), one("stranger")], 0.0)) == 2
    assert len(wishes.pending) == 2
    assert wishes.told(wide, [Listed()], 0.0) == []
    assert {at.namespace for at in wishes.scopes()} == {"", "team-2", "team-3"}
    assert len(wishes.told(scope(wishes, namespace="team-2"), [one("team-2"), Listed()], 0.0)) == 1
    assert [seen.cause for seen in wishes.told(scope(wishes, namespace="team-3"), [Listed()], 0.0)] == [Cause.NOT_FOUND]
    assert wishes.pending == ()


def test_what_the_wide_watch_tells_as_deleted_goes_once_its_own_watch_lacks_it_too():
    wishes = Wishes(everywhere=True, crowd_everywhere=1)
    wishes.wish(SECRET, spread(2), 0.0)
    (wide,) = wishes.scopes()
    wishes.told(wide, [one("team-0"), one("team-1"), Listed()], 0.0)
    assert wishes.scopes() == {wide}
    assert wishes.told(wide, [Deleted(ref("pair", namespace="team-0"))], 1.0) == []
    assert [seen.cause for seen in wishes.told(scope(wishes, namespace="team-0"), [Listed()], 1.0)] == [Cause.NOT_FOUND]
    assert len(wishes.told(wide, [one("team-0")], 2.0)) == 1
    assert wishes.scopes() == {wide}


def test_a_server_that_refuses_the_wide_watch_gets_single_ones():
    wishes = Wishes(everywhere=True, crowd_everywhere=3)
    wishes.wish(SECRET, spread(4), 0.0)
    (wide,) = wishes.scopes()
    assert wishes.told(wide, [Lost(NO)], 0.0) == []
    assert {at.namespace for at in wishes.scopes()} == {f"team-{number}" for number in range(4)}
    wishes.wish(SECRET, spread(9), 1.0)
    assert len(wishes.scopes()) == 9


def test_a_wide_watch_that_is_refused_later_changes_nothing():
    wishes = Wishes(everywhere=True, crowd_everywhere=1)
    wishes.wish(SECRET, spread(2), 0.0)
    (wide,) = wishes.scopes()
    wishes.told(wide, [one("team-0"), one("team-1"), Listed()], 0.0)
    assert wishes.told(wide, [Lost(NO)], 1.0) == []
    assert wishes.scopes() == {wide}
    assert len(wishes.refused) == 2


def test_late_names_are_watched_singly_beside_the_wide_watch():
    wishes = Wishes(everywhere=True, crowd_everywhere=3)
    wishes.wish(SECRET, spread(4), 0.0)
    (wide,) = wishes.scopes()
    wishes.told(wide, [*(one(f"team-{number}") for number in range(4)), Listed()], 0.0)
    wishes.wish(SECRET, spread(6), 1.0)
    assert {at.namespace for at in wishes.scopes()} == {"", "team-4", "team-5"}
    assert len(wishes.told(scope(wishes, namespace="team-5"), [one("team-5"), Listed()], 1.0)) == 1
