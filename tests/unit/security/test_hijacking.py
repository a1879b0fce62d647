"""A thousand sequences of what a tenant may write, none of which takes a host or a path from somebody else, and none of which goes unsaid.

Whose a host is. A host with a listener of its own, which lets in only its owner's namespace, is its owner's, however old anybody's objects are. Where several
namespaces are let in to the same host, Gateway API's order holds: the oldest object has a path, then the first by namespace and name. So whoever attacks such a host here is
younger, or of the same second and later by name; that an older one would win is the last test.
"""

import random
from collections.abc import Callable

import pytest
from ring import Ring, read

from weirkeeper.cli.offline import configs
from weirkeeper.compose.explain import answer, request_of
from weirkeeper.providers.memory import MemoryProvider
from weirkeeper.testing.certificates import Authority

SEQUENCES, LENGTH = 1000, 3
ANCIENT, VICTIMS, LATER = "2000-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z"
KEYS = Authority("site").issue("*.example")
CERTIFICATE = f"""
kind: Secret
metadata: {{name: site, namespace: infra}}
type: kubernetes.io/tls
stringData: {{tls.crt: {KEYS.certificate.decode()!r}, tls.key: {KEYS.key.decode()!r}}}
""".replace("'", '"')
FENCED = "allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {tenant: d}}}}"
OPEN = "allowedRoutes: {namespaces: {from: All}}"
TLS = "tls: {certificateRefs: [{name: site}]}"


def shop(namespace: str) -> str:
    return f"kind: Service\nmetadata: {{name: shop, namespace: {namespace}}}\nspec: {{ports: [{{name: a, port: 80}}, {{name: b, port: 81}}]}}"


SITE = (
    "kind: GatewayClass\nmetadata: {name: weir}\nspec: {controllerName: weirkeeper.io/gateway}",
    "kind: IngressClass\nmetadata: {name: edge, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}\nspec: {controller: weirkeeper.io/ingress}",
    "kind: Namespace\nmetadata: {name: d, labels: {tenant: d}}",
    "kind: Namespace\nmetadata: {name: e, labels: {tenant: e}}",
    CERTIFICATE,
    shop("d"),
    shop("e"),
    f"""
kind: Gateway
metadata: {{name: g, namespace: infra}}
spec:
  gatewayClassName: weir
  allowedListeners: {{namespaces: {{from: All}}}}
  listeners:
  - {{name: own, port: 80, protocol: HTTP, hostname: victim.example, {FENCED}}}
  - {{name: own-tls, port: 443, protocol: HTTPS, hostname: victim.example, {TLS}, {FENCED}}}
  - {{name: shared, port: 80, protocol: HTTP, hostname: "*.shared.example", {OPEN}}}
  - {{name: open, port: 80, protocol: HTTP, {OPEN}}}
  - {{name: open-tls, port: 443, protocol: HTTPS, {TLS}, {OPEN}}}
  - {{name: unopened, port: 8443, protocol: TLS, tls: {{mode: Passthrough}}, {OPEN}}}
""",
)


def route(kind: str, name: str, hosts: str, *, namespace: str, created: str, section: str = "", path: str = "/") -> str:
    match = "" if kind in ("GRPCRoute", "TLSRoute") else f"matches: [{{path: {{value: {path}}}}}], "
    return f"""
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: '{created}'}}
spec: {{parentRefs: [{{name: g, namespace: infra{section}}}], hostnames: {hosts}, rules: [{{{match}backendRefs: [{{name: shop, port: 80}}]}}]}}
"""


def listener_set(name: str, listener: str, *, namespace: str, created: str) -> str:
    return f"kind: ListenerSet\nmetadata: {{name: {name}, namespace: {namespace}, creationTimestamp: '{created}'}}\nspec: {{parentRef: {{name: g, namespace: infra}}, listeners: [{listener}]}}"


def ingress(name: str, host: str, *, namespace: str, created: str, notes: str = "", path: str = "/") -> str:
    return f"""
kind: Ingress
metadata: {{name: {name}, namespace: {namespace}, creationTimestamp: '{created}', annotations: {{{notes}}}}}
spec: {{rules: [{{host: '{host}', http: {{paths: [{{path: {path}, pathType: Prefix, backend: {{service: {{name: shop, port: {{number: 80}}}}}}}}]}}}}]}}
"""


