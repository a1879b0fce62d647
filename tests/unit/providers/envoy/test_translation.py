"""Pure laws of the translation: deterministic bytes, needs, escaping, secrets unseen, a constant key filter, work in proportion to the change."""

from typing import Any

import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, scoped_route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from hypothesis import given
from hypothesis import strategies as st

from weirkeeper.flow import Graph
from weirkeeper.model.backend import Backend, BackendTls, FromEndpointSet
from weirkeeper.model.certificate import Certificate
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import Endpoint, EndpointSet, EndpointState
from weirkeeper.model.features import FEATURES
from weirkeeper.model.filters import BasicAuth, Credentials, ExternalAuth, HeaderEdit, HeaderValuePair, Mirror, Timeouts
from weirkeeper.model.ids import HostKey, Part, Ref
from weirkeeper.model.listener import ClientAddress, HttpOptions, Listener, ListenerTls
from weirkeeper.model.match import RegexPath, RouteMatch, SegmentPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.passwords import password_scheme
from weirkeeper.model.route import Forward, Route, VirtualHost, WeightedBackend
from weirkeeper.model.secret import Secret
from weirkeeper.providers.base import Composed, EngineItem, ItemKey
from weirkeeper.providers.envoy import PROVIDER, EnvoyOptions, EnvoyProvider, names
from weirkeeper.providers.envoy.translate.answer_script import LUA as ANSWERS_LUA
from weirkeeper.providers.envoy.translate.basic_auth import NOBODY
from weirkeeper.providers.envoy.translate.endpoints import load_assignment
from weirkeeper.providers.envoy.translate.hosts import group_token, host_part
from weirkeeper.providers.envoy.translate.key_filter import LUA
from weirkeeper.providers.envoy.translate.values import literal, quoted
from weirkeeper.providers.envoy.translate.wire import nested, varint

ORIGIN = Origin(ref=Ref(kind="Ingress", namespace="default", name="test"))
SCRIPTS = ((names.EXTENSION, names.KEYS), (names.EXTENSION, names.ANSWERS))
LB: Any = "lb"


def route(name: Any = "r", **more: Any) -> Route:
    return Route(**{"id": name, "origin": ORIGIN, "action": Forward(backends=(WeightedBackend(backend="a"),)), **more})  # type: ignore[arg-type]


def host(hostname: Any, *routes: Route, group: Any = "g", labels: int | None = None) -> VirtualHost:
    return VirtualHost(
        id=hostname, load_balancer=LB, group=group, hostname=hostname, routes=routes, wildcard_labels=labels
    )


class World:
    """A graph with the Envoy translation."""

    def __init__(self, layout: Any = "scoped") -> None:
        self.graph = Graph()
        self.composed = Composed(*(self.graph.source(name) for name in Composed._fields))
        self.items = EnvoyProvider(EnvoyOptions(layout=layout)).declare(self.graph, self.composed)
        self.put("load_balancers", LB, LoadBalancer(id=LB, origin=ORIGIN))

    def put(self, table: str, key: Any, value: Any) -> None:
        self.graph.put(getattr(self.composed, table), key, value)

    def host(self, value: VirtualHost) -> None:
        self.put("virtual_hosts", HostKey(LB, value.group, value.hostname), value)

    def rows(self) -> dict[ItemKey, EngineItem]:
        self.graph.settle()
        return dict(self.graph.rows(self.items))


def listener(name: Any, port: int, **more: Any) -> Listener:
    return Listener(**{"id": name, "load_balancer": LB, "group": "g", "port": port, "origin": ORIGIN, **more})


def test_declared_features_exist() -> None:
    assert PROVIDER.name == "envoy"
    assert PROVIDER.capabilities.supported <= set(FEATURES)
    assert set(PROVIDER.capabilities.degrades) <= set(FEATURES)


