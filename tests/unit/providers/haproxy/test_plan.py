"""What becomes a step and what a reload: as values, without a HAProxy."""

from pathlib import Path
from typing import Any

import pytest

from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.filters import HeaderEdit, HeaderValuePair, Timeouts
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener, ListenerTls
from weirkeeper.model.match import ExactPath, HeaderMatch, Present, RouteMatch, SegmentPrefix, StringPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, L4Route, Redirect, Respond, Route, VirtualHost, WeightedBackend
from weirkeeper.providers.haproxy.assembly import Assembly
from weirkeeper.providers.haproxy.held import Held, held_of
from weirkeeper.providers.haproxy.plan import CAUSES, Cause, plan, settled
from weirkeeper.providers.haproxy.translate import hosts, items, streams
from weirkeeper.providers.haproxy.translate.items import Chain, Endpoints, Named, Port, Server, Stream
from weirkeeper.providers.haproxy.translate.names import POOL, ROUTES, STREAMS
from weirkeeper.providers.haproxy.translate.paths import places
from weirkeeper.providers.haproxy.translate.skeleton import Frame
from weirkeeper.providers.items import item

ORIGIN = Origin(ref=Ref(kind="Ingress", namespace="d", name="n"))
FRAME = Frame(pool=2)
DOCS = Path(__file__).parents[4] / "docs"
L: Any = "l"
PORT = Port(port=443, binds=("127.0.0.1:443",), tls=True, group=hosts.group_token("g"))


def route(name: str, path: Any = "/", **fields: Any) -> Route:
    match = RouteMatch(path=SegmentPrefix(value=path) if isinstance(path, str) else path, **fields.pop("match", {}))
    action = fields.pop("action", None) or Forward(backends=(WeightedBackend(backend=name),))  # type: ignore[arg-type]
    return Route(id=name, match=match, action=action, origin=ORIGIN, **fields)  # type: ignore[arg-type]


def host(hostname: str, *routes: Route) -> Any:
    wished = VirtualHost(id=hostname, load_balancer="l", group="g", hostname=hostname, routes=routes)  # type: ignore[arg-type]
    made = hosts.host(wished, lambda name: Backend(id=name, source=FromEndpointSet(id=name)), Timeouts())
    return dict([item(L, items.HOST, f"g|{hostname}", made)])


def members(name: str, *ports: int) -> Any:
    servers = tuple(Server(address="10.0.0.1", port=port) for port in ports)
    return dict([item(L, items.ENDPOINTS, name, Endpoints(servers=servers))])


@pytest.fixture
def wished() -> Assembly:
    made = Assembly()
    made.take(
        dict([item(L, items.PORT, "443", PORT)]) | members("a", 80) | members("b", 80) | host("h.example", route("a"))
    )
    return made


@pytest.fixture
def held(wished: Assembly) -> Held:
    found = held_of(wished, FRAME)
    wished.settle()
    return found


def done(held: Held, wished: Assembly) -> list[str]:
    found = plan(held, wished, FRAME)
    assert not found.causes, found.text()
    for step in found.steps:
        settled(held, step)
    wished.settle()
    return [step.command for step in found.steps]


def test_nothing_changes_when_nothing_changed(held: Held, wished: Assembly) -> None:
    assert plan(held, wished, FRAME).text() == "Nothing changes."


def test_a_new_backend_takes_a_section_of_the_pool_before_a_row_names_it(held: Held, wished: Assembly) -> None:
    wished.take(host("n.example", route("b")))
    said = done(held, wished)
    assert [text.split(" ")[:3] for text in said] == [
        ["add", "server", "pool-0/10.0.0.1_80"], ["set", "server", "pool-0/10.0.0.1_80"], ["add", "map", POOL], ["add", "map", ROUTES],
    ]  # fmt: skip
    assert held.free == ["pool-1"]
    wished.take(dict.fromkeys(host("n.example", route("b"))))
    assert [text.split(" ")[:2] for text in done(held, wished)] == [["del", "map"], ["del", "map"], ["set", "server"]]


def test_what_a_plan_did_is_what_is_held_after_a_start(held: Held, wished: Assembly) -> None:
    wished.take(members("a", 81, 82) | host("h.example", route("a", "/x"), route("b", ExactPath(value="/y"))))  # type: ignore[arg-type]
    done(held, wished)
    fresh = held_of(wished, FRAME)
    assert held.tables[ROUTES] == fresh.tables[ROUTES]
    for name, section in wished.sections.rows.items():
        if section.source:
            assert held.table(f"servers/{held.place(name)}") == fresh.table(f"servers/{name}")


