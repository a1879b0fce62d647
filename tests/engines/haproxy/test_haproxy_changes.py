"""A thousand mixed changes: what needs no reload causes none, the rest reloads for listed causes alone, and the end is what a fresh start would be."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from weirkeeper.providers.base import EngineSettings
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.providers.haproxy.engine import HaproxyEngine
from weirkeeper.providers.haproxy.held import MAPS, held_of
from weirkeeper.providers.haproxy.keeper import Keeper
from weirkeeper.providers.haproxy.plan import CAUSES, Cause
from weirkeeper.testing.certificates import Authority
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy-changes")]

LIVE, OTHERS, HOSTS = 600, 400, 12
AUTHORITY = Authority("changes")
PAIRS = [AUTHORITY.issue(f"h{number}.changes.example") for number in range(HOSTS)]
ANN = "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"
IN_A_SECTION = (
    {"affinity": "cookie", "session-cookie-name": "stay"},
    {"proxy-read-timeout": "{n}"},
    {"limit-rps": "{n}"},
    {"auth-type": "basic", "auth-secret": "users"},
    {"backend-protocol": "HTTPS"},
    {"upstream-vhost": "v{n}.example"},
    {},
)


class Watched(Rig):
    """Keeps the engine that it made."""

    def engine(self, settings: EngineSettings) -> HaproxyEngine:
        self.made = HaproxyEngine(settings)
        return self.made

    @property
    def keeper(self) -> Keeper:
        (found,) = self.made.keepers.values()
        return found


@pytest.fixture(scope="module")
def rig() -> Watched:
    return Watched(PROVIDER, options={"reload-milliseconds": "200", "pool": "64"})


@pytest.fixture(scope="module")
def site(rig: Watched) -> Iterator[Site]:
    with running_backends() as backends, running_stage(rig) as stage:
        made = Site(stage, backends, "changes")
        made.apply(made.secret("users", auth=ANN), *made.service("a", backends.a.port), *made.service("b", backends.b.port))
        for number in range(HOSTS):
            made.apply(made.tls_secret(f"t{number}", PAIRS[number]), host(made, number, "/", "a"))
        made.answers("a", host=name(made, HOSTS - 1))
        yield made


def name(site: Site, number: int) -> str:
    return f"h{number}.{site.host}"


def host(site: Site, number: int, path: str, to: str, annotations: dict[str, str] | None = None) -> object:
    tls = [{"hosts": [name(site, number)], "secretName": f"t{number}"}]
    rules = [("/", "Prefix", to), (path, "Exact", "b")] if path != "/" else [("/", "Prefix", to)]
    return site.ingress({"ssl-redirect": "false", **(annotations or {})}, name=f"n{number}", host=name(site, number), tls=tls, paths=rules)


def settled(site: Site, rig: Watched) -> None:
    """Waits until HAProxy has all of it."""
    keeper = rig.keeper
    poll_until(lambda: not keeper._waiting and not keeper._open and not keeper.wished.sections.touched, 60.0, what="everything is programmed")
    assert not site.stage.rejected()


def one_that_is_live(site: Site, chance: random.Random, number: int) -> None:
    """Routes, endpoints, weights of endpoints' backends, certificates, hosts that come and go."""
    at = chance.randrange(HOSTS)
    match chance.randrange(5):
        case 0:
            site.apply(host(site, at, f"/p{number}", chance.choice("ab")))  # type: ignore[arg-type]
        case 1:
            site.apply(site.slice(chance.choice("ab"), chance.choice((site.backends.a.port, site.backends.b.port))))
        case 2:
            site.apply(site.tls_secret(f"t{at}", AUTHORITY.issue(name(site, at))))
        case 3:
            weight = site.ingress({"canary": "true", "canary-weight": str(chance.randrange(1, 100))}, name=f"c{at}", host=name(site, at), paths=[("/", "Prefix", "b")])
            site.apply(weight)
        case 4:
            site.apply(site.ingress(name="passing", host=f"passing-{number % 7}.{site.host}"))


def test_what_haproxy_can_be_told_reloads_nothing(site: Site, rig: Watched) -> None:
    settled(site, rig)
    before, chance = Counter(rig.keeper.reloads), random.Random(7)
    for number in range(LIVE):
        one_that_is_live(site, chance, number)
    site.apply(host(site, 0, "/last", "a"), site.slice("a", site.backends.a.port), site.slice("b", site.backends.b.port))  # type: ignore[arg-type]
    site.answers("b", "/last", host=name(site, 0))
    settled(site, rig)
    assert Counter(rig.keeper.reloads) - before == Counter()


def test_all_else_reloads_for_listed_causes(site: Site, rig: Watched) -> None:
    settled(site, rig)
    before, chance, asked = Counter(rig.keeper.reloads), random.Random(11), 0
    for number in range(OTHERS):
        if chance.random() < 0.5:
            one_that_is_live(site, chance, number)
            continue
        asked += 1
        wished = {key: text.replace("{n}", str(number % 9 + 1)) for key, text in chance.choice(IN_A_SECTION).items()}
        site.apply(host(site, chance.randrange(HOSTS), f"/p{number}", "a", wished))  # type: ignore[arg-type]
    site.apply(host(site, 0, "/end", "a"), site.slice("a", site.backends.a.port), site.slice("b", site.backends.b.port))  # type: ignore[arg-type]
    site.answers("b", "/end", host=name(site, 0))
    settled(site, rig)
    reloads = Counter(rig.keeper.reloads) - before
    assert set(reloads) <= {Cause.SECTION, Cause.POOL}, reloads
    assert set(reloads) <= CAUSES.keys()
    assert 0 < sum(reloads.values()) <= asked
    print(f"{LIVE + OTHERS} changes, {asked} of them to sections: reloads {dict(reloads)}")


def test_the_end_is_what_a_fresh_start_would_be(site: Site, rig: Watched) -> None:
    settled(site, rig)
    keeper = rig.keeper
    held, fresh = keeper._held, held_of(keeper.wished, keeper._chosen)
    assert held is not None
    assert {table: held.tables[table] for table in MAPS} == {table: fresh.tables[table] for table in MAPS}
    assert held.frame == fresh.frame
    for section in keeper.wished.sections.rows:
        place = held.place(section)
        assert place is not None
        assert held.table(f"servers/{place}") == fresh.table(f"servers/{section}")
