"""What differs between two configurations, and how far it reaches."""

import msgspec
from neutral import backend, config, endpoints, host, route

from weirkeeper.compose.difference import Difference, difference, view
from weirkeeper.compose.printed import printed
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, L4Route
from weirkeeper.model.secret import Secret


def changed(before: LoadBalancerConfig, after: LoadBalancerConfig) -> Difference:
    return difference(view([before]), view([after]))


def whole(*hosts, ends=("10.0.0.1",), **more) -> LoadBalancerConfig:
    sets = (endpoints("web", *ends), endpoints("cart", "10.0.1.1"))
    return config(*hosts, backends=(backend("web", **more), backend("cart")), endpoint_sets=sets)


def test_nothing_differs_from_itself() -> None:
    one = whole(host("a", route("r"), route("s", "/s", "cart")))
    assert changed(one, one).empty


def test_where_things_come_from_is_no_difference() -> None:
    before, after = whole(host("a", route("r", object_name="x"))), whole(host("a", route("other-id", object_name="y")))
    assert changed(before, after).empty


def test_hosts_and_routes() -> None:
    before = whole(host("a", route("r"), route("s", "/s")), host("gone", route("g")))
    after = whole(host("a", route("r", to="cart"), route("t", "/t")), host("new", route("n")))
    found = changed(before, after)
    assert [(h.hostname, h.kind) for h in found.hosts] == [("a", "changed"), ("gone", "removed"), ("new", "added")]
    assert [(r.match, r.kind) for r in found.hosts[0].routes] == [
        ("/ or below", "changed"), ("/s or below", "removed"), ("/t or below", "added"),
    ]  # fmt: skip
    assert found.hosts[0].routes[0].fields == ("action",)
    assert (found.radius.hosts, found.radius.hosts_of) == (3, 3)


def test_another_order_is_a_difference() -> None:
    one, two = route("r", "/a"), route("s", "/b")
    found = changed(whole(host("a", one, two)), whole(host("a", two, one)))
    assert found.hosts[0].order
    assert not found.hosts[0].routes


def test_endpoints_alone_are_told_apart() -> None:
    hosts = (host("a", route("r")), host("b", route("c", to="cart")))
    found = changed(whole(*hosts), whole(*hosts, ends=("10.0.0.1", "10.0.0.9")))
    assert not found.hosts
    (part,) = found.parts
    assert (part.what, part.detail, part.hosts) == ("endpoints", "+10.0.0.9:8080", ("a",))
    assert (found.radius.hosts, found.radius.hosts_by_endpoints_only) == (0, 1)


def test_a_backend_touches_the_hosts_that_lead_to_it() -> None:
    hosts = (host("a", route("r")), host("b", route("c", to="cart")))
    found = changed(whole(*hosts), whole(*hosts, protocol="h2c"))
    assert [(p.what, p.detail, p.hosts) for p in found.parts] == [("backend", "protocol", ("a",))]
    assert found.radius.hosts == 1


def test_a_listener_touches_all_its_hosts() -> None:
    one = whole(host("a", route("r")), host("b", route("c")))
    other = msgspec.structs.replace(one.listeners[0], port=81)
    found = changed(one, msgspec.structs.replace(one, listeners=(other, one.listeners[1])))
    assert found.parts[0].hosts == ("a", "b")
    assert found.radius.hosts == 2


def test_a_stream_is_told_by_its_fields() -> None:
    origin = Origin(ref=Ref(kind="TCPRoute", namespace="d", name="r"))
    led = L4Route(id="r", load_balancer="lb", listener="l", forward=Forward(backends=()), origin=origin)  # type: ignore[arg-type]
    before = msgspec.structs.replace(whole(), l4_routes=(led,))
    after = msgspec.structs.replace(before, l4_routes=(msgspec.structs.replace(led, idle=5, created_at="2026"),))
    assert [(p.what, p.kind, p.detail) for p in changed(before, after).parts] == [("stream", "changed", "idle")]
    assert [(p.what, p.kind) for p in changed(before, whole()).parts] == [("stream", "removed")]


def test_printed_hides_and_is_compact() -> None:
    text = printed({"small": {"a": 1, "b": "x"}, "lines": "one\ntwo\n", "key": Secret("hunter2")})
    assert text.splitlines()[:3] == ["small: {a: 1, b: x}", "lines: |", "  one"]
    assert "hunter2" not in text
