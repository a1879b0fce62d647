"""Every routing feature by real traffic through a real Envoy, and hostile texts that must arrive as the same bytes."""

import asyncio
from collections.abc import Iterator

import pytest
from served import World, answering, route, served

from weirkeeper.model.filters import (
    Cors,
    FullPath,
    HeaderEdit,
    HeaderValuePair,
    Mirror,
    PrefixPath,
    RegexSubstitution,
    Timeouts,
    UrlRewrite,
)
from weirkeeper.model.match import (
    CookieMatch,
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
    PathMatch,
    QueryExactly,
    QueryMatch,
    RegexPath,
    RouteMatch,
    SegmentPrefix,
    StringPrefix,
)
from weirkeeper.model.route import Forward, Redirect, Respond, WeightedBackend
from weirkeeper.providers.envoy import EnvoyOptions
from weirkeeper.testing.client import Http2Connection, Response, Target, UpgradeRefused, WebSocket, get, grpc_unary
from weirkeeper.testing.echo import EchoServer, echo_thread
from weirkeeper.testing.eventually import poll_until
from weirkeeper.testing.ports import free_port

pytestmark = pytest.mark.engine

BAD = '%REQ(x)% %{a} "q" \\ $1 %%DURATION% %'


def path(match: PathMatch) -> RouteMatch:
    return RouteMatch(path=match)


ROUTES = (
    route("r1", match=path(ExactPath(value="/exact"))),
    route("rr", match=path(SegmentPrefix(value="/red")), action=Redirect(scheme="https", status=308)),
    route(
        "rp",
        match=path(SegmentPrefix(value="/redport")),
        action=Redirect(scheme="https", port=8443, host="o.example", status=301),
    ),
    route(
        "rw",
        match=path(SegmentPrefix(value="/redto")),
        action=Redirect(to="https://x.example/p%REQ(x)%q?y=1", status=307),
    ),
    route(
        "rf",
        match=path(SegmentPrefix(value="/redfull")),
        action=Redirect(path=FullPath(value="/full%25REQ(x)%25"), status=303),
    ),
    route("rq", match=path(SegmentPrefix(value="/redpre")), action=Redirect(path=PrefixPath(value="/"), status=302)),
    route(
        "w1", match=path(SegmentPrefix(value="/a")), rewrite=UrlRewrite(path=PrefixPath(value="/"), host="new.example")
    ),
    route("w2", match=path(SegmentPrefix(value="/b")), rewrite=UrlRewrite(path=PrefixPath(value="/c%25REQ(x)%25/$1"))),
    route("w3", match=path(SegmentPrefix(value="/full")), rewrite=UrlRewrite(path=FullPath(value="/z"))),
    route(
        "w4",
        match=path(RegexPath(value="/re/(.*)", prefix=True)),
        rewrite=UrlRewrite(path=RegexSubstitution(pattern="^/re/([a-z]+)/([0-9]+)", substitution="/\\2/%REQ(x)%/\\1")),
    ),
    route(
        "hd",
        match=path(SegmentPrefix(value="/hd")),
        request_headers=HeaderEdit(
            set=(
                HeaderValuePair(name="X-Set", value=BAD),
                HeaderValuePair(name="X-Empty", value=""),
                HeaderValuePair(name="Host", value="edited.example"),
            ),
            add=(HeaderValuePair(name="X-Add", value="2"),),
            remove=("X-Gone",),
        ),
        response_headers=HeaderEdit(set=(HeaderValuePair(name="X-Resp", value=BAD),)),
    ),
    route(
        "rs",
        match=path(SegmentPrefix(value="/respond")),
        action=Respond(status=418, body="%REQ(x)% tea", content_type="text/x-%REQ(x)%"),
    ),
    route("ws", match=path(SegmentPrefix(value="/nows")), upgrades=()),
    route("mi", match=path(SegmentPrefix(value="/mirror")), mirrors=(Mirror(backend="m"),)),
    route("to", match=path(SegmentPrefix(value="/slow")), timeouts=Timeouts(request=200)),
    route("bt", match=path(SegmentPrefix(value="/bslow")), timeouts=Timeouts(backend_request=200)),
    route("n", to="none", match=path(SegmentPrefix(value="/none"))),
    route("n2", match=path(SegmentPrefix(value="/nobackends")), action=Forward(backends=())),
    route("dn", to="down", match=path(SegmentPrefix(value="/down"))),
    route("g", to="grpc", match=path(SegmentPrefix(value="/shop.Cart")), protocol="grpc"),
    route(
        "c",
        match=path(SegmentPrefix(value="/cors")),
        cors=Cors(
            origins=("https://ok.example", "https://*.wild.example"),
            methods=("GET", "PUT"),
            headers=("X-A",),
            credentials=True,
            max_age=600000,
        ),
    ),
    route(
        "q",
        match=RouteMatch(path=SegmentPrefix(value="/m"), query=(QueryMatch(name="q", match=QueryExactly(value="1")),)),
        to="b",
    ),
    route(
        "hh",
        match=RouteMatch(
            path=SegmentPrefix(value="/m"), headers=(HeaderMatch(name="X-V", match=Matches(value="v[0-9]+")),)
        ),
        to="b",
    ),
    route(
        "inv",
        match=RouteMatch(
            path=SegmentPrefix(value="/inv"),
            headers=(HeaderMatch(name="X-V", match=Exactly(value="no"), inverted=True),),
        ),
        to="b",
    ),
    route(
        "ck",
        match=RouteMatch(path=SegmentPrefix(value="/m"), cookies=(CookieMatch(name="canary", value="a.b"),)),
        to="b",
    ),
    route("me", match=RouteMatch(path=SegmentPrefix(value="/m"), methods=("PUT", "POST")), to="b"),
    route("sch", match=RouteMatch(path=SegmentPrefix(value="/sch"), scheme="https"), to="b"),
    route("pre", match=path(StringPrefix(value="/str")), to="b"),
    route("ci", match=path(RegexPath(value="/CI[0-9]", prefix=True, case_sensitive=False)), to="b"),
    route("xp", match=path(SegmentPrefix(value="/xp")), forwarded_prefix="/%REQ(x)%"),
    route(
        "wt",
        match=path(SegmentPrefix(value="/wt")),
        action=Forward(
            backends=(
                WeightedBackend(
                    backend="a",
                    weight=1,
                    request_headers=HeaderEdit(set=(HeaderValuePair(name="X-W", value="%REQ(x)%"),)),
                ),
                WeightedBackend(backend="b", weight=0),
            )
        ),
    ),
)


