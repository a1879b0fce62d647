"""Gateway API's experimental wishes from the manifest to the answer, on each engine: sessions, services that decide, default Gateways, the order of host names, pods by labels."""

from collections.abc import Iterator

import pytest

from weirkeeper.controllers.gateway import GatewayController, GatewaySettings
from weirkeeper.model.text import IpAddress, Name
from weirkeeper.providers.base import Provider
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.providers.haproxy import PROVIDER as HAPROXY
from weirkeeper.providers.nginx import PROVIDER as NGINX
from weirkeeper.testing.client import Response
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import judging_backend, running_backends
from weirkeeper.testing.conformance.site import Manifest
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

V1 = "gateway.networking.k8s.io/v1"
ALPHA = "gateway.networking.x-k8s.io/v1alpha1"
PORT, WORD = free_port(), "let-me-in"


def ref(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "port": 80, **more}


def rule(path: str, *to: object, **more: object) -> dict[str, object]:
    return {"matches": [{"path": {"value": path}}], "backendRefs": list(to or (ref("a"),)), **more}


def asking(protocol: str, name: str, **more: object) -> list[object]:
    return [{"type": "ExternalAuth", "externalAuth": {"protocol": protocol, "backendRef": ref(name), **more}}]


def wished(site: Site, judge: int) -> Iterator[Manifest]:
    """Routes that name no Gateway: they hang on the default one."""
    listeners = [
        {"name": "any", "port": PORT, "protocol": "HTTP"},
        {"name": "one", "port": PORT, "protocol": "HTTP", "hostname": f"one.{site.host}"},
    ]
    yield {
        "apiVersion": V1,
        "kind": "GatewayClass",
        "metadata": {"name": "weir"},
        "spec": {"controllerName": "weirkeeper.io/gateway"},
    }
    spec = {"gatewayClassName": "weir", "defaultScope": "All", "listeners": listeners}
    yield site.manifest(V1, "Gateway", "front", spec=spec)
    routes: dict[str, tuple[str, list[dict[str, object]]]] = {
        "shop": (site.host, [
            rule("/cart", ref("a"), ref("b"), sessionPersistence={"sessionName": "cart"}),
            rule("/header", ref("both"), sessionPersistence={"type": "Header", "sessionName": "x-stay"}),
            rule("/policy", ref("both")),
            rule("/asked", filters=asking("HTTP", "b", http={"path": "/check", "allowedHeaders": ["x-user"]})),
            rule("/judged", filters=asking("GRPC", "judge")),
            rule("/nobody", filters=asking("HTTP", "missing", http={})),
            rule("/picked", {"group": ALPHA.partition("/")[0], "kind": "XBackend", "name": "picked"}),
        ]),
        "wide": (f"*.{site.host}", [rule("/long/path", ref("b"))]),
        "narrow": (f"one.{site.host}", [rule("/", ref("a"))]),
    }  # fmt: skip
    for name, (host, rules) in routes.items():
        fields = {"useDefaultGateways": "All", "hostnames": [host], "rules": rules}
        yield site.manifest(V1, "HTTPRoute", name, spec=fields)
    target = {"group": "", "kind": "Service", "name": "both"}
    policy = {"targetRefs": [target], "sessionPersistence": {"sessionName": "held"}}
    yield site.manifest(ALPHA, "XBackendTrafficPolicy", "both", spec=policy)
    picked = {"type": "EndpointSelector", "endpointSelector": {"matchLabels": {"app": "picked"}}, "port": {"number": site.backends.b.port}}
    yield site.manifest(ALPHA, "XBackend", "picked", spec={**picked, "sessionPersistence": {"cookie": {"name": "pod"}}})
    yield from site.service("a", site.backends.a.port)
    yield from site.service("b", site.backends.b.port)
    yield from site.service("both", site.backends.a.port, site.backends.b.port)
    yield from site.service("judge", judge)


@pytest.fixture(scope="module", params=[ENVOY, HAPROXY, NGINX], ids=lambda one: one.name)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    provider: Provider = request.param
    settings = GatewaySettings(addresses=(IpAddress("127.0.0.1"),), provider=Name(provider.name))
    with (
        running_backends() as backends,
        judging_backend(WORD.encode()) as judge,
        running_stage(Rig(provider), (GatewayController(settings),)) as stage,
    ):
        found = Site(stage, backends, "experimental")
        found.apply(*wished(found, judge))
        found.until(lambda got: got.status == 200, "/policy", port=PORT)
        yield found