NOTES = "nginx.ingress.kubernetes.io"
VICTIM = {"namespace": "d", "created": VICTIMS}
THEIRS = (
    route("HTTPRoute", "home", "[victim.example]", **VICTIM),
    route("HTTPRoute", "shared", "[shop.shared.example]", **VICTIM),
    route("HTTPRoute", "login", "[shop.shared.example]", path="/login", **VICTIM),
    route("TLSRoute", "bytes", "[bytes.example]", **VICTIM),
    listener_set("set", f"{{name: mine, port: 8080, protocol: HTTP, hostname: set.example, {FENCED}}}", **VICTIM),
    route("HTTPRoute", "of-set", "[set.example]", **VICTIM).replace(
        "name: g, namespace: infra", "kind: ListenerSet, name: set"
    ),
    ingress("old", "ing.example", **VICTIM),
    ingress("old-login", "ing.example", path="/login", **VICTIM),
    ingress("unread", "pass.example", notes=f"{NOTES}/ssl-passthrough: 'true'", **VICTIM),
)
ON_GATEWAY, ON_CLASS = "gateway/infra/g", "ingress/edge"
ASKED = {
    "http://victim.example/": (ON_GATEWAY, "home"),
    "http://VICTIM.example./login": (ON_GATEWAY, "home"),
    "https://victim.example/x": (ON_GATEWAY, "home"),
    "http://shop.shared.example/": (ON_GATEWAY, "shared"),
    "http://shop.shared.example/login": (ON_GATEWAY, "login"),
    "tls://bytes.example:8443": (ON_GATEWAY, "bytes"),
    "http://set.example:8080/": (ON_GATEWAY, "of-set"),
    "http://ing.example/": (ON_CLASS, "old"),
    "http://ing.example/login": (ON_CLASS, "old-login"),
    "https://pass.example/": (ON_CLASS, "unread"),
}
"""Whose each request is."""


def owners(ring: Ring) -> dict[str, tuple]:
    """Who answers each request, and how."""
    found = {config.load_balancer.id: config for config in configs(ring.heart)}
    seen = ((url, answer(found[front], request_of(url, "GET", ()))) for url, (front, _) in ASKED.items())
    return {url: (one.decided_by, one.status, one.summary, one.backends, one.settings) for url, one in seen}


def intruders(ring: Ring) -> list[str]:
    """Routes of others at the very paths of the victim's, that are not tried after them, whatever else they ask of a request. Where TLS passes unopened the path is of plain HTTP alone."""
    found = []
    for host in ring.heart.graph.rows(ring.heart.program.virtual_hosts).values():
        theirs = {
            one.match.path: one.priority
            for one in host.routes
            if one.origin.ref.namespace == "d" and one.match.scheme is None
        }
        others = [one for one in host.routes if one.origin.ref.namespace == "e" and one.match.path in theirs]
        found += [f"{host.hostname} {one.id}" for one in others if one.priority >= theirs[one.match.path]]
    return found


FENCED_NAMES = (
    "victim.example",
    "VICTIM.example",
    "victim.example.",
    "*.example",
    "vıctim.example",
    "xn--vctim-q4a.example",
    "victim.example:80",
)
SHARED_NAMES = "shop.shared.example", "SHOP.shared.example", "shop.shared.example.", "*.shared.example", "*.example"


def fenced(chance: random.Random) -> str:
    """A claim on hosts that have listeners of their own, older than everything."""
    names = [chance.choice(FENCED_NAMES) for _ in range(chance.randint(0, 2))]
    hosts = f"[{', '.join(repr(one) for one in names)}]"
    section = chance.choice(["", ", sectionName: own", ", sectionName: own-tls", ", sectionName: open", ", port: 443"])
    kind = chance.choice(["HTTPRoute", "HTTPRoute", "GRPCRoute", "TLSRoute"])
    return route(
        kind,
        chance.choice("xyz"),
        hosts,
        namespace="e",
        created=ANCIENT,
        section=section,
        path=chance.choice(["/", "/x"]),
    )


def squatting(chance: random.Random) -> str:
    """Listeners for hosts of others, older than everything."""
    host = chance.choice(["victim.example", "VICTIM.example", "victim.example.", "*.example", ""])
    port, protocol = chance.choice(
        [
            (80, "HTTP"),
            (443, f"HTTPS, {TLS}"),
            (443, "TLS, tls: {mode: Passthrough}"),
            (80, "TCP"),
            (8443, "TLS, tls: {mode: Passthrough}"),
        ]
    )
    host = "" if port == 8443 else host
    name = f", hostname: '{host}'" if host else ""
    listener = f"{{name: a, port: {port}, protocol: {protocol}{name}, {OPEN}}}"
    return listener_set(chance.choice("st"), listener, namespace="e", created=ANCIENT)