def test_what_must_be_text_is_a_reload_and_endpoints_do_not_wait(held: Held, wished: Assembly) -> None:
    edit = HeaderEdit(set=(HeaderValuePair(name="x", value="1"),))  # type: ignore[arg-type]
    wished.take(host("h.example", route("a", request_headers=edit)) | host("n.example", route("a")) | members("a", 81))
    found = plan(held, wished, FRAME)
    assert (found.causes, found.steps) == ((Cause.SECTION,), ())
    assert [" ".join((words[0], words[-1])) for words in (step.command.split(" ") for step in found.at_once)] == [
        "add 1",
        "set ready",
        "set maint",
    ]
    assert CAUSES[Cause.SECTION] in found.text()


def test_a_section_that_is_left_serves_until_the_reload(held: Held, wished: Assembly) -> None:
    edit = HeaderEdit(set=(HeaderValuePair(name="x", value="1"),))  # type: ignore[arg-type]
    wished.take(host("h.example", route("a", request_headers=edit)))
    found = plan(held, wished, FRAME)
    assert (found.causes, found.at_once) == ((Cause.SECTION,), ())


def test_conditions_and_listeners_are_the_frame(held: Held, wished: Assembly) -> None:
    there: Any = {"headers": (HeaderMatch(name="x", match=Present()),)}  # type: ignore[arg-type]
    wished.take(host("h.example", route("b", match=there), route("a")))
    assert Cause.FRAME in plan(held, wished, FRAME).causes


def test_the_pool_ends(held: Held, wished: Assembly) -> None:
    wished.take(
        {
            key: one
            for n in range(3)
            for key, one in (host(f"{n}.example", route(f"s{n}")) | members(f"s{n}", 1)).items()
        }
    )
    assert plan(held, wished, FRAME).causes == (Cause.POOL,)


def test_certificates_are_added_shown_and_hidden_while_it_runs(held: Held, wished: Assembly) -> None:
    one, two = (dict([item(L, items.CERTIFICATE, name, Chain(pem=f"{name}\n"))]) for name in ("one", "two"))

    def named(name: Any) -> Any:
        return dict([item(L, items.SERVER_NAME, "h.example", Named(certificate=name))])

    wished.take(one | two | named("one"))
    assert [text.split(" ")[0] for text in done(held, wished)] == [
        "new",
        "set",
        "commit",
        "new",
        "set",
        "commit",
        "add",
    ]
    wished.take(named("two"))
    assert [" ".join(text.split(" ")[:3]) for text in done(held, wished)] == ["add ssl crt-list", "del ssl crt-list"]
    assert held.table("list/443") == held_of(wished, FRAME).table("list/443")
    wished.take(dict.fromkeys(named("two")) | dict.fromkeys(two))
    assert [" ".join(text.split(" ")[:3]) for text in done(held, wished)] == ["del ssl crt-list", "del ssl cert"]
    assert held.table("list/443") == {}


def test_shared_sections_stay_as_long_as_one_needs_them(held: Held, wished: Assembly) -> None:
    wished.take(host("n.example", route("a")))
    done(held, wished)
    wished.take(dict.fromkeys(host("h.example", route("a"))))
    assert all(" map " in text for text in done(held, wished))


def test_places_list_what_covers_them_in_order() -> None:
    routes = [
        route("first", "/", priority=1),
        route("exact", ExactPath(value="/a")),
        route("deep", "/a/b"),
        route("letters", StringPrefix(value="/a/")),
    ]  # type: ignore[arg-type]
    found = places(routes)
    assert {path: [one.id for one in many] for path, many in found.exact.items()} == {"/a": ["first", "exact"]}
    assert {raw: [one.id for one in many] for raw, many in found.prefix.items()} == {
        "/": ["first"], "/a/b/": ["first", "deep", "letters"], "/a/": ["first", "letters"],
    }  # fmt: skip


def test_schemes_are_known_before_the_search() -> None:
    made = host(
        "h.example", route("to", match={"scheme": "http"}, action=Redirect(scheme="https", status=308)), route("a")
    )  # type: ignore[arg-type]
    (found,) = made.values()
    assert b'/h.example/":"redirect-308.' in found.body
    assert b";a." in found.body


def test_weights_become_few_shares() -> None:
    assert hosts.reduced([50, 50]) == [1, 1]
    assert hosts.reduced([90, 10]) == [9, 1]
    assert sum(hosts.reduced([999_983, 7])) <= hosts.MOST_SHARES
    assert min(hosts.reduced([999_983, 7])) == 1