def cookies(got: Response) -> tuple[tuple[str, str], ...]:
    told = [value.partition(";")[0] for name, value in got.headers if name.lower() == "set-cookie"]
    return (("cookie", "; ".join(told)),)


def stays(site: Site, path: str) -> set[str | None]:
    """The backends at which some clients began, each of whom stays where it is."""
    began = set()
    for _ in range(8):
        first = site.get(path, port=PORT)
        name = first.header("x-echo-name")
        again = {site.get(path, port=PORT, headers=cookies(first)).header("x-echo-name") for _ in range(6)}
        assert again == {name}
        began.add(name)
    return began


def test_clients_stay(site: Site) -> None:
    told = [value for name, value in site.get("/cart", port=PORT).headers if name.lower() == "set-cookie"]
    assert {one.partition("=")[0] for one in told} == {"cart", "cart-at"}
    for one in told:
        attributes = {part.strip().lower() for part in one.split(";")[1:]}
        assert {"path=/cart", "httponly", "samesite=strict"} <= attributes
        assert not any(part.startswith(("max-age", "expires", "secure")) for part in attributes)
    for path in ("/cart", "/policy"):
        assert stays(site, path) <= {"a", "b"}


def test_clients_stay_by_a_header(site: Site) -> None:
    first = site.get("/header", port=PORT)
    if "HeaderSession" not in site.stage.rig.provider.capabilities.supported:
        assert first.status == 500
        return
    told = (("x-stay", first.header("x-stay") or ""),)
    again = {site.get("/header", port=PORT, headers=told).header("x-echo-name") for _ in range(8)}
    assert again == {first.header("x-echo-name")}


def pod(site: Site, ready: bool, **labels: str) -> Manifest:
    made = site.manifest("v1", "Pod", "one", status={"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": str(ready)}]})
    return {**made, "metadata": {**made["metadata"], "labels": labels}}


def test_pods_are_picked_by_their_labels(site: Site) -> None:
    assert site.get("/picked", port=PORT).status == 503
    for ready, labels in ((True, {"app": "other"}), (False, {"app": "picked"})):
        site.apply(pod(site, ready, **labels))
        assert site.get("/picked", port=PORT).status == 503
    site.apply(pod(site, True, app="picked", more="x"))
    got = site.until(lambda one: one.status == 200, "/picked", port=PORT)
    assert got.header("x-echo-name") == "b"
    told = [value for name, value in got.headers if name.lower() == "set-cookie"]
    assert [one.partition("=")[0] for one in told] == ["pod"]
    assert "path=/" in {part.strip().lower() for part in told[0].split(";")}
    site.apply(pod(site, True, app="other"))
    site.until(lambda one: one.status == 503, "/picked", port=PORT)


def test_a_service_decides(site: Site) -> None:
    got = site.get("/asked/x?q=1", port=PORT, headers=(("x-user", "ann"), ("x-other", "secret")))
    assert (got.status, got.echo.header("x-echo-name")) == (200, "b")
    seen = [one for one in site.backends.b.requests if one.path == "/check/asked/x?q=1"][-1]
    assert (seen.header("x-user"), seen.header("x-other")) == ("ann", None)
    assert {status: site.get(f"/asked?status={status}", port=PORT).status for status in (401, 403)} == {
        401: 401,
        403: 403,
    }
    assert site.get("/asked?status=503", port=PORT).status >= 500
    assert site.get("/nobody", port=PORT).status == 500


def test_a_judge_decides_by_grpc(site: Site) -> None:
    let_in = site.get("/judged", port=PORT, headers=(("x-word", WORD),)).status
    if "GrpcExternalAuth" not in site.stage.rig.provider.capabilities.supported:
        assert let_in == 500
        return
    assert (let_in, site.get("/judged", port=PORT).status) == (200, 403)


def test_the_narrower_host_name_goes_first(site: Site) -> None:
    def answers(host: str) -> str | None:
        return site.get("/long/path", port=PORT, host=f"{host}.{site.host}").header("x-echo-name")

    assert (answers("one"), answers("other")) == ("a", "b")


def test_a_wildcard_stands_for_any_number_of_labels(site: Site) -> None:
    for labels in ("two", "three.two", "five.four.three.two"):
        assert site.get("/long/path", port=PORT, host=f"{labels}.{site.host}").header("x-echo-name") == "b", labels
    assert site.get("/long/path", port=PORT, host=f"not{site.host}").status == 404
