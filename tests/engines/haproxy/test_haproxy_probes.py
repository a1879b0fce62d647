"""Endpoints that say by gRPC's health protocol that they do not serve are left out, and taken in again."""

from collections.abc import Iterator
from concurrent import futures

import grpc
import pytest

from weirkeeper.model.backend import BackendTls, HealthCheck
from weirkeeper.model.text import Authority as HostText
from weirkeeper.model.value import Milliseconds
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.client import Response
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy-probes")]

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class Health(grpc.GenericRpcHandler):
    """Answers every call with one message; nobody but the probe asks."""

    def __init__(self) -> None:
        self.says = SERVING
        self.asked: list[str] = []

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        self.asked.append(call.method)
        return grpc.unary_unary_rpc_method_handler(lambda request, _: self.says if request == b"" else NOT_SERVING)


@pytest.fixture(params=["clear", "tls"])
def healthy(request: pytest.FixtureRequest) -> Iterator[tuple[Health, int, bool]]:
    server, health = grpc.server(futures.ThreadPoolExecutor(2)), Health()
    server.add_generic_rpc_handlers((health,))
    pair, tls = Authority("probed").issue("localhost"), request.param == "tls"
    credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
    port = server.add_secure_port("127.0.0.1:0", credentials) if tls else server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield health, port, tls
    server.stop(0)


@pytest.mark.parametrize("host", ["health.example", "h" * 200 + ".example"], ids=["short", "long"])
def test_an_endpoint_is_asked_whether_it_serves(healthy: tuple[Health, int, bool], host: str) -> None:
    health, port, tls = healthy
    check = HealthCheck(kind="grpc", host=HostText(host), interval=Milliseconds(100), timeout=Milliseconds(10_000), healthy=1, unhealthy=1)
    with running_backends() as backends, running_stage(Rig(PROVIDER, patience=60.0)) as stage:
        site = Site(stage, backends, "probes")
        probed = site.backend("probed", protocol="grpc", health=check, tls=BackendTls() if tls else None)
        site.apply(site.neutral(site.route(to="probed"), backends=[probed], endpoints={"probed": (port,)}))
        site.until(reached)
        assert set(health.asked) >= {"/grpc.health.v1.Health/Check"}
        health.says = NOT_SERVING
        site.until(lambda got: got.status == 503)
        health.says = SERVING
        site.until(reached)


def reached(got: Response) -> bool:
    """Whether there is an endpoint at all: a gRPC server resets what is no call, which is another answer than that of nobody being there."""
    return got.status in {200, 415, 502}