class Front:
    """The port of a running Envoy, and the backend that gets copies."""

    def __init__(self, port: int, mirror: EchoServer) -> None:
        self.port, self.mirror = port, mirror

    def get(self, path: str, **more: object) -> Response:
        return get(f"http://h.example{path}", via=self.port, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=["list", "trie"])
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    options = EnvoyOptions(ipv6=False, access_log=None, trie_from=1 if request.param == "trie" else 1000)
    world, port = World(options), free_port()
    world.listener("http", port)
    with echo_thread(name="a") as a, echo_thread(name="b") as b, echo_thread(name="m") as m:
        world.backend("a", a.port)
        world.backend("b", b.port)
        world.backend("m", m.port)
        world.backend("grpc", a.port, protocol="grpc")
        world.backend("none")
        world.backend("down", 1)
        world.host("h.example", *ROUTES)
        with served(world) as (_, told):
            answering(port, "http://h.example/exact", told)
            assert told.refusals == []
            yield Front(port, m)


def test_time_limits(front: Front) -> None:
    assert front.get("/slow?delay=0.4").status == 504
    assert front.get("/bslow?delay=0.4").status == 504


@pytest.mark.parametrize(
    ("path", "status", "location"),
    [
        ("/red/x?y=1", 308, "https://h.example/red/x?y=1"),
        ("/redport/x", 301, "https://o.example:8443/redport/x"),
        ("/redto/x?z=2", 307, "https://x.example/p%REQ(x)%q?y=1"),
        ("/redfull/1?k=v", 303, "http://h.example/full%25REQ(x)%25?k=v"),
        ("/redpre/z?k=v", 302, "http://h.example/z?k=v"),
        ("/redpre", 302, "http://h.example/"),
    ],
)
def test_redirects(front: Front, path: str, status: int, location: str) -> None:
    answer = front.get(path)
    assert (answer.status, answer.header("location")) == (status, location)


@pytest.mark.parametrize(
    ("path", "host", "seen"),
    [
        ("/a/x?q=1", "new.example", "/x?q=1"),
        ("/a", "new.example", "/"),
        ("/a//x", "new.example", "/x"),
        ("/b/y", "h.example", "/c%25REQ(x)%25/$1/y"),
        ("/b", "h.example", "/c%25REQ(x)%25/$1"),
        ("/full/1?q=2", "h.example", "/z?q=2"),
        ("/re/ab/12/rest", "h.example", "/12/%REQ(x)%/ab/rest"),
    ],
)
def test_rewrites(front: Front, path: str, host: str, seen: str) -> None:
    echo = front.get(path).echo
    assert (echo.path, echo.host) == (seen, host)


