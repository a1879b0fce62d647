"""More than 500 strings through every string type and field that reaches Envoy: the structure never changes, and nothing is interpreted.

Three views. *Structure*: each text of the model is replaced by each string that its type lets through; Envoy's configuration has the same tree, only leaves
differ. *Manifests*: each annotation and field of an Ingress gets each string; what is refused is told, listeners and the program that Envoy runs stay the
same bytes. *Traffic*: an echo backend and the client see the very bytes.
"""

import asyncio
import ipaddress
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from corpus import corpus
from google.protobuf import json_format
from leaves import Leaf, leaves, replaced, shape

from weirkeeper.controllers.ingress import IngressController
from weirkeeper.controllers.ingress.annotations.table import TABLE
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.kube.types import ConfigMap, Ingress, KubeObject, Secret, Service
from weirkeeper.model.backend import Backend, BackendTls, ConsistentHash, FromDns, FromEndpointSet, HealthCheck
from weirkeeper.model.filters import (
    BasicAuth,
    CookieAffinity,
    Cors,
    ExternalAuth,
    FullPath,
    HashOn,
    HeaderEdit,
    HeaderValuePair,
    IpRules,
    LocalRateLimit,
    Mirror,
    PrefixPath,
    RegexSubstitution,
    UrlRewrite,
)
from weirkeeper.model.match import (
    BeginsWith,
    Contains,
    CookieMatch,
    Exactly,
    ExactPath,
    HeaderMatch,
    Matches,
    QueryExactly,
    QueryMatch,
    QueryMatches,
    RegexPath,
    RouteMatch,
    SegmentPrefix,
    StringPrefix,
)
from weirkeeper.model.route import Forward, Redirect, Respond, Route, WeightedBackend
from weirkeeper.model.text import (
    TEXT_TYPES,
    Authority,
    BodyText,
    Cidr,
    HeaderName,
    HeaderValue,
    PathText,
    Refused,
    RegexText,
    Substitution,
    WebOrigin,
    parse,
)
from weirkeeper.providers.envoy import PROVIDER, EnvoyProvider, names
from weirkeeper.reconcile import Reconciler
from weirkeeper.testing.client import Http1Connection, Response, Target
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import Backends, running_backends
from weirkeeper.testing.conformance.stage import Stage, running_stage

sys.path.insert(0, str(Path(__file__).parents[1] / "envoy_translation"))
from served import World, route

CORPUS = corpus()
A_FEW = 60
"""Each type gets the whole corpus at one place, and so many of its strings at each of its other places."""


def test_the_corpus_is_large_and_hostile() -> None:
    assert len(CORPUS) >= 500
    for kind in TEXT_TYPES:
        assert any(isinstance(parse(kind, text), Refused) for text in CORPUS), kind


# -- structure

EDIT: Any = HeaderEdit(
    set=(HeaderValuePair(name="X-Set", value="v"),), add=(HeaderValuePair(name="X-Add", value="v"),), remove=("X-Gone",)
)  # type: ignore[arg-type]
A, B = WeightedBackend(backend="a", request_headers=EDIT, response_headers=EDIT), WeightedBackend(backend="b")  # type: ignore[arg-type]


def _match(path: Any, **more: Any) -> RouteMatch:
    return RouteMatch(path=path, **more)


def _header(value: Any) -> RouteMatch:
    return _match(SegmentPrefix(value="/"), headers=(HeaderMatch(name="X-Match", match=value),))  # type: ignore[arg-type]