def test_scope_names_what_it_needs() -> None:
    world = World()
    wished = route(
        action=Forward(
            backends=(
                WeightedBackend(backend="a"),
                WeightedBackend(backend="b"),
                WeightedBackend(backend="z", weight=0),
            )
        ),  # type: ignore[arg-type]
        mirrors=(Mirror(backend="m"),),  # type: ignore[arg-type]
        auth=(ExternalAuth(backend="auth"),),  # type: ignore[arg-type]
    )
    world.host(host("h.example", wished))
    item = world.rows()[ItemKey(LB, names.SCOPE, "g|h.example")]
    assert item.needs == tuple((names.CLUSTER, name) for name in ("a", "auth", "b", "m"))
    assert item.origins == (ORIGIN,)
    scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(item.whole)
    config = scope.route_configuration
    assert (scope.name, scope.key.fragments[0].string_key) == ("g|h.example", "g|h.example")
    assert [list(h.domains) for h in config.virtual_hosts] == [["h.example"]]
    assert [r.name for r in config.virtual_hosts[0].routes] == ["r", "-"]
    assert set(config.typed_per_filter_config) == {names.KEYS, *names.OPTIONAL}
    assert set(config.request_headers_to_remove) == set(names.INTERNAL_HEADERS)


def test_a_cluster_needs_members_and_secrets() -> None:
    world = World()
    tls = BackendTls(trust="t", verify=True, client_certificate="c")  # type: ignore[arg-type]
    world.put("backends", Part(LB, "b"), Backend(id="b", source=FromEndpointSet(id="e"), tls=tls))  # type: ignore[arg-type]
    item = world.rows()[ItemKey(LB, names.CLUSTER, "b")]
    assert item.needs == tuple(sorted([(names.ENDPOINTS, "e"), (names.SECRET, "cert/c"), (names.SECRET, "ca/t")]))


def test_a_change_runs_only_its_own_host() -> None:
    world = World()
    for n in range(50):
        world.host(host(f"h{n}.example", route()))
    world.host(host("*.w.example", route(), labels=1))
    world.rows()
    world.host(host("h7.example", route("changed")))
    settled = world.graph.settle()
    assert set(settled.changes(world.items)) == {ItemKey(LB, names.SCOPE, "g|h7.example")}
    assert settled.runs.get("envoy/scopes") == 1
    assert "envoy/fallback-scopes" not in settled.runs


def test_equal_wishes_make_equal_bytes() -> None:
    edit = HeaderEdit(set=tuple(HeaderValuePair(name=f"x-{n}", value=str(n)) for n in range(9)))  # type: ignore[arg-type]
    made = []
    for order in (1, -1):
        world = World()
        for n in range(20)[::order]:
            world.host(host(f"*.h{n}.example", route(request_headers=edit, auth=(ExternalAuth(backend="auth"),))))  # type: ignore[arg-type]
        made.append({key: (item.whole, item.version) for key, item in world.rows().items()})
    assert made[0] == made[1]


def test_policy_hosts_answer_421_elsewhere_unless_the_group_has_them() -> None:
    world = World()
    general = listener("general", 443, tls=ListenerTls(default_certificate="d"))  # type: ignore[arg-type]
    world.put("listeners", Part(LB, "general"), general)
    for name in ("b.example", "*.s.example", "own.example"):
        policy = listener(name, 443, group="p", hostname=name, tls=ListenerTls(certificates=("c",)))  # type: ignore[arg-type]
        world.put("listeners", Part(LB, name), policy)  # type: ignore[arg-type]
    world.host(host("own.example", route()))
    rows = world.rows()

    def statuses(name: str) -> list[int]:
        scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(rows[ItemKey(LB, names.SCOPE, name)].whole)
        return [r.direct_response.status for h in scope.route_configuration.virtual_hosts for r in h.routes]

    assert statuses("g|b.example") == [421]
    assert statuses("g|*") == [404, 421], "nobody's hosts, then the policy's wildcard"
    assert statuses("p|*") == [421], "a host that the policy's group does not have"
    assert statuses("g|own.example") == [0, 404]
    needs = rows[ItemKey(LB, names.LISTENER, "port-443")].needs
    assert {(names.SECRET, "cert/c"), (names.SECRET, "cert/d"), *SCRIPTS} == set(needs)


