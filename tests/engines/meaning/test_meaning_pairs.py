"""Every controller with every provider: the same wishes, said in the words of each kind, come out the same on each engine."""

from collections.abc import Iterator

import pytest
from meaning_engines import RIGS
from meaning_table import Row, awaited, differences, row

from weirkeeper.controllers.gateway import GatewayController, GatewaySettings
from weirkeeper.controllers.manifests import ManifestController
from weirkeeper.model.text import IpAddress, Name
from weirkeeper.testing.conformance import Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.site import Manifest
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

PORTS = {"ingress": 0, "gateway": free_port(), "manifests": free_port()}
NEW = (("x-new", "yes"),)
ROWS = (
    row("/exact", "a"), row("/exact?x=1", "a"), row("/shop/special", "a"), row("/%65xact", "a", seen="/exact"), row("/exact", "a", host="{h}:80"), row("/exact", "a", host="{h}."),
    *(row(path, "b") for path in ("/shop", "/shop/", "/shop/x?y=%2f", "/shop/special/x", "/shop/specials")),
    *(row(path, 404) for path in ("/", "/exact/", "/exactly", "/Exact", "/shopping", "/x/shop", "/%65xactly")),
    *(row(path, 400) for path in ("/shop%2fx", "/shop%5cx", "/%00")),
    row("/new", "a"), row("/new", "b", headers=NEW), row("/new/x", "b", headers=NEW), row("/new", "a", headers=(("x-new", "no"),)), row("/newer", 404, headers=NEW),
    row("/x", "a", host="any.wild.{h}"), row("/x", "b", host="own.wild.{h}"), row("/x", "a", host="ANY.wild.{h}"), row("/x", 404, host="wild.{h}"), row("/x", 404, host="unknown.{h}"), row("/exact", 404, host="{h}x"),
    row("/old/x?q=1", "a", host="rewritten.{h}", seen="/new/x?q=1"), row("/old/x/../y", "a", host="rewritten.{h}", seen="/new/y"), row("/older", 404, host="rewritten.{h}"),
    row("/x?y", 301, host="moved.{h}", got={"location": "https://else.example/here?y"}), row("/", 301, host="moved.{h}", got={"location": "https://else.example/here"}),
    *(row(f"/{n}", "b", host="shared.{h}") for n in range(5)),
    row("/shop", "b", method="POST", body=b"x=1"), row("/shop", "b", method="DELETE"), row("/shop?status=404", "b", status=404), row("/shop?status=503", "b", status=503), row("/shop", "b", sent={"x-forwarded-for": "{me}", "x-forwarded-host": "{h}", "x-forwarded-proto": "http"}, headers=(("x-forwarded-for", "10.0.0.1"),)),
)  # fmt: skip


def ingress(site: Site) -> Iterator[Manifest]:
    yield site.ingress(paths=[("/exact", "Exact", "a"), ("/shop", "Prefix", "b"), ("/shop/special", "Exact", "a"), ("/new", "Prefix", "a")])
    yield site.ingress({"canary": "true", "canary-by-header": "X-New", "canary-by-header-value": "yes"}, name="new", paths=[("/new", "Prefix", "b")])
    yield site.ingress(name="wild", host="*.wild." + site.host)
    yield site.ingress(name="own", host="own.wild." + site.host, paths=[("/", "Prefix", "b")])
    yield site.ingress({"rewrite-target": "/new$1"}, name="rewritten", host="rewritten." + site.host, paths=[("/old((?:/.*)?)$", "ImplementationSpecific", "a")])
    yield site.ingress(name="shared", host="shared." + site.host)
    yield site.ingress({"canary": "true", "canary-weight": "100"}, name="all", host="shared." + site.host, paths=[("/", "Prefix", "b")])


GATEWAY = "gateway.networking.k8s.io/v1"