ROUTES: dict[str, Route] = {
    "filters": route(
        match=_match(
            ExactPath(value="/exact"),  # type: ignore[arg-type]
            methods=("GET", "PUT"),
            cookies=(CookieMatch(name="c", value="v"),),  # type: ignore[arg-type]
            query=(
                QueryMatch(name="q", match=QueryExactly(value="v")),
                QueryMatch(name="r", match=QueryMatches(value="v")),
            ),  # type: ignore[arg-type]
        ),
        action=Forward(backends=(A, B)),
        request_headers=EDIT,
        response_headers=EDIT,
        rewrite=UrlRewrite(host="h.example", path=FullPath(value="/full")),  # type: ignore[arg-type]
        forwarded_prefix="/pre",
        mirrors=(Mirror(backend="b", host="m.example"),),  # type: ignore[arg-type]
        cors=Cors(origins=("https://o.example",), methods=("GET",), headers=("X-A",), exposed=("X-B",)),  # type: ignore[arg-type]
        ip_rules=IpRules(allow=("10.0.0.0/8",), deny=("10.1.0.0/16",)),  # type: ignore[arg-type]
        affinity=CookieAffinity(name="stay", path="/p", domain="d.example"),  # type: ignore[arg-type]
        rate_limits=(LocalRateLimit(amount=1, per=1000, burst=1, key="x-key"),),  # type: ignore[arg-type]
    ),
    "authenticated": route(
        auth=(
            ExternalAuth(
                backend="b",  # type: ignore[arg-type]
                path="/check",  # type: ignore[arg-type]
                query="q=1",  # type: ignore[arg-type]
                method="GET",  # type: ignore[arg-type]
                host="auth.example",  # type: ignore[arg-type]
                request_headers=("X-Q",),  # type: ignore[arg-type]
                response_headers=("X-R",),  # type: ignore[arg-type]
                sign_in="/sign-in",  # type: ignore[arg-type]
            ),
        ),
        affinity=HashOn(on="header", name="X-User"),  # type: ignore[arg-type]
    ),
    "passwords": route(auth=(BasicAuth(users=(), realm="shop"),)),  # type: ignore[arg-type]
    "prefix": route(match=_match(SegmentPrefix(value="/a")), rewrite=UrlRewrite(path=PrefixPath(value="/b"))),  # type: ignore[arg-type]
    "letters": route(match=_match(StringPrefix(value="/a"))),  # type: ignore[arg-type]
    "expression": route(
        match=_match(RegexPath(value="/a.*")),  # type: ignore[arg-type]
        rewrite=UrlRewrite(path=RegexSubstitution(pattern="^/a(.*)", substitution="/b\\1")),  # type: ignore[arg-type]
    ),
    "header exactly": route(match=_header(Exactly(value="v"))),  # type: ignore[arg-type]
    "header expression": route(match=_header(Matches(value="v"))),  # type: ignore[arg-type]
    "header contains": route(match=_header(Contains(value="v"))),  # type: ignore[arg-type]
    "header begins": route(match=_header(BeginsWith(value="v"))),  # type: ignore[arg-type]
    "redirect": route(action=Redirect(scheme="https", host="r.example", path=FullPath(value="/to"), status=301)),  # type: ignore[arg-type]
    "redirect prefix": route(match=_match(SegmentPrefix(value="/a")), action=Redirect(path=PrefixPath(value="/to"))),  # type: ignore[arg-type]
    "redirect to": route(action=Redirect(to="https://x.example/y", status=302)),  # type: ignore[arg-type]
    "respond": route(action=Respond(status=200, body="hello", content_type="text/x-said")),  # type: ignore[arg-type]
}

BACKENDS: dict[str, Any] = {
    "members": lambda name: Backend(
        id=name,
        source=FromEndpointSet(id=name),
        balancing=ConsistentHash(),
        health=HealthCheck(path="/health", host="h.example"),  # type: ignore[arg-type]
        tls=BackendTls(
            server_name="s.example", trust="ca", verify=True, san_dns=("s.example",), san_uri=("spiffe://a/b",)
        ),  # type: ignore[arg-type]
        stats_name="stats",  # type: ignore[arg-type]
    ),
    "dns": lambda name: Backend(id=name, source=FromDns(name="d.example", port=80)),  # type: ignore[arg-type]
}


def _tree(body: bytes, kind: str) -> Any:
    message = names_to_message(kind)
    message.ParseFromString(body)
    return json_format.MessageToDict(message)


def names_to_message(kind: str) -> Any:
    """An empty message of that type URL."""
    from google.protobuf import message_factory, symbol_database  # noqa: PLC0415

    descriptor = symbol_database.Default().pool.FindMessageTypeByName(kind.rpartition("/")[2])
    return message_factory.GetMessageClass(descriptor)()