def test_each_chain_that_believes_some_addresses_has_another_for_strangers() -> None:
    world = World()
    some: Any = {"http": HttpOptions(client_address=ClientAddress(trusted=("10.0.0.0/8",)))}  # type: ignore[arg-type]
    world.put("listeners", Part(LB, "all"), listener("all", 443, protocol="https", tls=ListenerTls(default_certificate="d"), **some))  # type: ignore[arg-type]
    named = listener("own", 443, protocol="https", hostname="own.example", tls=ListenerTls(certificates=("c",)), **some)  # type: ignore[arg-type]
    world.put("listeners", Part(LB, "own"), named)  # type: ignore[arg-type]
    world.put("listeners", Part(LB, "plain"), listener("plain", 80, **some))  # type: ignore[arg-type]
    rows, strangers = world.rows(), {}
    for name in ("port-443", "port-80"):
        made = listener_pb2.Listener.FromString(rows[ItemKey(LB, names.LISTENER, name)].whole)
        targets = repr(made.filter_chain_matcher)
        for chain in made.filter_chains:
            manager = http_connection_manager_pb2.HttpConnectionManager()
            chain.filters[0].typed_config.Unpack(manager)
            strangers[chain.name] = b"x-forwarded-proto" in manager.early_header_mutation_extensions[0].typed_config.value
            assert chain.name in targets
    chains = ("on-demand", "fallback", "host/own.example", "plain")
    assert strangers == dict.fromkeys(chains, False) | {f"{name} (strangers)": True for name in chains}


def test_monolithic_layout_has_one_table_for_a_group() -> None:
    world = World("rds")
    for name in ("a.example", "*.w.example", "*"):
        world.host(host(name, route()))
    rows = world.rows()
    assert {(key.kind, key.name) for key in rows} == {(names.ROUTES, "g"), (names.EXTENSION, names.ANSWERS)}


PEM = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"


def test_nothing_secret_is_printed() -> None:
    world = World()
    certificate: Any = {
        "id": "c",
        "chain": "CHAIN",
        "key": Secret(PEM),
        "names": ("h.example", "*.h.example"),
        "default": True,
    }
    world.put("certificates", Part(LB, "c"), Certificate(origin=ORIGIN, **certificate))  # type: ignore[arg-type]
    hashed = "{SHA}" + "A" * 27 + "="
    world.host(host("h.example", route(auth=(BasicAuth(users=(Credentials(user="u", hash=Secret(hashed)),)),))))  # type: ignore[arg-type]
    world.put("listeners", Part(LB, "l"), listener("l", 443, tls=ListenerTls()))  # type: ignore[arg-type]
    rows = world.rows()
    text = PROVIDER.printed(rows)
    assert text == PROVIDER.printed(dict(reversed(rows.items())))
    assert "c2VjcmV0" not in text
    assert hashed not in text
    assert "<redacted " in text
    item = rows[ItemKey(LB, names.SECRET, "cert/c")]
    assert (item.serves, item.default) == (("h.example", "*.h.example"), True)
    relabelled = secret_pb2.Secret.FromString(item.whole + nested(1, b"h.example"))
    assert (relabelled.name, relabelled.tls_certificate.private_key.inline_string) == ("h.example", PEM)


