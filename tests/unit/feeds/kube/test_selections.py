"""Objects that several watches have: none goes while one of them has it."""

from weirkeeper.feeds.base import Cause, Seen
from weirkeeper.feeds.kube.selections import Selections
from weirkeeper.kube.mirror import Absent, Applied, Deleted, Listed
from weirkeeper.kube.workloads import Pod, PodMetadata
from weirkeeper.model.ids import Ref


def ref(name):
    return Ref(kind="Pod", namespace="shop", name=name)


def there(name):
    return Applied(ref(name), Pod(kind="Pod", metadata=PodMetadata(name=name, namespace="shop")))


def test_what_leaves_one_watch_stays_while_another_one_has_it():
    selections = Selections()
    assert selections.told("one", [there("a"), there("b"), Listed()]) == [there("a"), there("b"), Listed()]
    assert selections.told("two", [there("a"), Listed()]) == [there("a"), Listed()]
    assert selections.told("one", [Deleted(ref("a")), Deleted(ref("b"))]) == [Deleted(ref("b"))]
    assert selections.told("two", [Absent(ref("a")), Listed()]) == [Absent(ref("a")), Listed()]


def test_what_a_watch_had_is_forgotten_when_it_is_over_unless_another_one_has_it():
    selections = Selections()
    selections.told("one", [there("a"), there("b")])
    selections.told("two", [there("a")])
    assert selections.ended("one") == [Seen(ref=ref("b"), cause=Cause.FORGOTTEN)]
    assert selections.ended("two") == [Seen(ref=ref("a"), cause=Cause.FORGOTTEN)]
    assert selections.ended("two") == []
