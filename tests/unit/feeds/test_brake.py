"""The brake: what a list suddenly lacks is held where it is a great deal; what the server deletes goes at once."""

from weirkeeper.feeds.brake import Brake
from weirkeeper.kube.mirror import Absent, Applied, Back, Deleted, Listed
from weirkeeper.kube.types import EndpointSlice, Ingress, Metadata, SliceEndpoint, VersionedMetadata
from weirkeeper.model.ids import Ref


def ref(number, kind="Ingress"):
    return Ref(kind=kind, namespace="shop", name=f"n{number}")


def there(number, listed=True):
    made = Ingress(kind="Ingress", metadata=VersionedMetadata(name=f"n{number}", namespace="shop"))
    return Applied(ref(number), made, listed)


def piece(number, service, endpoints=1, listed=True):
    made = EndpointSlice(
        kind="EndpointSlice",
        metadata=Metadata(name=f"n{number}", namespace="shop", labels={"kubernetes.io/service-name": service}),
        endpoints=tuple(SliceEndpoint(addresses=("10.0.0.1",)) for _ in range(endpoints)),
    )
    return Applied(ref(number, "EndpointSlice"), made, listed)


def relist(brake, *numbers, total, now, source="all", kind="Ingress"):
    news = [*(Absent(ref(number, kind)) for number in numbers), Listed()]
    return brake.take(source, news, total=total, now=now)


def test_a_few_that_are_missing_go_at_once():
    brake = Brake()
    assert len(relist(brake, *range(19), total=19, now=0.0)) == 20
    assert not brake.held


def test_less_than_half_goes_at_once_however_many():
    assert len(relist(Brake(), *range(499), total=1000, now=0.0)) == 500


def test_half_and_twenty_are_held_until_a_second_list_ten_seconds_later():
    brake = Brake()
    assert relist(brake, *range(20), total=40, now=0.0) == [Listed()]
    assert brake.held == 20
    assert brake.doubted(9.0) == ()
    assert brake.take("all", [Listed()], total=20, now=9.0) == [Listed()]
    assert brake.doubted(10.0) == ("all",)
    released = brake.take("all", [Listed()], total=20, now=10.5)
    assert [one.ref for one in released[:-1]] == [ref(number) for number in range(20)]
    assert not brake.held
    assert brake.doubted(11.0) == ()


def test_what_comes_back_leaves_the_hold():
    brake = Brake()
    relist(brake, *range(30), total=30, now=0.0)
    assert brake.take("all", [there(number) for number in range(30)], total=30, now=1.0) == [
        there(number) for number in range(30)
    ]
    assert not brake.held
    assert brake.take("all", [Listed()], total=30, now=11.0) == [Listed()]


def test_a_deletion_that_the_server_reports_is_never_held():
    deleted = [Deleted(ref(number)) for number in range(100)]
    assert Brake().take("all", deleted, total=100, now=0.0) == deleted


def test_a_confirmation_releases_all():
    brake = Brake()
    relist(brake, *range(25), total=25, now=0.0)
    assert [one.ref for one in brake.confirm()] == [ref(number) for number in range(25)]
    assert not brake.held


def test_namespaces_that_vanish_one_after_the_other_are_judged_together():
    brake = Brake()
    assert len(relist(brake, *range(15), total=60, now=0.0, source="a")) == 16
    assert len(relist(brake, *range(15, 30), total=45, now=5.0, source="b")) == 1
    assert brake.held == 15
    assert len(relist(brake, 40, total=30, now=6.0, source="c")) == 1, "while something is held, nothing more goes"
    assert len(relist(Brake(), *range(15, 30), total=45, now=5.0, source="b")) == 16


def test_services_that_would_lose_their_last_endpoints_are_held_however_few():
    brake = Brake()
    brake.take("all", [piece(1, "a"), piece(2, "a"), piece(3, "b"), piece(4, "c"), Listed()], total=0, now=0.0)
    assert len(relist(brake, 1, total=4, now=1.0, kind="EndpointSlice")) == 2, "a has another slice"
    assert len(relist(brake, 3, total=3, now=2.0, kind="EndpointSlice")) == 2, "one of three"
    assert len(relist(brake, 2, 4, total=2, now=3.0, kind="EndpointSlice")) == 1, "both that are left"
    assert brake.held == 2


def test_slices_that_a_list_shows_emptied_are_held_until_the_list_is_complete_and_then_judged():
    brake = Brake()
    brake.take("all", [piece(1, "a"), piece(2, "b"), Listed()], total=0, now=0.0)
    empty = [piece(1, "a", 0), piece(2, "b", 0)]
    assert brake.take("all", empty, total=2, now=1.0) == []
    assert brake.take("all", [Listed()], total=2, now=1.0) == [Listed()]
    assert brake.held == 2
    back = piece(1, "a", 2, listed=False)
    assert brake.take("all", [back], total=2, now=2.0) == [back]
    assert brake.take("all", [Listed()], total=2, now=12.0) == [empty[1], Listed()]


def test_a_service_that_a_watch_shows_scaled_to_nothing_is_no_such_thing():
    brake = Brake()
    brake.take("all", [piece(1, "a"), Listed()], total=0, now=0.0)
    scaled = piece(1, "a", 0, listed=False)
    assert brake.take("all", [scaled], total=1, now=1.0) == [scaled]


def test_everything_else_passes_as_it_comes():
    assert Brake().take("all", [Back(), there(1)], total=0, now=0.0) == [Back(), there(1)]