HOSTILE = [
    "%REQ(x)%",
    "%{a}",
    '"',
    "'",
    "\\",
    "$1",
    "]]",
    "--",
    "]]--\nos.execute()",
    "%",
    "%%",
    "{{x}}",
    "|",
    ":",
    "g|h",
    "\u00e9",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_values(text: str) -> None:
    edit = HeaderEdit(set=(HeaderValuePair(name="x", value=text),), add=(HeaderValuePair(name="y", value=text),))  # type: ignore[arg-type]
    world = World()
    world.host(host("h.example", route(request_headers=edit, response_headers=edit, forwarded_prefix=text)))
    world.put("listeners", Part(LB, "l"), listener("l", 80, group=text))  # type: ignore[arg-type]
    rows = world.rows()
    scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(rows[ItemKey(LB, names.SCOPE, "g|h.example")].whole)
    made = scope.route_configuration.virtual_hosts[0].routes[0]
    for one in (*made.request_headers_to_add, *made.response_headers_to_add):
        assert one.header.value == text.replace("%", "%%")
    for kind, name in SCRIPTS:
        assert rows[ItemKey(LB, kind, name)].whole == World().rows()[ItemKey(LB, kind, name)].whole
    assert not set(group_token(text)) & set("%:|")  # type: ignore[arg-type]


def test_group_tokens_never_meet() -> None:
    groups = ["a", "A", "a:b", "a|b", "a%b", "a~3ab", "a/b", "a.b", "a b", "~", "~7e", ""]
    assert len({group_token(g) for g in groups}) == len(groups)  # type: ignore[arg-type]


def test_no_key_filter_text_comes_from_a_wish() -> None:
    assert LUA.count("envoy_on_request") == 1
    assert all(name in LUA for name in names.DEMANDING)
    assert ANSWERS_LUA.count("envoy_on_request") == ANSWERS_LUA.count("envoy_on_response") == 1


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_escapes(text: str) -> None:
    assert literal(text).replace("%%", "\x00").count("%") == 0
    assert literal(text).replace("%%", "%") == text
    assert "".join(c for c in quoted(text) if c != "\\") == text.replace("\\", "")


@given(st.integers(0, 2**40))
def test_varint(value: int) -> None:
    total = sum((byte & 127) << 7 * n for n, byte in enumerate(varint(value)))
    assert total == value


def test_endpoints_are_ranked_and_only_usable_ones_sent() -> None:
    members: Any = (
        Endpoint(address="10.0.0.1", port=1, zone="b", priority=7),  # type: ignore[arg-type]
        Endpoint(address="10.0.0.2", port=1, zone="a", priority=3, weight=5),  # type: ignore[arg-type]
        Endpoint(address="10.0.0.3", port=1, state=EndpointState.NOT_READY),  # type: ignore[arg-type]
    )
    made = endpoint_pb2.ClusterLoadAssignment.FromString(load_assignment(EndpointSet(id="e", endpoints=members)))  # type: ignore[arg-type]
    assert [(p.priority, p.locality.zone, len(p.lb_endpoints)) for p in made.endpoints] == [(0, "a", 1), (1, "b", 1)]
    assert load_assignment(EndpointSet(id="e")) == b"\n\x01e"  # type: ignore[arg-type]


def test_hashes_that_envoy_compares() -> None:
    assert password_scheme(Secret(NOBODY.removeprefix("-:"))) == "sha"


def test_a_host_with_many_paths_gets_a_trie_and_many_expressions_do_not() -> None:
    literals = tuple(route(f"r{n}", match=RouteMatch(path=SegmentPrefix(value=f"/p{n}"))) for n in range(60))  # type: ignore[arg-type]
    expressions = tuple(route(f"e{n}", match=RouteMatch(path=RegexPath(value=f"/e{n}"))) for n in range(60))  # type: ignore[arg-type]

    def matcher(hostname: str, routes: tuple[Route, ...], trie_from: int) -> bool:
        part = host_part(host(hostname, *routes), Timeouts(), trie_from)
        made = route_components_pb2.VirtualHost.FromString(part.head + part.routes + part.tail)
        assert bool(made.routes) != made.HasField("matcher"), "one or the other"
        return bool(made.HasField("matcher"))

    assert not matcher("h.example", literals, 100)
    assert matcher("h.example", literals, 50)
    assert not matcher("h.example", literals + expressions, 50)
    assert not matcher("*.h.example", literals, 50)