def shared(chance: random.Random) -> str:
    """A claim on a host that others may have too, by somebody younger or of the same second."""
    hosts = f"['{chance.choice(SHARED_NAMES)}']"
    made = chance.choice([VICTIMS, LATER])
    path = chance.choice(["/", "/login", "/log", "/other"])
    return route("HTTPRoute", chance.choice("pqr"), hosts, namespace="e", created=made, path=path)


def other_bytes(chance: random.Random) -> str:
    hosts = chance.choice(["[bytes.example]", "['*.example']", "[BYTES.example]"])
    return route("TLSRoute", chance.choice("uv"), hosts, namespace="e", created=chance.choice([VICTIMS, LATER]))


def late_set(chance: random.Random) -> str:
    """The same listener as somebody else's set, or the port for something else."""
    protocol, host = chance.choice(
        [("HTTP", "set.example"), (f"HTTPS, {TLS}", "set.example"), ("TCP", ""), ("HTTP", "SET.example")]
    )
    name = f", hostname: {host}" if host else ""
    listener = f"{{name: b, port: 8080, protocol: {protocol}{name}, {OPEN}}}"
    return listener_set(chance.choice("wz"), listener, namespace="e", created=chance.choice([VICTIMS, LATER]))


def other_ingress(chance: random.Random) -> str:
    """An Ingress for the same host, or one that would have it by an annotation."""
    notes = chance.choice([
        "", f"{NOTES}/server-alias: 'ing.example,pass.example'", f"{NOTES}/canary: 'true', {NOTES}/canary-weight: '100'", f"{NOTES}/ssl-passthrough: 'true'",
        f"{NOTES}/auth-tls-secret: shop", f"{NOTES}/permanent-redirect: 'http://x.example'", f"{NOTES}/use-regex: 'true'", f"{NOTES}/default-backend: shop",
        f"{NOTES}/force-ssl-redirect: 'true'", f"{NOTES}/from-to-www-redirect: 'true'", f"{NOTES}/app-root: /x", f"{NOTES}/denylist-source-range: 0.0.0.0/0",
    ])  # fmt: skip
    host = (
        "other.example"
        if "alias" in notes
        else chance.choice(["ing.example", "pass.example", "ING.example", "www.ing.example", "*.example"])
    )
    made = ANCIENT if "alias" in notes else chance.choice([VICTIMS, LATER])
    return ingress(
        chance.choice(["p", "q"]), host, namespace="e", created=made, notes=notes, path=chance.choice(["/", "/login"])
    )


def with_canary(chance: random.Random) -> str:
    """A path of somebody else, with a canary that is to get requests by a header that all have."""
    made, path = chance.choice([VICTIMS, LATER]), chance.choice(["/", "/login"])
    main = ingress("main", "ing.example", namespace="e", created=made, path=path)
    notes = f"{NOTES}/canary: 'true', {NOTES}/canary-by-header: host, {NOTES}/canary-by-header-pattern: '.*'"
    return f"{main}---{ingress('canary', 'ing.example', namespace='e', created=made, notes=notes, path=path)}"


def with_session(chance: random.Random) -> str:
    """A path of somebody else, with sessions that a cookie would lead to."""
    text = route(
        "HTTPRoute",
        "sticky",
        "[shop.shared.example]",
        namespace="e",
        created=LATER,
        path=chance.choice(["/", "/login"]),
    )
    return text.replace("{name: shop, port: 80}", "{name: shop, port: 80}, {name: shop, port: 81}").replace(
        "backendRefs", "sessionPersistence: {sessionName: c}, backendRefs"
    )


ATTACKS: tuple[Callable[[random.Random], str], ...] = (
    fenced,
    squatting,
    shared,
    other_bytes,
    late_set,
    other_ingress,
    with_canary,
    with_session,
)


def test_a_thousand_sequences_take_nothing_from_anybody() -> None:
    chance, ring = random.Random(8), Ring(*SITE, *THEIRS, provider=MemoryProvider())
    before = owners(ring)
    assert {url: one[0].ref.name for url, one in before.items()} == {url: name for url, (_, name) in ASKED.items()}
    for number in range(SEQUENCES):
        written = [chance.choice(ATTACKS)(chance) for _ in range(chance.randint(1, LENGTH))]
        for one in written:
            ring.put(one)
        assert owners(ring) == before, (number, *written)
        assert intruders(ring) == [], (number, *written)
        if chance.random() < 0.5:
            ring.drop(*written)