def test_every_cause_is_documented() -> None:
    page = (DOCS / "haproxy.md").read_text()
    assert set(CAUSES) == set(Cause)
    for cause, about in CAUSES.items():
        assert f"| `{cause}` | {about} |" in page


def test_an_answer_of_its_own_is_shared() -> None:
    refused = Respond(status=500)
    one, two = (host(name, route("r", action=refused)) for name in ("a.example", "b.example"))
    made = Assembly()
    made.take(one | two)
    assert len([name for name in made.sections.rows if name.startswith("answer-500")]) == 1


def test_a_section_moves_in_only_where_no_reload_is_due(held: Held, wished: Assembly) -> None:
    """Its servers are not put into the pool by steps that do not wait: the reload gives it a section of its own."""
    wished.take(
        host("n.example", route("b"))
        | host("e.example", route("a", request_headers=HeaderEdit(set=(HeaderValuePair(name="x", value="y"),))))
    )
    wished.take(members("a", 81))
    found = plan(held, wished, FRAME)
    assert found.causes == (Cause.SECTION,)
    assert [step.command for step in found.at_once if "pool-" in step.command] == []
    assert any("/10.0.0.1_81" in step.command for step in found.at_once), (
        "endpoints of sections that are there do not wait"
    )


def test_a_haproxy_without_lua_complains_about_the_sections_that_need_it() -> None:
    from weirkeeper.providers.haproxy.blame import blamed  # noqa: PLC0415
    from weirkeeper.providers.haproxy.translate.skeleton import SCRIPTED, Line  # noqa: PLC0415

    rule = "  http-request lua.authorize 'to b'"
    text = [Line("global"), SCRIPTED, Line("backend b.1", "b.1"), Line(rule, "b.1"), Line("backend c.2", "c.2")]
    complaints = (
        "[ALERT]    (1) : config : parsing [haproxy.cfg:2] : unknown keyword 'lua-load-per-thread' in 'global' section\n"
        "[ALERT]    (1) : config : parsing [haproxy.cfg:4] : 'http-request' expects ..., but got 'lua.authorize'. Did you mean 'allow' maybe ?\n"
    )
    found = blamed(complaints, text)
    assert {name for name in found if name} == {"b.1"}
    assert "lua.authorize" in found["b.1"]


def led(name: str, to: str, **fields: Any) -> Any:
    route = L4Route(id=name, load_balancer="l", listener="tls", tls="passthrough", sni=(name,), origin=ORIGIN,
                    forward=Forward(backends=(WeightedBackend(backend=to),)), **fields)  # type: ignore[arg-type]  # fmt: skip
    made = streams.stream_host(
        route, TLS, lambda name: Backend(id=name, source=FromEndpointSet(id=name)), lambda _: False
    )
    return dict([item(L, items.HOST, f"l4|{name}", made)])


TLS = Listener(
    id="tls",
    load_balancer="l",
    group="tls",
    port=8443,
    protocol="tls",
    tls=ListenerTls(mode="passthrough"),
    origin=ORIGIN,
)  # type: ignore[arg-type]
UNOPENED = Port(port=8443, binds=("127.0.0.1:8443",), group="x", http=False, stream=Stream(asks=True, levels=2))


def test_names_of_bytes_and_their_backends_come_and_go_without_a_reload() -> None:
    wished = Assembly()
    wished.take(
        dict([item(L, items.PORT, "8443", UNOPENED)]) | members("a", 80) | members("b", 80) | led("one.example", "a")
    )
    held = held_of(wished, FRAME)
    wished.settle()
    wished.take(led("two.example", "b"))
    assert [text.split(" ")[:3] for text in done(held, wished)] == [
        ["add", "server", "pool-bytes-0/10.0.0.1_80"], ["set", "server", "pool-bytes-0/10.0.0.1_80"], ["add", "map", POOL], ["add", "map", STREAMS],
    ]  # fmt: skip
    wished.take(led("three.example", "b"))
    assert [text.split(" ")[:3] for text in done(held, wished)] == [["add", "map", STREAMS]]
    wished.take(dict.fromkeys([*led("two.example", "b"), *led("three.example", "b")]))
    assert [text.split(" ")[:2] for text in done(held, wished)] == [["del", "map"]] * 3 + [["set", "server"]]
    wished.take(led("four.example", "a", idle=5))
    assert plan(held, wished, FRAME).causes == (Cause.SECTION,)


def test_a_first_port_for_bytes_is_a_reload(held: Held, wished: Assembly) -> None:
    wished.take(dict([item(L, items.PORT, "8443", UNOPENED)]) | led("one.example", "a"))
    assert Cause.FRAME in plan(held, wished, FRAME).causes
