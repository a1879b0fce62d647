"""Laws of the whole program, over random histories of Ingresses, Services, endpoints, Secrets and classes, with the memory provider."""

import random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weirkeeper.compose.config import load_balancer_config
from weirkeeper.compose.explain import answer
from weirkeeper.compose.explain.request import Request
from weirkeeper.controllers.ingress import CONTROLLER as INGRESS
from weirkeeper.controllers.manifests import CONTROLLER as MANIFESTS
from weirkeeper.feeds.base import Cause, Seen, Synced
from weirkeeper.kube.types import EndpointSlice, Ingress, IngressClass, Secret, Service
from weirkeeper.model.ids import Ref
from weirkeeper.providers.memory import MemoryEngine, MemoryProvider
from weirkeeper.reconcile import Reconciler

GROUPS = {"Ingress": "networking.k8s.io/v1", "IngressClass": "networking.k8s.io/v1", "EndpointSlice": "discovery.k8s.io/v1"}
TYPES = {"Ingress": Ingress, "IngressClass": IngressClass, "EndpointSlice": EndpointSlice, "Secret": Secret, "Service": Service}
ANNOTATIONS = [
    {},
    {"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "30"},
    {"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-by-header": "X-Next"},
    {"nginx.ingress.kubernetes.io/rewrite-target": "/$1", "nginx.ingress.kubernetes.io/use-regex": "true"},
    {"nginx.ingress.kubernetes.io/auth-type": "basic", "nginx.ingress.kubernetes.io/auth-secret": "users"},
    {"nginx.ingress.kubernetes.io/whitelist-source-range": "10.0.0.0/8"},
    {"nginx.ingress.kubernetes.io/whitelist-source-range": "nonsense"},
    {"nginx.ingress.kubernetes.io/server-alias": "alias.example"},
    {"nginx.ingress.kubernetes.io/no-such-thing": "1"},
    {"nginx.ingress.kubernetes.io/configuration-snippet": "return 200;"},
]
HOSTS = st.sampled_from(["", "a.example", "b.example", "*.example", "A.Example", "not a host", "*.*.x"])
PATHS = st.sampled_from(["/", "/a", "/a/b", "/(a|b)", "no-slash", "/[", ""])
NAMES = st.sampled_from(["one", "two", "three"])
SERVICES = st.sampled_from(["web", "cart", "nowhere"])


def backend(name: str, port: object) -> dict:
    return {"service": {"name": name, "port": {"number": port} if isinstance(port, int) else {"name": port}}}


PORTS = st.sampled_from([80, 81, "http", "no-such-port"])
BACKENDS = st.builds(backend, SERVICES, PORTS)
KINDS_OF_PATH = st.sampled_from(["Exact", "Prefix", "ImplementationSpecific"])
PATH_RULES = st.fixed_dictionaries({"path": PATHS, "pathType": KINDS_OF_PATH, "backend": BACKENDS})
RULES = st.builds(lambda host, paths: {"host": host, "http": {"paths": paths}}, HOSTS, st.lists(PATH_RULES, max_size=3))
TLS = st.builds(lambda hosts, secret: {"hosts": hosts, "secretName": secret}, st.lists(HOSTS, max_size=2), st.sampled_from(["tls", "users"]))


@st.composite
def ingresses(draw) -> dict:
    spec: dict = {"rules": draw(st.lists(RULES, max_size=2)), "tls": draw(st.lists(TLS, max_size=1))}
    if draw(st.booleans()):
        spec["ingressClassName"] = draw(st.sampled_from(["weirkeeper", "ours", "foreign"]))
    if draw(st.booleans()):
        spec["defaultBackend"] = draw(BACKENDS)
    created = draw(st.sampled_from(["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]))
    return {
        "kind": "Ingress",
        "metadata": {"name": draw(NAMES), "annotations": draw(st.sampled_from(ANNOTATIONS)), "creationTimestamp": created},
        "spec": spec,
    }


@st.composite
def services(draw) -> dict:
    ports = draw(st.sampled_from([[{"port": 80}], [{"name": "http", "port": 80}, {"name": "more", "port": 81}], []]))
    return {"kind": "Service", "metadata": {"name": draw(st.sampled_from(["web", "cart"]))}, "spec": {"ports": ports}}


@st.composite
def slices(draw) -> dict:
    service = draw(st.sampled_from(["web", "cart"]))
    addresses = draw(st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "127.0.0.1", "fd00::1", "x"]), max_size=3))
    ready = draw(st.sampled_from([None, True, False]))
    return {
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-{draw(st.integers(1, 2))}", "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": draw(st.sampled_from(["", "http"])), "port": 8080}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    }


@st.composite
def others(draw) -> dict:
    users = {"auth": draw(st.sampled_from(["alice:{SHA}qvTGHdzF6KLavt4PO0gs2a6pQ00=", "nonsense"]))}
    return draw(
        st.sampled_from([
            {"kind": "Secret", "metadata": {"name": "users"}, "stringData": users},
            {"kind": "Secret", "metadata": {"name": "tls"}, "stringData": {"tls.crt": "x", "tls.key": "y"}},
            {"kind": "IngressClass", "metadata": {"name": "ours"}, "spec": {"controller": "weirkeeper.io/ingress"}},
            {"kind": "IngressClass", "metadata": {"name": "foreign"}, "spec": {"controller": "example.com/other"}},
        ])
    )  # fmt: skip


def seen(document: dict, *, gone: bool = False) -> Seen:
    kind = document["kind"]
    namespace = "" if kind == "IngressClass" else "default"
    version = GROUPS.get(kind, "v1")
    whole = {**document, "apiVersion": version, "metadata": {**document["metadata"], "namespace": namespace}}
    ref = Ref(group=version.rpartition("/")[0], kind=kind, namespace=namespace, name=document["metadata"]["name"])
    return Seen(ref=ref, cause=Cause.DELETED) if gone else Seen(ref=ref, object=msgspec.convert(whole, TYPES[kind]))


DOCUMENTS = st.one_of(ingresses(), ingresses(), services(), slices(), others())
EVENTS = st.builds(lambda document, gone: seen(document, gone=gone), DOCUMENTS, st.sampled_from([False, False, False, True]))
HISTORIES = st.lists(st.one_of(EVENTS, EVENTS, st.just("settle"), st.just("synced")), max_size=25)
THOROUGH = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def program() -> Reconciler:
    return Reconciler((INGRESS, MANIFESTS), (MemoryProvider(),))


def synced(reconciler: Reconciler) -> Synced:
    return Synced(feed="test", kinds=tuple(kind.kind for kind in reconciler.kinds.values()))


def lived(history) -> Reconciler:
    reconciler = program()
    for event in history:
        if event == "settle":
            reconciler.settle()
        else:
            reconciler.receive([synced(reconciler) if event == "synced" else event])
    reconciler.receive([synced(reconciler)])
    reconciler.settle()
    return reconciler


def state(reconciler: Reconciler) -> tuple:
    graph, parts = reconciler.graph, reconciler.program
    return (dict(graph.rows(parts.items["memory"])), dict(graph.rows(parts.findings)), dict(graph.rows(parts.statuses)))


def last_of(history) -> list[Seen]:
    """The objects that are there at the end."""
    there: dict[Ref, Seen] = {}
    for event in history:
        if isinstance(event, Seen):
            there.pop(event.ref, None)
            if event.object is not None:
                there[event.ref] = event
    return list(there.values())


@THOROUGH
@given(HISTORIES)
def test_incremental_is_from_scratch(history) -> None:
    reconciler = lived(history)
    assert reconciler.graph.difference(reconciler.graph.fresh()) == ()
    assert state(reconciler) == state(lived(last_of(history)))


@THOROUGH
@given(HISTORIES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(history, chance: random.Random) -> None:
    objects: list = last_of(history)
    shuffled = [*objects, "settle", "settle", "synced"]
    chance.shuffle(shuffled)
    assert state(lived(shuffled)) == state(lived(objects))


@THOROUGH
@given(HISTORIES)
def test_what_is_programmed_stays_as_it_is(history) -> None:
    """A fixed point: when everything has been taken and said so, nothing changes any more but addresses in statuses."""
    reconciler = lived(history)
    before = dict(reconciler.graph.rows(reconciler.program.items["memory"]))
    observed: list = []
    MemoryEngine().take(before, observed.append)
    reconciler.receive(observed)
    outcome = reconciler.settle()
    assert not any(outcome.items.values())
    assert not outcome.findings
    reconciler.receive(observed)
    assert reconciler.settle().empty


BAD = [
    {"kind": "Ingress", "metadata": {"name": "bad"}, "spec": {"ingressClassName": "nobody", "rules": [{"host": "a.example"}]}},
    {"kind": "Ingress", "metadata": {"name": "bad"}, "spec": {"ingressClassName": "weirkeeper"}},
    {
        "kind": "Ingress", "metadata": {"name": "bad"},
        "spec": {"rules": [{"host": "not a host", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend("web", 80)}]}}]},
    },
    {
        "kind": "Ingress", "metadata": {"name": "bad"},
        "spec": {"rules": [{"host": "z.example", "http": {"paths": [{"path": "nope", "pathType": "Exact", "backend": backend("web", 80)}]}}]},
    },
]  # fmt: skip