def _places() -> list[tuple[str, str, Leaf]]:
    found = [("route", name, leaf) for name, one in ROUTES.items() for leaf in leaves(one)]
    return found + [("backend", name, leaf) for name, made in BACKENDS.items() for leaf in leaves(made("x"))]


def _texts(place: tuple[str, str, Leaf], first: dict[object, tuple[str, str, Leaf]]) -> list[str]:
    kind = place[2].kind
    made = (
        [f"https://to.example/{text}" for text in CORPUS if "?" not in text] if str(place[2]) == "action.to" else CORPUS
    )
    fitting = [text for text in made if not isinstance(parse(kind, text), Refused) and _meant(place, text)]  # type: ignore[type-var]
    return fitting if first[kind] == place else fitting[:: max(len(fitting) // A_FEW, 1)]


def _meant(place: tuple[str, str, Leaf], text: str) -> bool:
    """Whether it is no more than text there: ranges are ranges, and a segment prefix ends without a slash."""
    if place[2].kind is Cidr:
        try:
            return bool(ipaddress.ip_network(text, strict=False))
        except ValueError:
            return False
    if place[2].kind is WebOrigin:
        return "*" not in text  # it means any host there
    return not (str(place[2]) == "match.path.value" and text.endswith("/"))


def _trees(place: tuple[str, str, Leaf], texts: list[str]) -> Iterator[tuple[str, Any]]:
    what, name, leaf = place
    world = World()
    for number, text in enumerate(texts):
        if what == "route":
            world.host(f"h{number}.example", replaced(ROUTES[name], leaf.path, text))
        else:
            made = replaced(BACKENDS[name](f"b{number}"), leaf.path, text)
            world.part("backends", made)
    items = {key.name: (key.kind, item.whole) for key, item in world.settled().items()}
    scopes = {} if what != "route" else _scopes(items)
    for number, text in enumerate(texts):
        kind, body = scopes[f"h{number}.example"] if what == "route" else items[f"b{number}"]
        yield text, _tree(body, kind)


def _scopes(items: dict[str, tuple[str, bytes]]) -> dict[str, tuple[str, bytes]]:
    found = {}
    for kind, body in items.values():
        if kind == names.SCOPE:
            hosts = _tree(body, kind)["routeConfiguration"]["virtualHosts"]
            found[hosts[0]["domains"][0]] = (kind, body)
    return found


def test_no_string_changes_the_structure_of_what_envoy_gets() -> None:
    places = _places()
    first: dict[object, tuple[str, str, Leaf]] = {}
    for place in places:
        first.setdefault(place[2].kind, place)
    wrong, tried = [], 0
    for place in places:
        original = ROUTES[place[1]] if place[0] == "route" else BACKENDS[place[1]]("x")
        harmless = _at(original, place[2].path)
        harmless = "/harmless" if harmless == "/" else harmless
        (_, expected), *others = _trees(place, [harmless, *_texts(place, first)])
        tried += len(others)
        wrong += [(place[1], str(place[2]), text) for text, tree in others if shape(tree) != shape(expected)]
    assert wrong == []
    assert tried > 1000
    assert {str(getattr(kind, "__name__", kind)) for kind in first} >= {
        "PathText", "HeaderName", "HeaderValue", "RegexText", "Substitution", "Authority", "Hostname", "BodyText", "Cidr", "Method", "QueryName",
        "QueryValue", "CookieName", "WebOrigin", "Realm", "Label",
    }  # fmt: skip


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step] if isinstance(step, int) else getattr(value, step)
    return value


# -- manifests


def _ingress(number: int, annotations: dict[str, str] | None = None, **changes: Any) -> Ingress:
    host = changes.pop("host", f"h{number}.example")
    service = {"name": changes.pop("service", "echo"), "port": changes.pop("port", {"number": 80})}
    path = {
        "path": changes.pop("path", "/"),
        "pathType": changes.pop("type", "Prefix"),
        "backend": {"service": service},
    }
    spec = {"ingressClassName": "weirkeeper", "rules": [{"host": host, "http": {"paths": [path]}}], **changes}
    metadata = {"name": f"i{number}", "namespace": "default", "annotations": annotations or {}}
    return msgspec.convert(
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}, Ingress
    )