def gateway(site: Site) -> Iterator[Manifest]:
    yield {"apiVersion": GATEWAY, "kind": "GatewayClass", "metadata": {"name": "pairs"}, "spec": {"controllerName": "weirkeeper.io/gateway"}}
    listener = {"name": "http", "port": PORTS["gateway"], "protocol": "HTTP"}
    yield site.manifest(GATEWAY, "Gateway", "front", spec={"gatewayClassName": "pairs", "listeners": [listener]})

    def route(name: str, host: str, *rules: object) -> Manifest:
        return site.manifest(GATEWAY, "HTTPRoute", name, spec={"parentRefs": [{"name": "front"}], "hostnames": [host], "rules": list(rules)})

    def rule(to: str, kind: str = "PathPrefix", path: str = "/", match: dict[str, object] | None = None, **more: object) -> dict[str, object]:
        return {"matches": [{"path": {"type": kind, "value": path}, **(match or {})}], "backendRefs": [{"name": to, "port": 80}], **more}

    header = {"headers": [{"name": "X-New", "value": "yes"}]}
    yield route("main", site.host, rule("a", "Exact", "/exact"), rule("b", path="/shop"), rule("a", "Exact", "/shop/special"), rule("a", path="/new"), rule("b", path="/new", match=header))
    yield route("wild", "*.wild." + site.host, rule("a"))
    yield route("own", "own.wild." + site.host, rule("b"))
    replaced = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}}
    yield route("rewritten", "rewritten." + site.host, rule("a", path="/old", filters=[replaced]))
    elsewhere = {"scheme": "https", "hostname": "else.example", "port": 443, "statusCode": 301, "path": {"type": "ReplaceFullPath", "replaceFullPath": "/here"}}
    yield route("moved", "moved." + site.host, {"filters": [{"type": "RequestRedirect", "requestRedirect": elsewhere}]})
    yield route("shared", "shared." + site.host, {"backendRefs": [{"name": "a", "port": 80, "weight": 0}, {"name": "b", "port": 80, "weight": 1}]})


def manifests(site: Site) -> Iterator[Manifest]:
    def to(name: str, **path: str) -> dict[str, object]:
        return {"path": path, "forward": [{"backend": name}]}

    new = {**to("b", prefix="/new"), "headers": [{"name": "X-New", "value": "yes"}]}
    main = [to("a", exact="/exact"), to("b", prefix="/shop"), to("a", exact="/shop/special"), to("a", prefix="/new"), new]
    hosts = {
        site.host: main, "*.wild." + site.host: [to("a")], "own.wild." + site.host: [to("b")], "rewritten." + site.host: [{**to("a", prefix="/old"), "rewrite": {"prefix": "/new"}}],
        "moved." + site.host: [{"redirect": {"scheme": "https", "host": "else.example", "port": 443, "path": "/here", "status": 301}}],
        "shared." + site.host: [{"forward": [{"backend": "a", "weight": 0}, {"backend": "b", "weight": 1}]}],
    }  # fmt: skip
    spec = {
        "provider": site.stage.rig.provider.name,
        "listeners": [{"name": "http", "port": PORTS["manifests"]}],
        "hosts": [{"hostname": host, "routes": routes} for host, routes in hosts.items()],
        "backends": [{"name": name, "service": {"name": name, "port": {"number": 80}}} for name in ("a", "b")],
    }
    yield site.manifest("weirkeeper.io/v1alpha1", "LoadBalancer", "whole", spec=spec)


CONTROLLERS = {"ingress": ingress, "gateway": gateway, "manifests": manifests}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"meaning-{name}")) for name in RIGS])
def sites(request: pytest.FixtureRequest) -> Iterator[dict[str, Site]]:
    settings = GatewaySettings(addresses=(IpAddress("127.0.0.1"),), provider=Name(request.param))
    with running_backends() as backends, running_stage(RIGS[request.param], (GatewayController(settings), ManifestController())) as stage:
        found = {name: Site(stage, backends, f"by-{name}") for name in CONTROLLERS}
        for name, site in found.items():
            site.apply(*site.service("a", backends.a.port), *site.service("b", backends.b.port), *CONTROLLERS[name](site))
        yield found


def rows(controller: str) -> list[Row]:
    """An Ingress cannot redirect to another path of another host and keep the query."""
    return [one for one in ROWS if controller != "ingress" or not one.host.startswith("moved.")]


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_a_controller_means_the_same_with_every_provider(sites: dict[str, Site], controller: str):
    site, asked = sites[controller], rows(controller)
    awaited(site, asked[-6:-5], PORTS[controller])
    assert differences(site, asked, PORTS[controller]) == []
    assert len(asked) >= 35