@THOROUGH
@given(HISTORIES, st.sampled_from(BAD))
def test_a_rejected_object_changes_nothing_but_its_own_status(history, bad) -> None:
    reconciler = lived(history)
    hosts = hosts_of(reconciler)
    findings = dict(reconciler.graph.rows(reconciler.program.findings))
    reconciler.receive([seen(bad)])
    reconciler.settle()
    assert hosts_of(reconciler) == hosts
    after = {ref: told for ref, told in reconciler.graph.rows(reconciler.program.findings).items() if ref.name != "bad"}
    assert after == findings


def hosts_of(reconciler: Reconciler) -> dict:
    rows = reconciler.graph.rows(reconciler.program.virtual_hosts)
    return {key: host.routes for key, host in rows.items() if host.hostname != "z.example"}


TEXTS = st.text(max_size=20)


@st.composite
def wild_ingresses(draw) -> dict:
    """Valid by the types, and otherwise anything."""
    names = st.one_of(TEXTS, st.sampled_from(sorted({name for one in ANNOTATIONS for name in one})))
    path = st.fixed_dictionaries({"path": TEXTS, "pathType": st.one_of(TEXTS, KINDS_OF_PATH), "backend": st.builds(backend, TEXTS, st.one_of(TEXTS, st.integers(-1, 70000)))})
    rule = st.builds(lambda host, paths: {"host": host, "http": {"paths": paths}}, TEXTS, st.lists(path, max_size=2))
    tls = st.builds(lambda hosts, secret: {"hosts": hosts, "secretName": secret}, st.lists(TEXTS, max_size=2), TEXTS)
    return {
        "kind": "Ingress",
        "metadata": {"name": "wild", "annotations": draw(st.dictionaries(names, TEXTS, max_size=4)), "creationTimestamp": draw(TEXTS), "uid": draw(TEXTS)},
        "spec": {"rules": draw(st.lists(rule, max_size=2)), "tls": draw(st.lists(tls, max_size=2)), "ingressClassName": draw(st.sampled_from([None, "weirkeeper"]))},
    }


@THOROUGH
@given(wild_ingresses(), HISTORIES)
def test_nothing_that_a_tenant_writes_stops_the_program(wild, history) -> None:
    reconciler = lived([*history, seen(wild)])
    msgspec.json.encode(list(reconciler.graph.rows(reconciler.program.findings).values()))


@THOROUGH
@given(HISTORIES, st.sampled_from(["a.example", "b.example", "x.example", "c.b.example"]), st.sampled_from(["/", "/a", "/a/b", "/z"]))
def test_everything_that_is_served_can_be_explained(history, host, path) -> None:
    reconciler = lived(history)
    parts = reconciler.program
    for name in reconciler.graph.rows(parts.load_balancers):
        config = load_balancer_config(reconciler.graph, parts.composed["memory"], name)
        assert config is not None
        told = answer(config, Request(host=host, path=path))
        assert told.summary
        assert (told.route is None) == (told.decided_by is None)
        assert told.route is None or told.route in {route.id for one in config.virtual_hosts for route in one.routes}