def _map(kind: str, number: int, key: str, text: str) -> KubeObject:
    made: Any = {"apiVersion": "v1", "kind": kind, "metadata": {"name": f"m{number}", "namespace": "default"}}
    return (
        msgspec.convert({**made, "data": {key: text}}, ConfigMap)
        if kind == "ConfigMap"
        else msgspec.convert({**made, "stringData": {key: text}}, Secret)
    )


def _service(name: str, **spec: Any) -> KubeObject:
    made: Any = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}}
    return msgspec.convert({**made, "spec": {"ports": [{"name": "web", "port": 80}], **spec}}, Service)


NGINX = "nginx.ingress.kubernetes.io/"
Made = Callable[[int, str], list[KubeObject]]

FIELDS: dict[str, Made] = {
    "host": lambda n, t: [_ingress(n, host=t)],
    "exact path": lambda n, t: [_ingress(n, path=t, type="Exact")],
    "prefix path": lambda n, t: [_ingress(n, path=t)],
    "free path": lambda n, t: [_ingress(n, path=t, type="ImplementationSpecific")],
    "path expression": lambda n, t: [_ingress(n, {NGINX + "use-regex": "true"}, path=t, type="ImplementationSpecific")],
    "path type": lambda n, t: [_ingress(n, type=t)],
    "service name": lambda n, t: [_ingress(n, service=t)],
    "port name": lambda n, t: [_ingress(n, port={"name": t})],
    "tls host": lambda n, t: [_ingress(n, tls=[{"hosts": [t], "secretName": "web"}])],
    "secret name": lambda n, t: [_ingress(n, tls=[{"hosts": [f"h{n}.example"], "secretName": t}])],
    "class name": lambda n, t: [_ingress(n, ingressClassName=t)],
    "unknown annotation": lambda n, t: [_ingress(n, {NGINX + t: "x"})],
    "app protocol": lambda n, t: [
        _service(f"s{n}", ports=[{"port": 80, "appProtocol": t}]),
        _ingress(n, service=f"s{n}"),
    ],
    "external name": lambda n, t: [
        _service(f"s{n}", type="ExternalName", externalName=t),
        _ingress(n, service=f"s{n}"),
    ],
    "answer header": lambda n, t: [_map("ConfigMap", n, "X-A", t), _ingress(n, {NGINX + "custom-headers": f"m{n}"})],
    "answer header name": lambda n, t: [_map("ConfigMap", n, t, "v"), _ingress(n, {NGINX + "custom-headers": f"m{n}"})],
    "users": lambda n, t: [
        _map("Secret", n, "auth", t),
        _ingress(n, {NGINX + "auth-type": "basic", NGINX + "auth-secret": f"m{n}"}),
    ],
    "authorities": lambda n, t: [
        _map("Secret", n, "ca.crt", t),
        _ingress(n, {NGINX + "backend-protocol": "HTTPS", NGINX + "proxy-ssl-secret": f"m{n}"}),
    ],
}
COMPANIONS = {
    "cors": {"enable-cors": "true"}, "session": {"affinity": "cookie"}, "canary": {"canary": "true"}, "auth-": {"auth-type": "basic"},
    "proxy-ssl": {"backend-protocol": "HTTPS"}, "permanent-redirect-code": {"permanent-redirect": "https://x.example/"},
}  # fmt: skip


def _annotated(name: str) -> Made:
    beside = next((more for start, more in COMPANIONS.items() if name.startswith(start) and name not in more), {})
    return lambda n, t: [_ingress(n, {NGINX + key: text for key, text in {**beside, name: t}.items()})]


