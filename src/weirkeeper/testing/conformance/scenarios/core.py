"""What every load balancer must do: hosts, paths, endpoints. No feature of a provider is asked for."""

import asyncio

from weirkeeper.model.finding import Reason
from weirkeeper.testing.client import Target, WebSocket
from weirkeeper.testing.conformance.scenario import core
from weirkeeper.testing.conformance.site import CLASS, Site

MISSING = 404
UNAVAILABLE = 503


@core("an exact host is served, another one is not", lambda site: [site.ingress()])
def exact_host(site: Site) -> None:
    assert site.answers("a").echo.host == site.host
    assert site.get(host="another." + site.host).status == MISSING
    assert site.get(host=site.host + ".another").status == MISSING


@core("a host is served in any letter case and with a port", lambda site: [site.ingress()])
def host_case(site: Site) -> None:
    site.answers("a")
    assert site.get(host=site.host.upper()).status == 200
    assert site.get(host=f"{site.host}:{site.stage.http_port}").status == 200


@core("an exact path is served, what is below it is not", lambda site: [site.ingress(paths=[("/exact", "Exact", "a")])])
def exact_path(site: Site) -> None:
    assert site.answers("a", "/exact").echo.path == "/exact"
    assert site.get("/exact?q=1").status == 200
    for path in ("/", "/exact/", "/exact/below", "/exactly", "/Exact"):
        assert site.get(path).status == MISSING, path


@core("a prefix is a prefix of segments", lambda site: [site.ingress(paths=[("/shop", "Prefix", "a")])])
def prefix_path(site: Site) -> None:
    site.answers("a", "/shop")
    for path in ("/shop", "/shop/", "/shop/cart/1", "/shop?q=1"):
        got = site.get(path)
        assert (got.status, got.echo.path) == (200, path)
    for path in ("/", "/shopping", "/sho", "/Shop", "/x/shop"):
        assert site.get(path).status == MISSING, path


@core(
    "the longest path wins, and an exact one before a prefix",
    lambda site: [
        site.ingress(paths=[("/", "Prefix", "a"), ("/long", "Prefix", "b"), ("/long/er", "Prefix", "a")]),
        site.ingress(name="second", paths=[("/long/er", "Exact", "b")]),
    ],
)
def precedence(site: Site) -> None:
    site.answers("a")
    answers = {
        path: site.get(path).header("x-echo-name") for path in ("/x", "/long", "/long/x", "/long/er/", "/long/er")
    }
    assert answers == {"/x": "a", "/long": "b", "/long/x": "b", "/long/er/": "a", "/long/er": "b"}


@core(
    "several objects share a host",
    lambda site: [
        site.ingress(paths=[("/one", "Prefix", "a")]),
        site.ingress(name="second", paths=[("/two", "Prefix", "b")]),
    ],
)
def shared_host(site: Site) -> None:
    site.answers("a", "/one")
    site.answers("b", "/two")
    site.delete("Ingress", "second")
    site.until(lambda got: got.status == MISSING, "/two")
    assert site.get("/one").header("x-echo-name") == "a"


@core(
    "a wildcard stands for one label, and an exact host goes before it",
    lambda site: [
        site.ingress(host="*." + site.host),
        site.ingress(name="exact", host="own." + site.host, paths=[("/", "Prefix", "b")]),
    ],
)
def wildcard(site: Site) -> None:
    site.answers("a", host="any." + site.host)
    site.answers("b", host="own." + site.host)
    assert site.get(host=site.host).status == MISSING
    assert site.get(host="two.labels." + site.host).status == MISSING


@core(
    "a rule without a host serves all hosts",
    lambda site: [site.ingress(host="", paths=[(f"/{site.namespace}", "Exact", "a")])],
)
def any_host(site: Site) -> None:
    site.answers("a", f"/{site.namespace}", host="never-heard-of.example")
    assert site.get(host="never-heard-of.example").status == MISSING


@core(
    "a default backend answers what no rule takes",
    lambda site: [site.ingress(paths=[("/known", "Prefix", "a")], defaultBackend=site.to("b"))],
)
def default_backend(site: Site) -> None:
    site.answers("a", "/known")
    assert site.get("/unknown").header("x-echo-name") == "b"


@core(
    "a port may be named",
    lambda site: [
        site.manifest(
            "networking.k8s.io/v1",
            "Ingress",
            "named",
            spec={
                "ingressClassName": CLASS,
                "rules": [
                    {
                        "host": site.host,
                        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": site.to("a", "web")}]},
                    }
                ],
            },
        )
    ],
)
def named_port(site: Site) -> None:
    site.answers("a")


@core(
    "all endpoints get requests",
    lambda site: [
        *site.service("both", site.backends.a.port, site.backends.b.port),
        site.ingress(paths=[("/", "Prefix", "both")]),
    ],
)
def several_endpoints(site: Site) -> None:
    site.until(lambda got: got.status == 200)
    seen = {site.get().header("x-echo-name") for _ in range(40)}
    assert seen == {"a", "b"}


@core(
    "endpoints come and go",
    lambda site: [*site.service("moving", site.backends.a.port), site.ingress(paths=[("/", "Prefix", "moving")])],
)
def endpoint_update(site: Site) -> None:
    site.answers("a")
    site.apply(site.slice("moving", site.backends.b.port))
    site.answers("b")
    assert {site.get().header("x-echo-name") for _ in range(10)} == {"b"}
    site.apply(site.slice("moving", 0))
    site.until(lambda got: got.status == UNAVAILABLE)
    site.apply(site.slice("moving", site.backends.a.port))
    site.answers("a")


@core(
    "a Service that is not there answers 503 and is said",
    lambda site: [site.ingress(paths=[("/", "Prefix", "nobody")])],
)
def unknown_service(site: Site) -> None:
    site.until(lambda got: got.status == UNAVAILABLE)
    assert Reason.SERVICE_NOT_FOUND in {found.reason for found in site.findings()}
    site.apply(*site.service("nobody", site.backends.a.port))
    site.answers("a")
    assert site.findings() == ()


@core("a removed object is served no more", lambda site: [site.ingress()])
def removal(site: Site) -> None:
    site.answers("a")
    site.delete("Ingress", "main")
    site.until(lambda got: got.status == MISSING)


@core("method, path, query, headers and body arrive as they were sent", lambda site: [site.ingress()])
def untouched(site: Site) -> None:
    site.answers("a")
    path = "/a%20b/~c;d=e/(f)?q=%41&r=a+b&%REQ(x)%=1"
    headers = [("X-Many", "1"), ("X-Many", "2"), ("X-Odd", '%REQ(x)% ${y} "q" \\1')]
    got = site.get(path, method="PATCH", headers=headers, body=b"\x00\xff body").echo
    assert (got.method, got.path, got.body) == ("PATCH", path, "\x00\xff body")
    assert ",".join(got.all_headers("x-many")).replace(" ", "") == "1,2"
    assert got.header("x-odd") == '%REQ(x)% ${y} "q" \\1'


@core("a WebSocket goes through", lambda site: [site.ingress()])
def websocket(site: Site) -> None:
    site.answers("a")
    address, port = site.stage.rig.reach(site.stage.http_port)

    async def talk() -> str | bytes:
        async with WebSocket.open(Target(port=port, address=address), "/ws", host=site.host) as socket:
            return await socket.exchange("hello")

    assert asyncio.run(talk()) in {"hello", b"hello"}


@core("events are streamed", lambda site: [site.ingress()])
def events(site: Site) -> None:
    site.answers("a")
    got = site.get("/sse")
    assert (got.header("content-type"), got.body.count(b"data: ")) == ("text/event-stream", 3)
