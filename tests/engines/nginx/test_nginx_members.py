"""Who is chosen among the endpoints of a backend: none that probes find dead, none that failed too often of late, new ones little by little; and what is found by a name."""

from collections import Counter
from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest
from moody import LIVE, Moody
from watched import Watched, settled

from weirkeeper.model.backend import FromDns, HealthCheck, PassiveHealth
from weirkeeper.model.text import Authority, Hostname, PathText
from weirkeeper.model.value import Milliseconds
from weirkeeper.providers.nginx import PROVIDER
from weirkeeper.testing.client import Response
from weirkeeper.testing.conformance import Site
from weirkeeper.testing.conformance.backends import Backends, running_backends
from weirkeeper.testing.conformance.stage import Stage, running_stage
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("nginx-members")]

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
SOON = Milliseconds(100)


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with running_backends() as found:
        yield found


@pytest.fixture(scope="module")
def rig() -> Watched:
    return Watched(PROVIDER, options={"reload-milliseconds": "50"}, patience=60.0)


@pytest.fixture(scope="module")
def stage(rig: Watched) -> Iterator[Stage]:
    with running_stage(rig) as stage:
        yield stage


@pytest.fixture
def site(stage: Stage, backends: Backends, request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(stage, backends, request.node.name.replace("_", "-"))
    yield made
    made.clear()


@pytest.fixture
def pair() -> Iterator[tuple[Moody, Moody]]:
    made = Moody("one"), Moody("two")
    yield made
    for server in made:
        server.end()


def given(site: Site, *ports: int, **fields: object) -> None:
    backend = site.backend("watched", **fields)
    site.apply(site.neutral(site.route(to="watched"), backends=[backend], endpoints={"watched": ports}))


def names(site: Site, count: int = 20) -> Counter[str | None]:
    return Counter(site.get().header("x-echo-name") for _ in range(count))


def served(got: Response) -> bool:
    return got.status == 200


def test_who_says_that_it_is_ill_is_asked_no_more(site: Site, pair: tuple[Moody, Moody]) -> None:
    one, two = pair
    check = HealthCheck(path=PathText(LIVE), host=Authority("probe.example"), interval=SOON, healthy=1, unhealthy=2)
    given(site, one.server_port, two.server_port, health=check)
    site.until(served)
    poll_until(lambda: set(names(site)) == {"one", "two"}, what="both are asked")
    one.health = 503
    poll_until(lambda: set(names(site)) == {"two"}, what="one is left out")
    assert set(one.probes) == {"probe.example"}
    two.health = 500
    site.until(lambda got: got.status == 503)
    one.health = 302
    poll_until(lambda: served(site.get()), what="one is back")
    assert set(names(site)) == {"one"}


def test_verdicts_outlive_a_reload(site: Site, rig: Watched, pair: tuple[Moody, Moody]) -> None:
    one, two = pair
    given(
        site,
        one.server_port,
        two.server_port,
        health=HealthCheck(path=PathText(LIVE), interval=SOON, healthy=1, unhealthy=2),
    )
    one.health = 500
    site.until(lambda _: set(names(site)) == {"two"})
    settled(site, rig)
    before = sum(rig.keeper.reloads.values())
    site.apply(
        *site.service("a", site.backends.a.port),
        site.ingress({"proxy-body-size": "7k"}, name="other", host=f"other.{site.host}"),
    )
    poll_until(lambda: sum(rig.keeper.reloads.values()) > before, what="its file is read again")
    settled(site, rig)
    assert set(names(site)) == {"two"}
    one.health = 200
    poll_until(lambda: set(names(site)) == {"one", "two"}, what="the new workers ask as well")


def test_who_takes_no_connection_is_asked_no_more(site: Site, rig: Watched, pair: tuple[Moody, Moody]) -> None:
    """The other one answers in its place, so what is looked at is whether it is tried at all."""
    given(site, pair[0].server_port, free_port(), health=HealthCheck(kind="tcp", interval=SOON, unhealthy=1))
    site.until(served)
    log = rig.keeper.folder / "error.log"

    def tried() -> bool:
        before = log.read_text().count("connect() failed")
        names(site)
        return log.read_text().count("connect() failed") > before

    poll_until(lambda: not tried(), what="the dead one is left alone")


class Health(grpc.GenericRpcHandler):
    """Answers every call with one message."""

    def __init__(self) -> None:
        self.says = SERVING

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(lambda request, _: self.says if request == b"" else NOT_SERVING)


def test_by_the_health_service_of_grpc(site: Site) -> None:
    server, health = grpc.server(futures.ThreadPoolExecutor(2)), Health()
    server.add_generic_rpc_handlers((health,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        given(
            site,
            port,
            protocol="h2c",
            health=HealthCheck(kind="grpc", host=Authority("h" * 200), interval=SOON, healthy=1, unhealthy=1),
        )
        site.until(lambda got: got.status in {200, 415, 502})
        health.says = NOT_SERVING
        site.until(lambda got: got.status == 503)
        health.says = SERVING
        site.until(lambda got: got.status in {200, 415, 502})
    finally:
        server.stop(0)


def test_who_fails_is_left_out_for_a_time(site: Site, pair: tuple[Moody, Moody]) -> None:
    one, two = pair
    wished = PassiveHealth(consecutive_errors=3, ejection=Milliseconds(1500), max_ejected_percent=50)
    given(site, one.server_port, two.server_port, passive_health=wished)
    site.until(served)
    one.status = 500
    poll_until(lambda: set(names(site)) == {"two"}, what="one is left out")
    one.status = 200
    poll_until(lambda: set(names(site)) == {"one", "two"}, what="one is back")
    one.status = two.status = 500
    for _ in range(3):
        assert names(site).keys() <= {"one", "two"}, "all fail: there is somebody left to ask"


def test_a_new_endpoint_begins_with_little(site: Site, pair: tuple[Moody, Moody]) -> None:
    one, two = pair
    slowly = Milliseconds(20_000)
    given(site, one.server_port, slow_start=slowly)
    site.until(served)
    given(site, one.server_port, two.server_port, slow_start=slowly)
    site.until(lambda got: got.header("x-echo-name") == "two")
    assert names(site)["two"] <= 6
    given(site, one.server_port, two.server_port, slow_start=Milliseconds(1000))
    poll_until(lambda: 9 <= names(site)["two"] <= 11, what="both have the same share")


def test_a_name_that_leads_nowhere_is_nobody(site: Site) -> None:
    source = FromDns(name=Hostname("nowhere.invalid"), port=80)
    site.apply(site.neutral(site.route(to="named"), backends=[site.backend("named", source=source)]))
    site.until(lambda got: got.status == 503)
    source = FromDns(name=Hostname("localhost"), port=site.backends.b.port)
    site.apply(site.neutral(site.route(to="named"), backends=[site.backend("named", source=source)]))
    site.answers("b")
