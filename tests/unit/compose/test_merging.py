"""Merging and fitting: duplicates, wildcards, conflicts, and that nothing is dropped silently."""

import msgspec
import pytest
from neutral import backend, host, hosted, origin, route

from weirkeeper.compose.certificates import CertificateClaim, winning_certificate
from weirkeeper.compose.fit import fit_backend, fit_listener, fit_route, fit_virtual_host
from weirkeeper.compose.listeners import listener_conflicts
from weirkeeper.compose.needs import needs
from weirkeeper.compose.virtual_hosts import host_key, virtual_host
from weirkeeper.model.backend import BackendTls, LeastRequest
from weirkeeper.model.certificate import CertificateWish
from weirkeeper.model.features import FEATURES, Capabilities
from weirkeeper.model.filters import BasicAuth, IpRules, Mirror
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.ids import Part, Ref
from weirkeeper.model.listener import HttpOptions, Listener
from weirkeeper.model.match import HeaderMatch, Present, RegexPath, RouteMatch
from weirkeeper.model.route import Respond


def merged(*routes, hostname: str = "shop.example", labels=(None,)):
    members = [(one.id, hosted(one, hostname, labels[n % len(labels)])) for n, one in enumerate(routes)]
    return virtual_host(host_key(members[0][1]), members)


def can(*without: str, degrades: dict[str, str] | None = None) -> Capabilities:
    lacking = {*without, *(degrades or {})}
    return Capabilities(engine="toy", version="1", supported=frozenset(FEATURES) - lacking, degrades=degrades or {})


def test_the_older_of_two_equal_routes_stands_and_the_other_is_told() -> None:
    old = route("b", "/a", "web", created="2026-01-01T00:00:00Z", object_name="old")
    new = route("a", "/a", "cart", created="2026-02-01T00:00:00Z", object_name="new")
    one = merged(new, old)
    assert [r.id for r in one.routes] == ["b"]
    (told,) = one.findings
    assert told.reason is Reason.DUPLICATE_ROUTE
    assert told.origin == new.origin
    assert str(old.origin) in told.for_user


def test_what_stands_beside_a_route_gives_way_with_it() -> None:
    """A condition that comes before all others takes no path for whoever is younger."""
    old = hosted(route("b", "/a", "web", created="2026-01-01T00:00:00Z", object_name="old"))
    new = hosted(route("a", "/a", "cart", created="2026-02-01T00:00:00Z", object_name="new"))
    match = msgspec.structs.replace(new.route.match, headers=(HeaderMatch(name="host", match=Present()),))
    part = msgspec.structs.replace(new.route, id="a/share", match=match)
    share = msgspec.structs.replace(new, route=part, follows="a")

    def ids(*rows):
        return [one.id for one in virtual_host(host_key(old), [(one.route.id, one) for one in rows]).routes]

    assert ids(share, new, old) == ["b"]
    assert ids(new, share) == ["a/share", "a"]


def test_equal_routes_without_age_are_told_apart_by_name() -> None:
    one = merged(route("x", "/a", "cart", object_name="b"), route("y", "/a", "web", object_name="a"))
    assert [r.id for r in one.routes] == ["y"]


def test_another_priority_or_condition_is_no_duplicate() -> None:
    header = RouteMatch(path=route("p", "/a").match.path, headers=(HeaderMatch(name="x", match=Present()),))
    one = merged(route("a", "/a"), route("b", "/a", priority=1), route("c", match=header))
    assert len(one.routes) == 3
    assert not one.findings


def test_the_narrowest_wildcard_holds() -> None:
    assert merged(route("a"), route("b", "/b"), hostname="*.example", labels=(1, None)).wildcard_labels == 1
    assert merged(route("a"), hostname="*.example").wildcard_labels is None


def test_the_oldest_claim_on_the_host_wins_whatever_else_its_secret_is_used_for() -> None:
    def claim(secret: str, of: str, created: str) -> tuple[CertificateClaim, CertificateWish]:
        ref = Ref(kind="Secret", namespace="default", name=secret)
        at = origin(of, created=created)
        wish = CertificateWish(id=secret, secret=ref, hosts=("shop.example",), origin=at)
        return CertificateClaim(Part("lb", secret), at.ref, 0), wish

    first, late = claim("b", "first", "2026-02-01T00:00:00Z"), claim("a", "late", "2026-03-01T00:00:00Z")
    assert winning_certificate([late, first]).id == "b"
    assert winning_certificate([claim("a", "two", ""), claim("b", "one", "")]).id == "b", (
        "of equal age the first by name"
    )


def test_what_a_route_needs_is_found_with_its_place() -> None:
    one = route(
        "r",
        match=RouteMatch(path=RegexPath(value="/a")),
        mirrors=(Mirror(backend="m"),),
        ip_rules=IpRules(deny=("10.0.0.0/8",)),
    )
    found = dict(needs(one))
    assert found["RegexPathMatch"] == "match.path"
    assert found["HTTPRouteRequestMirror"] == "mirrors"
    assert found["IpRules"] == "ip_rules"


def test_a_plain_route_needs_nothing() -> None:
    assert list(needs(route("r"))) == []