def told(ring: Ring, kind: str, name: str, namespace: str = "e") -> set[str]:
    return {one.reason.name for one in ring.findings(kind, name, namespace)}


LOSERS = {
    "an older claim on a fenced host": (route("HTTPRoute", "x", "[victim.example]", namespace="e", created=ANCIENT), "HOST_OF_ANOTHER"),
    "the same path, later": (route("HTTPRoute", "x", "[shop.shared.example]", namespace="e", created=LATER), "DUPLICATE_ROUTE"),
    "the same path in the same second": (route("HTTPRoute", "x", "[SHOP.shared.example]", namespace="e", created=VICTIMS), "DUPLICATE_ROUTE"),
    "the same name of TLS": (route("TLSRoute", "x", "[bytes.example]", namespace="e", created=LATER), "DUPLICATE_ROUTE"),
    "the same path of an Ingress": (ingress("x", "ing.example", namespace="e", created=LATER), "DUPLICATE_ROUTE"),
    "an alias": (ingress("x", "o.example", namespace="e", created=ANCIENT, notes=f"{NOTES}/server-alias: ing.example"), "ANNOTATION_CONFLICT"),
    "the root of an application": (ingress("x", "ing.example", namespace="e", created=LATER, notes=f"{NOTES}/app-root: /x"), "ANNOTATION_CONFLICT"),
    "TLS that passes": (ingress("x", "pass.example", namespace="e", created=LATER, notes=f"{NOTES}/ssl-passthrough: 'true'"), "ANNOTATION_CONFLICT"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSERS)
def test_whoever_loses_is_told(name: str) -> None:
    text, reason = LOSERS[name]
    ring = Ring(*SITE, *THEIRS, text, provider=MemoryProvider())
    assert reason in told(ring, read(text)[0]["kind"], "x")


@pytest.mark.parametrize(
    ("listener", "reason"),
    [
        ("{name: a, port: 80, protocol: HTTP, hostname: victim.example}", "HostnameConflict"),
        ("{name: a, port: 80, protocol: HTTP, hostname: VICTIM.example}", "HostnameConflict"),
        ("{name: a, port: 80, protocol: HTTP, hostname: victim.example.}", "UnsupportedValue"),
        ("{name: a, port: 80, protocol: TCP}", "ProtocolConflict"),
        ("{name: a, port: 8080, protocol: HTTP, hostname: set.example}", "HostnameConflict"),
    ],
)
def test_a_listener_that_comes_second_is_told(listener: str, reason: str) -> None:
    ring = Ring(*SITE, *THEIRS, listener_set("x", listener, namespace="e", created=LATER), provider=MemoryProvider())
    assert reason in {one[2] for one in ring.conditions("ListenerSet", "x", "e")}


def test_what_the_order_of_the_api_gives_to_another_is_told() -> None:
    """A host that several share is the oldest object's, and a narrower listener's: its owner knows when that is somebody else's."""
    ring = Ring(*SITE, *THEIRS, provider=MemoryProvider())
    ring.put(route("HTTPRoute", "x", "[other.shared.example]", namespace="e", created=ANCIENT))
    assert told(ring, "HTTPRoute", "shared", "d") == set()
    ring.put(route("HTTPRoute", "x", "[other.shared.example, shop.shared.example]", namespace="e", created=ANCIENT))
    assert told(ring, "HTTPRoute", "shared", "d") == {"DUPLICATE_ROUTE"}
    narrower = "{name: a, port: 8443, protocol: TLS, tls: {mode: Passthrough}, hostname: '*.example'}"
    ring.put(listener_set("x", narrower, namespace="e", created=LATER))
    assert told(ring, "TLSRoute", "bytes", "d") == {"HOST_OF_ANOTHER"}


def test_a_listener_that_nobody_can_read_is_in_nobodys_way() -> None:
    unreadable = "{name: a, port: 9090, protocol: HTTP, hostname: no.host.}"
    wide = "{name: b, port: 9090, protocol: HTTP}"
    ring = Ring(*SITE, listener_set("x", unreadable, namespace="e", created=ANCIENT), provider=MemoryProvider())
    ring.put(listener_set("y", wide, namespace="d", created=LATER))
    assert ("Accepted", "True", "Accepted") in ring.conditions("ListenerSet", "y")
    assert ("Accepted", "False", "UnsupportedValue") in ring.conditions("ListenerSet", "x", "e")
