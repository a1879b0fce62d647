"""Nobody reaches into what is another's: every field that refers, with every consent that is not quite the right one; and a thousand attempts to take a host."""

import random

import pytest
import yaml
from build import SHOP
from test_gateway import GRANT, PLAIN, SECURE, SET, World, gateway, route

from weirkeeper.kube.types import Secret
from weirkeeper.testing.certificates import Authority

SEQUENCES, LENGTH = 1000, 6
FAR_SECRET = "{name: s, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: e}]}}"


@pytest.fixture(scope="module")
def far_secret() -> str:
    pair = Authority().issue("*.example")
    data = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    return yaml.safe_dump({"kind": "Secret", "metadata": {"name": "c", "namespace": "e"}, "stringData": data})


def certificate_wished(world: World) -> bool:
    return any(wish.secret.namespace == "e" for one in world.intents().values() for wish in one.certificates)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("Gateway", gateway(FAR_SECRET)),
        ("ListenerSet", SET % ("l", "d", "2026-01-01T00:00:00Z", FAR_SECRET)),
    ],
)
def test_a_certificate_of_another_namespace_is_never_asked_for_without_a_grant(
    kind: str, document: str, far_secret: str
) -> None:
    world = World(gateway(extra=", allowedListeners: {namespaces: {from: Same}}"), document, far_secret)
    right = GRANT % ("e", kind, "d", "Secret")
    wrong = [
        GRANT % ("d", kind, "d", "Secret"),
        GRANT % ("e", kind, "x", "Secret"),
        GRANT % ("e", "HTTPRoute", "d", "Secret"),
        GRANT % ("e", kind, "d", "Service"),
        right.replace("kind: Secret}", "kind: Secret, name: other}"),
        right.replace("group: gateway.networking.k8s.io, kind", "group: example.com, kind"),
    ]
    for grant in wrong:
        world.put(grant)
        assert not certificate_wished(world)
        assert not any(ref.namespace == "e" for ref in world.graph.wanted(world.inputs.of(Secret)))
        world.drop(grant)
    world.put(right)
    assert certificate_wished(world)
    world.drop(right)
    assert not certificate_wished(world)


OWN = "{name: own, port: 80, protocol: HTTP, hostname: victim.example}"
OPEN = "{name: open, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}"


def attack(chance: random.Random) -> str:
    """Something that a tenant of another namespace may write, older than everything."""
    hosts = chance.choice(
        [
            "[victim.example]",
            "['*.example']",
            "[VICTIM.example]",
            "[]",
            "[victim.example, x.example]",
            "[a.victim.example]",
        ]
    )
    section = chance.choice(["", ", sectionName: own", ", sectionName: open", ", port: 80"])
    kind = chance.choice(["HTTPRoute", "GRPCRoute"])
    if chance.random() < 0.2:
        listener = chance.choice([OWN, PLAIN, "{name: x, port: 80, protocol: HTTPS}"])
        return SET % (chance.choice("st"), "e", "2000-01-01T00:00:00Z", listener)
    return route(
        "backendRefs: [{name: shop, port: 80}]", name=chance.choice("xyz"), namespace="e", kind=kind, hosts=hosts,
        parent=f"{{name: g, namespace: d{section}}}", created="2000-01-01T00:00:00Z",
    )  # fmt: skip


def victims(world: World) -> list[tuple[str, str]]:
    """Who has the host of the victim's listener, in each group."""
    return sorted(
        (hosted.group, hosted.route.origin.ref.namespace)
        for one in world.intents().values()
        for hosted in one.routes
        if hosted.hostname == "victim.example"
    )


def test_a_thousand_attempts_take_no_host_of_a_listener_that_does_not_let_them_in() -> None:
    chance = random.Random(5)
    world = World(
        gateway(OWN, OPEN, extra=", allowedListeners: {namespaces: {from: All}}"),
        SHOP.replace("namespace: d", "namespace: e"),
        route(hosts="[victim.example]"),
    )
    before, listeners = victims(world), [one.listeners for one in world.intents().values()]
    assert {namespace for _, namespace in before} == {"d"}
    for _ in range(SEQUENCES):
        written = [attack(chance) for _ in range(chance.randint(1, LENGTH))]
        world.put(*written)
        assert victims(world) == before
        assert world.said_of("own")[0]["Accepted"] == ("True", "Accepted")
        if chance.random() < 0.5:
            world.drop(*written)
    assert [one.listeners for one in world.intents().values() if one.listeners] == [one for one in listeners if one]


def test_ids_of_different_places_are_different() -> None:
    """No name of one thing can be spelled so that it is another one's."""
    names = ["a", "a.b", "a-b", "b", "http", "listener", "a.http.80"]
    seen: dict[str, tuple[str, str]] = {}
    for name in names:
        world = World(gateway(PLAIN, SECURE.format("http", "", "d"), name=name))
        for ref, one in world.intents().items():
            for made in [one.load_balancer, *(listener.id for listener in one.listeners)]:
                assert seen.setdefault(made, (name, ref))[0] == name