@pytest.mark.parametrize("feature", ["IpRules", "HTTPRouteRequestMirror"])
def test_what_is_lacking_is_answered_500_and_told(feature: str) -> None:
    one = route(
        "r",
        match=RouteMatch(path=RegexPath(value="/a")),
        mirrors=(Mirror(backend="m"),),
        ip_rules=IpRules(deny=("10.0.0.0/8",)),
    )
    fitted, told = fit_route(one, can(feature))
    assert isinstance(fitted.action, Respond)
    assert fitted.action.status == 500
    assert fitted.match == one.match
    assert [t.feature for t in told] == [feature]
    assert told[0].remedy


def test_a_path_that_cannot_be_matched_is_dropped_and_told() -> None:
    fitted, told = fit_route(route("r", match=RouteMatch(path=RegexPath(value="/a"))), can("RegexPathMatch"))
    assert fitted is None
    assert [(t.feature, t.effect) for t in told] == [("RegexPathMatch", Effect.RULE_DROPPED)]


def test_a_guard_is_never_taken_off() -> None:
    one = route("r", auth=(BasicAuth(users=()),))
    fitted, told = fit_route(one, can("BasicAuth"))
    assert isinstance(fitted.action, Respond)
    assert told[0].effect is Effect.FAILS_CLOSED


def test_an_approximation_is_programmed_and_told() -> None:
    one = route("r", mirrors=(Mirror(backend="m"),))
    fitted, told = fit_route(one, can(degrades={"HTTPRouteRequestMirror": "only every second request is copied"}))
    assert fitted == one
    assert told[0].effect is Effect.DEGRADED
    assert "every second" in told[0].for_user


def test_a_cosmetic_lack_is_told_and_changes_nothing() -> None:
    one = route("r", access_log=False)
    fitted, told = fit_route(one, can("RouteAccessLog"))
    assert fitted.action == one.action
    assert [t.effect for t in told] == [Effect.IGNORED]


def test_routes_to_a_refused_backend_fail_closed() -> None:
    one = host("a", route("r", "/", "bad"), route("s", "/s", "good"))
    fitted = fit_virtual_host(one, can(), frozenset({"bad"}))
    assert isinstance(fitted.routes[0].action, Respond)
    assert fitted.routes[1] == one.routes[1]


def test_a_host_that_fits_is_the_very_same() -> None:
    one = host("a", route("r"))
    assert fit_virtual_host(one, can()) is one


def test_backends_and_listeners_are_refused_with_a_finding() -> None:
    secure = backend("b", tls=BackendTls(verify=True))
    assert fit_backend(secure, can())[0] == secure
    value, told = fit_backend(secure, can("BackendTLSPolicy"))
    assert value is None
    assert told[0].effect is Effect.FAILS_CLOSED
    balanced, _ = fit_backend(backend("b", balancing=LeastRequest()), can(degrades={"LeastRequest": "in turn"}))
    assert balanced is not None
    listener = Listener(id="l", load_balancer="lb", group="g", port=80, http=HttpOptions(http3=True), origin=origin())
    assert fit_listener(listener, can())[0] == listener
    assert fit_listener(listener, can("Http3"))[0] is None


def listener(name: str, created: str = "", **more) -> Listener:
    return Listener(id=name, load_balancer="lb", group="g", port=80, origin=origin(name, created=created), **more)


def losers(*listeners: Listener) -> dict[str, str]:
    """Who does not stand, and what is said of it; whatever the order."""
    found = {name: str(told.for_user) for name, told in listener_conflicts(listeners)}
    assert found == {name: str(told.for_user) for name, told in listener_conflicts(reversed(listeners))}
    return found


def test_listeners_of_one_port_agree_or_the_younger_loses() -> None:
    plain, tls = listener("a", "2026-01-01T00:00:00Z"), listener("b", "2026-02-01T00:00:00Z", protocol="https")
    ((name, told),) = listener_conflicts([tls, plain])
    assert (name, told.effect, told.origin) == ("b", Effect.LISTENER_REJECTED, tls.origin)
    assert "https and http cannot share it" in str(told.for_user)
    assert not losers(listener("c", hostname="a.example"), listener("a", hostname="b.example"), listener("d"))
    assert losers(listener("z"), listener("a")).keys() == {"z"}
    assert not losers(plain, listener("d", protocol="udp"))


def test_who_fell_stands_in_the_way_of_younger_ones() -> None:
    first = listener("a", "2026-01-01T00:00:00Z", hostname="a.example")
    fallen = listener("b", "2026-02-01T00:00:00Z", hostname="b.example", protocol="tcp")
    found = losers(first, fallen, listener("c", hostname="b.example"), listener("d", hostname="a.example"))
    assert found.keys() == {"b", "c", "d"}
    assert str(fallen.origin) in found["c"]
    assert str(first.origin) in found["d"]


def test_findings_are_values() -> None:
    _, told = fit_route(route("r", access_log=False), can("RouteAccessLog"))
    assert msgspec.json.decode(msgspec.json.encode(told[0]), type=type(told[0])) == told[0]