def test_header_edits_are_literal(front: Front) -> None:
    answer = front.get("/hd", headers=[("X-Gone", "1"), ("X-Add", "1"), ("X-Set", "old")])
    echo = answer.echo
    assert (echo.all_headers("x-set"), echo.all_headers("x-empty"), echo.all_headers("x-gone")) == ([BAD], [""], [])
    assert (echo.all_headers("x-add"), echo.host, answer.header("x-resp")) == (["1", "2"], "edited.example", BAD)
    assert front.get("/wt").echo.header("x-w") == "%REQ(x)%"
    assert front.get("/xp").echo.header("x-forwarded-prefix") == "/%REQ(x)%"


def test_answers_of_its_own(front: Front) -> None:
    answer = front.get("/respond")
    assert (answer.status, answer.text, answer.header("content-type")) == (418, "%REQ(x)% tea", "text/x-%REQ(x)%")
    assert [front.get(path).status for path in ("/nothing", "/none", "/nobackends", "/down")] == [404, 503, 503, 503]
    assert front.get("/nothing").header("server") == "envoy"


@pytest.mark.parametrize(
    ("path", "more", "name"),
    [
        ("/exact?a=1", {}, "a"),
        ("/exact/", {}, ""),
        ("/m?q=1", {}, "b"),
        ("/m?q=2", {}, ""),
        ("/m", {"headers": [("X-V", "v12")]}, "b"),
        ("/m", {"headers": [("X-V", "v12x")]}, ""),
        ("/m", {"headers": [("Cookie", "x=1; canary=a.b; y=2")]}, "b"),
        ("/m", {"headers": [("Cookie", "canary=aXb")]}, ""),
        ("/m", {"method": "PUT"}, "b"),
        ("/inv", {}, "b"),
        ("/inv", {"headers": [("X-V", "no")]}, ""),
        ("/sch", {"headers": [("X-Forwarded-Proto", "https")]}, ""),
        ("/string", {}, "b"),
        ("/ci7/x", {}, "b"),
        ("/x/../exact", {}, "a"),
        ("//exact", {}, "a"),
        ("/a%2e%2e/exact", {}, ""),
    ],
)
def test_matches(front: Front, path: str, more: dict[str, object], name: str) -> None:
    answer = front.get(path, **more)
    assert (answer.echo.name if answer.status == 200 else "") == name


def test_what_the_edge_refuses(front: Front) -> None:
    assert front.get("/exact", headers=[("Under_score", "1")]).status == 400
    assert front.get("/%2fexact").status == 400


def test_what_a_client_says_of_itself_is_replaced(front: Front) -> None:
    forged = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("X-Forwarded-Host", "evil"),
        ("X-Real-Ip", "6.6.6.6"),
        ("X-Request-Id", "mine"),
    ]
    echo = front.get("/exact", headers=forged).echo
    assert "6.6.6.6" not in str(echo.headers)
    assert (echo.header("x-forwarded-host"), echo.header("x-forwarded-proto")) == ("h.example", "http")
    assert echo.header("x-request-id") not in (None, "mine")


def test_mirror(front: Front) -> None:
    assert front.get("/mirror/x?s=1").echo.name == "a"
    poll_until(lambda: any(r.path == "/mirror/x?s=1" and r.host == "h.example" for r in front.mirror.requests))


def test_cors(front: Front) -> None:
    def allowed(origin: str, **more: object) -> Response:
        return front.get("/cors", headers=[("Origin", origin), ("Access-Control-Request-Method", "PUT")], **more)

    assert allowed("https://ok.example").header("access-control-allow-origin") == "https://ok.example"
    assert allowed("https://a.wild.example").header("access-control-allow-origin") == "https://a.wild.example"
    assert allowed("https://evil.example").header("access-control-allow-origin") is None
    assert allowed("https://okXexample").header("access-control-allow-origin") is None
    preflight = allowed("https://ok.example", method="OPTIONS")
    assert (preflight.status, preflight.header("access-control-allow-methods")) == (200, "GET, PUT")
    assert preflight.header("access-control-max-age") == "600"


def test_websocket_and_grpc(front: Front) -> None:
    async def talk() -> None:
        target = Target(port=front.port)
        async with WebSocket.open(target, "/exact", host="h.example") as socket:
            assert await socket.exchange("hello") == "hello"
        with pytest.raises(UpgradeRefused):
            async with WebSocket.open(target, "/nows", host="h.example"):
                pass
        async with Http2Connection(target) as two:
            reply = await grpc_unary(two, "/shop.Cart/Add", b"message", host="h.example")
        assert (reply.status, reply.messages) == (0, (b"message",))

    asyncio.run(talk())