def _sinks() -> dict[str, tuple[Made, list[str]]]:
    few = CORPUS[:: len(CORPUS) // A_FEW]
    wide = {name for name, row in TABLE.items() if row.risk.value in {"High", "Critical"}}
    fields = {name: (made, CORPUS) for name, made in FIELDS.items()}
    return fields | {name: (_annotated(name), CORPUS if name in wide else few) for name in TABLE}


def _settled(made: Made, texts: list[str]) -> tuple[dict[Any, bytes], int]:
    """The engine items that these strings lead to, and how many of the objects something is said about."""
    reconciler = Reconciler((IngressController(IngressSettings()),), (EnvoyProvider(),))  # type: ignore[arg-type]
    objects = [_service("echo"), *(one for number, text in enumerate(texts) for one in made(number, text))]
    seen = [Seen(ref=one.ref, object=one) for one in objects]
    reconciler.receive([*seen, Synced(feed="test", kinds=tuple(kind.kind for kind in reconciler.kinds.values()))])
    outcome = reconciler.settle()
    return {key: item.whole for key, item in outcome.items["envoy"].items() if item is not None}, len(outcome.findings)


def test_no_string_of_a_manifest_reaches_a_listener_or_a_program() -> None:
    plain, _ = _settled(lambda n, _: [_ingress(n)], ["x"])
    constant = {key: body for key, body in plain.items() if key.kind in {names.LISTENER, names.EXTENSION}}
    assert len(constant) >= 3, "two listeners, and the programs"
    wrong = []
    for sink, (made, texts) in _sinks().items():
        items, _ = _settled(made, texts)
        now = {key: body for key, body in items.items() if key.kind in {names.LISTENER, names.EXTENSION}}
        if now != constant:
            wrong.append(sink)
        for key, body in items.items():
            if key not in constant:
                _tree(body, key.kind)  # it is a message of its type, whole
            assert key.name.isascii(), (sink, key)
            assert key.name.isprintable(), (sink, key)
    assert wrong == []


# -- traffic


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with running_backends() as found:
        yield found


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with running_stage(Rig(PROVIDER)) as found:
        yield found


def _fitting(kind: Any, *, most: int = 400) -> list[str]:
    """The strings of the corpus that the type lets through; evenly spread where there are too many."""
    fitting = [text for text in CORPUS if not isinstance(parse(kind, text), Refused)]
    return fitting[:: -(-len(fitting) // most)]


def _exact(site: Site, path: str, **more: Any) -> Route:
    to = more.pop("to", "a")
    return site.route(RouteMatch(path=ExactPath(value=PathText(path))), to=to, **more)


def _asked(site: Site, wishes: list[tuple[str, list[tuple[str, str]]]]) -> list[Response]:
    """The answers to these paths and headers, one after the other on one connection."""

    async def ask() -> list[Response]:
        async with Http1Connection(Target(port=site.stage.http_port)) as one:
            return [await one.request(path, host=site.host, headers=headers) for path, headers in wishes]

    return asyncio.run(ask())


def _served(stage: Stage, backends: Backends, name: str, routes: Callable[[Site], list[Route]]) -> Site:
    site = Site(stage, backends, name)
    site.apply(site.neutral(*routes(site), _exact(site, "/.ready", to="b")))
    site.answers("b", "/.ready")
    assert stage.rejected() == {}
    return site


@pytest.mark.engine
def test_header_values_arrive_as_the_same_bytes(stage: Stage, backends: Backends) -> None:
    texts = _fitting(HeaderValue)

    def literal(text: str) -> dict[str, Any]:
        edit = HeaderEdit(set=(HeaderValuePair(name=HeaderName("X-Literal"), value=HeaderValue(text)),))
        return {
            "request_headers": edit,
            "response_headers": edit,
            "forwarded_prefix": HeaderValue(text) if text else None,
        }

    site = _served(stage, backends, "values", lambda s: [_exact(s, f"/{n}", **literal(t)) for n, t in enumerate(texts)])
    answers = _asked(site, [(f"/{n}", [("x", "interpreted")]) for n in range(len(texts))])
    for text, got in zip(texts, answers, strict=True):
        assert got.all_headers("x-literal") == [text]
        assert got.echo.all_headers("x-literal") == [text]
        assert got.echo.header("x-forwarded-prefix") == (text or None)
    site.clear()


@pytest.mark.engine
def test_header_names_arrive_as_the_same_bytes(stage: Stage, backends: Backends) -> None:
    # pseudo headers and Host are no headers of a tenant; hop-by-hop ones belong to the connection
    own = {"host", "transfer-encoding", "connection", "te", "upgrade", "content-length"}
    texts = [text for text in _fitting(HeaderName) if text.lower() not in own]

    def edit(text: str) -> HeaderEdit:
        return HeaderEdit(set=(HeaderValuePair(name=HeaderName(text), value=HeaderValue("literal")),))

    site = _served(
        stage, backends, "names", lambda s: [_exact(s, f"/{n}", request_headers=edit(t)) for n, t in enumerate(texts)]
    )
    for text, got in zip(texts, _asked(site, [(f"/{n}", []) for n in range(len(texts))]), strict=True):
        assert got.echo.all_headers(text) == ["literal"], text
    site.clear()


@pytest.mark.engine
def test_bodies_and_redirects_are_sent_as_the_same_bytes(stage: Stage, backends: Backends) -> None:
    bodies = [text for text in _fitting(BodyText) if text]
    # a tab is no part of a URL and goes, as in every URL parser, and so does the mark of an empty query
    targets = [
        f"https://to.example/{text}" for text in _fitting(HeaderValue) if not text.endswith("?") and "\t" not in text
    ]

    def routes(site: Site) -> list[Route]:
        said = [_exact(site, f"/b{n}", to=Respond(status=200, body=BodyText(t))) for n, t in enumerate(bodies)]
        sent = [_exact(site, f"/r{n}", to=Redirect(to=HeaderValue(t), status=302)) for n, t in enumerate(targets)]
        return said + sent

    site = _served(stage, backends, "bodies", routes)
    answers = _asked(site, [(f"/b{n}", []) for n in range(len(bodies))] + [(f"/r{n}", []) for n in range(len(targets))])
    assert [got.body.decode() for got in answers[: len(bodies)]] == bodies
    assert [got.header("location") for got in answers[len(bodies) :]] == targets
    site.clear()


@pytest.mark.engine
def test_paths_and_hosts_are_rewritten_to_the_same_bytes(stage: Stage, backends: Backends) -> None:
    paths, hosts = _fitting(PathText), _fitting(Authority)
    plain = [
        text
        for text in _fitting(Substitution)
        if "\\" not in text and text.startswith("/") and "?" not in text and "#" not in text
    ]

    def whole(text: str) -> UrlRewrite:
        return UrlRewrite(path=RegexSubstitution(pattern=RegexText("^.*$"), substitution=Substitution(text)))

    def routes(site: Site) -> list[Route]:
        return [
            *(
                _exact(site, f"/p{n}", rewrite=UrlRewrite(path=FullPath(value=PathText(t))))
                for n, t in enumerate(paths)
            ),
            *(_exact(site, f"/h{n}", rewrite=UrlRewrite(host=Authority(t))) for n, t in enumerate(hosts)),
            *(_exact(site, f"/s{n}", rewrite=whole(t)) for n, t in enumerate(plain)),
        ]

    site = _served(stage, backends, "paths", routes)
    seen = [got.echo for got in _asked(site, [(f"/p{n}?q=1", []) for n in range(len(paths))])]
    assert [echo.path for echo in seen] == [f"{text}?q=1" for text in paths]
    assert [got.echo.host for got in _asked(site, [(f"/h{n}", []) for n in range(len(hosts))])] == hosts
    assert [got.echo.path for got in _asked(site, [(f"/s{n}", []) for n in range(len(plain))])] == plain
    site.clear()


@pytest.mark.engine
def test_matches_take_the_same_bytes_and_no_others(stage: Stage, backends: Backends) -> None:
    values = [text for text in _fitting(HeaderValue) if text]

    def match(number: int, text: str) -> RouteMatch:
        header = HeaderMatch(name=HeaderName("X-Match"), match=Exactly(value=HeaderValue(text)))
        return RouteMatch(path=ExactPath(value=PathText(f"/m{number}")), headers=(header,))

    site = _served(stage, backends, "matches", lambda s: [s.route(match(n, t)) for n, t in enumerate(values)])
    right = _asked(site, [(f"/m{n}", [("X-Match", text)]) for n, text in enumerate(values)])
    wrong = _asked(site, [(f"/m{n}", [("X-Match", text + "x")]) for n, text in enumerate(values)])
    assert {got.status for got in right} == {200}
    assert {got.status for got in wrong} == {404}
    site.clear()
