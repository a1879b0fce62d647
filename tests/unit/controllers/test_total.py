"""No Ingress that the schema lets through makes the translation raise, and it means the same when it is translated afresh."""

from build import SHOP, World
from hypothesis import given, settings
from hypothesis import strategies as st

from weirkeeper.controllers.ingress.annotations.table import TABLE
from weirkeeper.controllers.manifests import ManifestController

WORD = st.sampled_from(["", "a", "/", "/a", "on", "true", "7", "$1", "/$1", "a.example", "*.x", "(", "(.*)", "http://shop.d.svc/x", "http://x.example$request_uri", "10.0.0.0/8", "shop", "e/s", "\\", "%%", "ä", "\x00", "a b", "cookie", "basic", "HTTPS", "x" * 600, "$host"])  # fmt: skip
TEXT = WORD | st.text(max_size=12)
BACKEND = st.fixed_dictionaries({}, optional={"service": st.fixed_dictionaries({"name": st.sampled_from(["shop", "x"]) | TEXT, "port": st.fixed_dictionaries({}, optional={"number": st.integers(-1, 99999), "name": TEXT})}), "resource": st.fixed_dictionaries({"kind": TEXT, "name": TEXT})})  # fmt: skip
PATH = st.fixed_dictionaries(
    {"backend": BACKEND},
    optional={"path": TEXT, "pathType": st.sampled_from(["Exact", "Prefix", "ImplementationSpecific", "Odd"])},
)
RULE = st.fixed_dictionaries(
    {}, optional={"host": TEXT, "http": st.fixed_dictionaries({"paths": st.lists(PATH, max_size=3)})}
)
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "ingressClassName": TEXT,
        "defaultBackend": BACKEND,
        "rules": st.none() | st.lists(RULE, max_size=3),
        "tls": st.none()
        | st.lists(
            st.fixed_dictionaries({}, optional={"hosts": st.lists(TEXT, max_size=2), "secretName": TEXT}), max_size=2
        ),
    },
)
NOTES = st.dictionaries(
    st.sampled_from(sorted(TABLE)).map("nginx.ingress.kubernetes.io/{}".format) | TEXT, TEXT, max_size=6
)
INGRESS = st.builds(
    lambda name, spec, notes: {
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": "d", "annotations": notes},
        "spec": spec,
    },
    st.sampled_from(["i", "j", "k"]) | TEXT,
    SPEC,
    NOTES,
)


@given(st.lists(INGRESS, min_size=1, max_size=3))
@settings(max_examples=400, deadline=None)
def test_no_ingress_makes_the_translation_raise(documents):
    world = World(SHOP, *documents)
    for found in world.intents().values():
        ids = [hosted.route.id for hosted in found.routes]
        assert len(ids) == len(set(ids))
        assert all(f.remedy for f in found.findings)
    assert world.graph.fresh().difference(world.graph) == ()


ROUTE = st.fixed_dictionaries({}, optional={"name": TEXT, "path": st.dictionaries(st.sampled_from(["exact", "prefix", "regex"]), TEXT), "methods": st.lists(TEXT, max_size=1), "headers": st.lists(st.fixed_dictionaries({"name": TEXT, "value": TEXT}), max_size=1), "forward": st.lists(st.fixed_dictionaries({"backend": WORD}, optional={"weight": st.integers(-3, 10**9)}), max_size=2), "redirect": st.fixed_dictionaries({}, optional={"host": TEXT, "status": st.integers(100, 600), "path": TEXT}), "respond": st.fixed_dictionaries({"status": st.integers(0, 700)}, optional={"body": TEXT})})  # fmt: skip
MANIFEST = st.fixed_dictionaries({}, optional={"provider": TEXT, "listeners": st.lists(st.fixed_dictionaries({"name": TEXT, "port": st.integers(-1, 70000)}, optional={"protocol": st.sampled_from(["http", "https", "x"]), "secretRefs": st.lists(TEXT, max_size=2)}), max_size=2), "hosts": st.lists(st.fixed_dictionaries({}, optional={"hostname": TEXT, "routes": st.lists(ROUTE, max_size=2)}), max_size=2), "backends": st.lists(st.fixed_dictionaries({"name": WORD}, optional={"addresses": st.lists(TEXT | st.just("127.0.0.1:80"), max_size=2), "protocol": TEXT}), max_size=2)})  # fmt: skip


@given(MANIFEST)
@settings(max_examples=300, deadline=None)
def test_no_manifest_makes_the_translation_raise(spec):
    world = World(
        {"kind": "LoadBalancer", "metadata": {"name": "m", "namespace": "d"}, "spec": spec},
        controller=ManifestController(),
    )
    assert world.intents()["m"]


def test_a_manifest_is_a_whole_load_balancer():
    found = World(
        """
kind: LoadBalancer
metadata: {name: m, namespace: d}
spec:
  listeners: [{name: web, port: 8080}, {name: tls, port: 8443, protocol: https, secretRefs: [t]}]
  backends: [{name: api, addresses: ['127.0.0.1:9000', '[::1]:9001']}, {name: shop, service: {name: shop, port: {number: 80}}}]
  hosts:
  - hostname: A.example
    routes:
    - {path: {prefix: /api}, forward: [{backend: api}], rewrite: {prefix: /}}
    - {path: {exact: /old}, redirect: {path: /new, status: 301}}
    - {forward: [{backend: shop, weight: 3}, {backend: api}]}
    - {path: {prefix: /lost}, forward: [{backend: nowhere}]}
"""
        "---" + SHOP,
        controller=ManifestController(),
    ).intents()["m"]
    assert [listener.port for listener in found.listeners] == [8080, 8443]
    assert [h.hostname for h in found.routes] == ["a.example"] * 4
    assert {b.id for b in found.backends} == {"manifest/d/m/backend/api", "d/shop/80"}
    assert [len(w.static) for w in found.endpoint_sets] == [2, 0]
    assert [c.default for c in found.certificates] == [True]
    assert [f.origin.path for f in found.findings] == ["spec.hosts[0].routes[3].forward"]
