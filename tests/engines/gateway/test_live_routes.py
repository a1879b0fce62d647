"""What an owner changes while requests come in: a route a hundred times without a wrong answer, and a consent that is taken back."""

import ssl
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import msgspec
import pytest

from weirkeeper.controllers.gateway import GatewayController, GatewaySettings
from weirkeeper.model.text import IpAddress, Name
from weirkeeper.providers.base import Provider
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import Target
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.site import Manifest
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.load import Ask, Plan, Record, load
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

V1, BETA = "gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"
PORT, SECURE = free_port(), free_port()
EDITS = 100
AUTHORITY = Authority("live")


def filters(turn: int) -> list[object]:
    """Filters that come, change and go; the turn is in every answer."""
    found: list[object] = [
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x-turn", "value": str(turn)}]}}
    ]
    if turn % 2:
        found.append({"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x-more", "value": str(turn)}]}})  # fmt: skip
    if turn % 3 == 0:
        path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": f"/turn-{turn}"}
        found.append({"type": "URLRewrite", "urlRewrite": {"path": path}})
    if turn % 5 == 0:
        found.append({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "b", "port": 80}}})
    return found


SHARES = ({"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"a": 90, "b": 10}, {"a": 0, "b": 1}, {"c": 1}, {"a": 1, "b": 1, "c": 1})


def shares(turn: int) -> dict[str, int]:
    return SHARES[turn % len(SHARES)]


def answering(turn: int) -> set[str]:
    """Whose answers are right: ``c`` is another Service of the same endpoint as ``a``."""
    return {"b" if name == "b" else "a" for name, weight in shares(turn).items() if weight}


@pytest.fixture(scope="module")
def near() -> Iterator[tuple[Site, Site]]:
    """Two namespaces at one Envoy: ours with a Gateway, and somebody else's."""
    provider: Provider = ENVOY
    settings = GatewaySettings(addresses=(IpAddress("127.0.0.1"),), provider=Name(provider.name))
    with running_backends() as backends, running_stage(Rig(provider), (GatewayController(settings),)) as stage:
        ours, theirs = Site(stage, backends, "ours"), Site(stage, backends, "theirs")
        listeners = [
            {"name": "http", "port": PORT, "protocol": "HTTP"},
            {"name": "https", "port": SECURE, "protocol": "HTTPS", "hostname": "far.example",
             "tls": {"certificateRefs": [{"name": "far", "namespace": "theirs"}]}},
        ]  # fmt: skip
        controller = {"controllerName": "weirkeeper.io/gateway"}
        ours.apply(
            {"apiVersion": V1, "kind": "GatewayClass", "metadata": {"name": "weir"}, "spec": controller},
            ours.manifest(V1, "Gateway", "front", spec={"gatewayClassName": "weir", "listeners": listeners}),
            *(one for name, port in (("a", backends.a.port), ("b", backends.b.port), ("c", backends.a.port)) for one in ours.service(name, port)),
        )  # fmt: skip
        theirs.apply(*theirs.service("far", backends.b.port), theirs.tls_secret("far", AUTHORITY.issue("far.example")))
        yield ours, theirs


def route(site: Site, host: str, *rules: object, name: str = "live") -> Manifest:
    spec = {"parentRefs": [{"name": "front"}], "hostnames": [host], "rules": list(rules)}
    return site.manifest(V1, "HTTPRoute", name, spec=spec)


def edited(site: Site, turn: int) -> Manifest:
    to = [{"name": name, "port": 80, "weight": weight} for name, weight in shares(turn).items()]
    rule: dict[str, object] = {"backendRefs": to, "filters": filters(turn)}
    return route(site, "live.example", rule | ({"timeouts": {"request": "20s"}} if turn % 4 == 0 else {}))


def test_a_route_is_edited_a_hundred_times_and_no_answer_is_lost_or_wrong(near: tuple[Site, Site]) -> None:
    site, _ = near
    site.apply(edited(site, 0))
    site.until(lambda got: got.header("x-turn") == "0", port=PORT, host="live.example")
    written, live = [time.monotonic_ns()], [time.monotonic_ns()]
    plan = Plan(target=Target(port=PORT), asks=(Ask(name="x", host="live.example"),), connections=4, rate=200, seconds=170)
    by_header = msgspec.structs.replace(plan, token="x-turn")
    with load(by_header) as by_turn, load(plan) as by_name:
        for turn in range(1, EDITS + 1):
            written.append(time.monotonic_ns())
            site.apply(edited(site, turn))
            site.until(lambda got, turn=turn: got.header("x-turn") == str(turn), port=PORT, host="live.example")
            live.append(time.monotonic_ns())
        results = by_turn.stop(), by_name.stop()

    def possible(record: Record) -> range:
        """The turns that may have answered: what was live when it began, up to what was written when it ended."""
        return range(max(bisect_right(live, record.started_ns) - 1, 0), bisect_left(written, record.ended_ns))

    def right(record: Record) -> bool:
        return record.status == 200 and record.answer in map(str, possible(record))

    def right_backend(record: Record) -> bool:
        return record.status == 200 and any(record.answer in answering(turn) for turn in possible(record))

    wrong = [*results[0].failures(right), *results[1].failures(right_backend)]
    assert wrong == [], f"{len(wrong)} of {sum(len(one.records) for one in results)}: {wrong[:3]} to {wrong[-3:]}"
    assert len({one.answer for one in results[0].records}) > EDITS // 2


def grant(site: Site, kind: str, to: str) -> Manifest:
    spec = {"from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "ours"}], "to": [{"group": "", "kind": to}]}  # fmt: skip
    return site.manifest(BETA, "ReferenceGrant", "consent", spec=spec)


def test_a_consent_that_is_taken_back_ends_the_traffic(near: tuple[Site, Site]) -> None:
    ours, theirs = near
    ours.apply(route(ours, "far.example", {"backendRefs": [{"name": "far", "namespace": "theirs", "port": 80}]}, name="far"))
    asked = {"port": PORT, "host": "far.example"}
    ours.until(lambda got: got.status == 500, **asked)
    for _ in range(3):
        theirs.apply(grant(theirs, "HTTPRoute", "Service"))
        ours.until(lambda got: (got.status, got.header("x-echo-name")) == (200, "b"), **asked)
        began = time.monotonic()
        theirs.delete("ReferenceGrant", "consent")
        ours.until(lambda got: got.status == 500, **asked)
        print(f"revoked after {(time.monotonic() - began) * 1000:.0f} ms")
        assert [ours.get(**asked).status for _ in range(20)] == [500] * 20
    ours.delete("HTTPRoute", "far")


def test_a_certificate_whose_consent_is_taken_back_is_shown_no_more(near: tuple[Site, Site]) -> None:
    ours, theirs = near
    ours.apply(route(ours, "far.example", {"backendRefs": [{"name": "a", "port": 80}]}, name="secure"))
    asked = {"port": SECURE, "host": "far.example", "scheme": "https"}
    theirs.apply(grant(theirs, "Gateway", "Secret"))
    ours.until(lambda got: got.status == 200, **asked)
    began = time.monotonic()
    theirs.delete("ReferenceGrant", "consent")
    poll_until(lambda: refused(ours, asked), what="nobody is shown the certificate")
    print(f"certificate gone after {(time.monotonic() - began) * 1000:.0f} ms")


def refused(site: Site, asked: dict) -> bool:
    """Whether there is no handshake any more."""
    try:
        site.get(**asked)
    except (OSError, ssl.SSLError):
        return True
    return False
