"""A thousand mixed changes reload nothing, what is learned of endpoints outlives changes of them, and the end is what a fresh start would be."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from moody import Moody
from watched import Watched, settled

from weirkeeper.providers.nginx import PROVIDER
from weirkeeper.providers.nginx.plan import CAUSES, Cause
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.conformance import Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("nginx-changes")]

CHANGES, HOSTS, SPARE = 1000, 12, 9
AUTHORITY = Authority("changes")
ANN = "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"
WISHES = (
    {"affinity": "cookie", "session-cookie-name": "stay"},
    {"upstream-hash-by": "$request_uri"},
    {"load-balance": "ewma"},
    {"proxy-read-timeout": "{n}"},
    {"limit-rps": "{n}00"},
    {"auth-type": "basic", "auth-secret": "users"},
    {"denylist-source-range": "10.0.0.{n}/32"},
    {"backend-protocol": "HTTPS"},
    {"upstream-vhost": "v{n}.example"},
    {"enable-cors": "true"},
    {},
)


@pytest.fixture(scope="module")
def rig() -> Watched:
    return Watched(PROVIDER, options={"reload-milliseconds": "50"})


@pytest.fixture(scope="module")
def site(rig: Watched) -> Iterator[Site]:
    with running_backends() as backends, running_stage(rig) as stage:
        made = Site(stage, backends, "changes")
        made.apply(
            made.secret("users", auth=ANN), *made.service("a", backends.a.port), *made.service("b", backends.b.port)
        )
        for number in range(HOSTS):
            made.apply(made.tls_secret(f"t{number}", AUTHORITY.issue(name(made, number))), host(made, number, "/", "a"))
        made.answers("a", host=name(made, HOSTS - 1))
        yield made


def name(site: Site, number: int) -> str:
    return f"h{number}.{site.host}"


def host(site: Site, number: int, path: str, to: str, annotations: dict[str, str] | None = None) -> object:
    tls = [{"hosts": [name(site, number)], "secretName": f"t{number}"}]
    rules = [("/", "Prefix", to), (path, "Exact", "b")] if path != "/" else [("/", "Prefix", to)]
    return site.ingress(
        {"ssl-redirect": "false", **(annotations or {})},
        name=f"n{number}",
        host=name(site, number),
        tls=tls,
        paths=rules,
    )


def changed(site: Site, chance: random.Random, number: int) -> None:
    """Routes with any wish, endpoints, certificates, weights, hosts that come and go."""
    at = chance.randrange(HOSTS)
    match chance.randrange(6):
        case 0 | 1:
            wished = {key: text.replace("{n}", str(number % 9 + 1)) for key, text in chance.choice(WISHES).items()}
            site.apply(host(site, at, f"/p{number}", chance.choice("ab"), wished))  # type: ignore[arg-type]
        case 2:
            site.apply(site.slice(chance.choice("ab"), chance.choice((site.backends.a.port, site.backends.b.port))))
        case 3:
            site.apply(site.tls_secret(f"t{at}", AUTHORITY.issue(name(site, at))))
        case 4:
            weight = {"canary": "true", "canary-weight": str(chance.randrange(1, 100))}
            site.apply(site.ingress(weight, name=f"c{at}", host=name(site, at), paths=[("/", "Prefix", "b")]))
        case 5:
            site.apply(site.ingress(name="passing", host=f"passing-{number % 7}.{site.host}"))


def test_changes_reload_nothing(site: Site, rig: Watched) -> None:
    settled(site, rig)
    before, chance = Counter(rig.keeper.reloads), random.Random(7)
    for number in range(CHANGES):
        changed(site, chance, number)
    site.apply(
        host(site, 0, "/last", "a"), site.slice("a", site.backends.a.port), site.slice("b", site.backends.b.port)
    )  # type: ignore[arg-type]
    site.answers("b", "/last", host=name(site, 0))
    settled(site, rig)
    assert Counter(rig.keeper.reloads) - before == Counter()


def test_the_end_is_what_a_fresh_start_would_be(site: Site, rig: Watched) -> None:
    settled(site, rig)
    held = rig.keeper._held
    assert held is not None
    before = {f"p:{port.entry}" for port in held.before}
    assert {
        key: version for key, version in held.entries.items() if key not in before - rig.keeper.wished.entries.keys()
    } == {key: text.partition(" ")[0] for key, text in rig.keeper.wished.entries.items()}


def test_a_cookie_outlives_a_hundred_changes_of_endpoints(site: Site, rig: Watched) -> None:
    """Of either kind: the endpoint that a client is kept on stays while others come and go."""
    a, b = site.backends.a.port, site.backends.b.port
    site.apply(*site.service("kept", a, b))
    for mode in ("balanced", "persistent"):
        wish = {"affinity": "cookie", "session-cookie-name": "stay", "affinity-mode": mode}
        site.apply(site.ingress(wish, name=mode, host=f"{mode}.{site.host}", paths=[("/", "Prefix", "kept")]))
    clients = []
    for mode in ("balanced", "persistent"):
        for _ in range(8):
            got = site.until(lambda one: one.status == 200, host=f"{mode}.{site.host}")
            cookie = (got.header("set-cookie") or "").partition(";")[0]
            clients.append((f"{mode}.{site.host}", cookie, got.header("x-echo-name")))
    assert {to for _, _, to in clients} == {"a", "b"}
    before = sum(rig.keeper.reloads.values())
    for number in range(50):
        site.apply(site.slice("kept", SPARE, 2 + number % 3), site.slice("other", SPARE + number))
        site.apply(site.slice("kept", 0, 2 + number % 3))
    settled(site, rig)
    for host_name, cookie, to in clients:
        assert site.get(host=host_name, headers=(("cookie", cookie),)).header("x-echo-name") == to
    assert sum(rig.keeper.reloads.values()) == before


@pytest.fixture
def paced(site: Site) -> Iterator[str]:
    """A host with a fast endpoint and one that takes its time, whatever the machine does: half a second."""
    fast, slow = Moody("fast"), Moody("slow", delay=0.5)
    site.apply(*site.service("paced", fast.server_port, slow.server_port))
    rule = site.ingress(
        {"load-balance": "ewma"}, host=f"paced.{site.host}", name="paced", paths=[("/", "Prefix", "paced")]
    )
    site.apply(rule)
    site.until(lambda got: got.header("x-echo-name") == "slow", host=f"paced.{site.host}")
    yield f"paced.{site.host}"
    for server in (fast, slow):
        server.end()


def test_what_is_known_of_a_slow_endpoint_outlives_changes_and_reloads(site: Site, rig: Watched, paced: str) -> None:
    """One request after each change: whoever knew nothing then would choose by chance, and be at the slow one every other time."""
    seen: Counter[str | None] = Counter()
    for _ in range(50):
        for spare in (SPARE, 0):
            site.apply(site.slice("paced", spare, 2))
            settled(site, rig)
        seen[site.get(host=paced).header("x-echo-name")] += 1
    assert seen["slow"] <= 10, seen
    before = rig.keeper.reloads[Cause.LISTENERS]
    seen.clear()
    for number in range(5):
        site.apply(site.neutral(listeners=[site.listener(free_port())]))
        settled(site, rig)
        seen[site.get(host=paced).header("x-echo-name")] += 1
        assert rig.keeper.reloads[Cause.LISTENERS] == before + number + 1
    assert seen["slow"] <= 1, seen
    assert set(rig.keeper.reloads) <= CAUSES.keys()
