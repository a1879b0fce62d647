"""One HAProxy through everything that happens to it: changes without a reload, reloads for listed causes alone, its own death, a hang, a control plane that is killed."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from weirkeeper.model.observation import ItemState
from weirkeeper.providers.base import EngineSettings
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.providers.haproxy.engine import HaproxyEngine
from weirkeeper.providers.haproxy.plan import Cause
from weirkeeper.providers.haproxy.processes import Folder
from weirkeeper.testing.conformance import Rig, Site, Stage
from weirkeeper.testing.conformance.backends import Backends, running_backends
from weirkeeper.testing.conformance.stage import running_stage
from weirkeeper.testing.eventually import poll_until

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy-life")]


class Watched(Rig):
    """Keeps the engines that it made, to look into them."""

    def __init__(self, **options: str) -> None:
        super().__init__(PROVIDER, options=options)
        self.engines: list[HaproxyEngine] = []

    def engine(self, settings: EngineSettings) -> HaproxyEngine:
        self.engines.append(HaproxyEngine(settings))
        return self.engines[-1]

    def reloads(self) -> Counter[Cause]:
        (keeper,) = self.engines[-1].keepers.values()
        return Counter(keeper.reloads)

    def folder(self) -> Folder:
        (keeper,) = self.engines[-1].keepers.values()
        return Folder(keeper.folder)


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with running_backends() as found:
        yield found


@pytest.fixture
def rig() -> Watched:
    return Watched(**{"reload-milliseconds": "50", "pool": "4"})


@pytest.fixture
def stage(rig: Watched) -> Iterator[Stage]:
    with running_stage(rig) as found:
        yield found


@pytest.fixture
def site(stage: Stage, backends: Backends) -> Site:
    made = Site(stage, backends, "life")
    made.apply(*made.service("a", backends.a.port), *made.service("b", backends.b.port), made.ingress())
    made.answers("a")
    return made


def test_routes_endpoints_services_and_certificates_need_no_reload(site: Site, rig: Watched) -> None:
    from weirkeeper.testing.certificates import Authority  # noqa: PLC0415

    before, authority = rig.reloads(), Authority("life")
    for number in range(3):
        host = f"h{number}.{site.host}"
        site.apply(site.ingress(name=f"host-{number}", host=host, paths=[("/", "Prefix", "a"), ("/b", "Exact", "b")]))
        site.answers("a", host=host)
        site.answers("b", "/b", host=host)
    site.apply(site.slice("a", site.backends.b.port))
    site.answers("b")
    site.apply(*site.service("new", site.backends.a.port), site.ingress(paths=[("/", "Prefix", "new")]))
    site.answers("a")
    pair = authority.issue(site.host)
    site.apply(site.tls_secret("web", pair))
    site.apply(site.ingress({"ssl-redirect": "false"}, tls=[{"hosts": [site.host], "secretName": "web"}]))
    shown = site.until(lambda got: got.status == 200, scheme="https")
    site.apply(site.tls_secret("web", authority.issue(site.host)))
    site.until(lambda got: got.status == 200 and got.fingerprint != shown.fingerprint, scheme="https")
    site.delete("Ingress", "host-1")
    site.until(lambda got: got.status == 404, host=f"h1.{site.host}")
    assert rig.reloads() == before
    assert not site.stage.rejected()


def test_sections_of_the_pool_are_used_again(site: Site, rig: Watched) -> None:
    """Four empty sections serve more than four Services, one after the other."""
    before = rig.reloads()
    for number in range(6):
        name = f"s{number}"
        site.apply(*site.service(name, site.backends.a.port), site.ingress(name="one", host="p." + site.host, paths=[(f"/{number}", "Exact", name)]))
        site.answers("a", f"/{number}", host="p." + site.host)
        (keeper,) = rig.engines[-1].keepers.values()
        poll_until(lambda k=keeper: k._held is not None and len(k._held.free) >= 2, 60.0, what="the section is free again")
    assert rig.reloads() == before


def test_an_empty_pool_is_a_cause_of_its_own(site: Site, rig: Watched) -> None:
    for number in range(6):
        name = f"s{number}"
        site.apply(*site.service(name, site.backends.a.port), site.ingress(name=name, host=f"{name}.{site.host}", paths=[("/", "Prefix", name)]))
        site.answers("a", host=f"{name}.{site.host}")
    assert rig.reloads()[Cause.POOL] >= 1
    assert set(rig.reloads()) <= {Cause.START, Cause.FRAME, Cause.SECTION, Cause.POOL}


def test_what_is_written_in_a_section_is_a_cause(site: Site, rig: Watched) -> None:
    before = rig.reloads()
    site.apply(site.ingress({"x-forwarded-prefix": "/pre"}))
    site.until(lambda got: got.status == 200 and got.echo.header("x-forwarded-prefix") == "/pre")
    assert rig.reloads() - before == Counter({Cause.SECTION: 1})


def test_reloads_keep_their_distance(backends: Backends) -> None:
    rig = Watched(**{"reload-milliseconds": "1500"})
    with running_stage(rig) as stage:
        site = Site(stage, backends, "apart")
        site.apply(*site.service("a", backends.a.port), site.ingress())
        site.answers("a")
        before = sum(rig.reloads().values())
        began = time.monotonic()
        for number in range(10):
            site.apply(site.ingress({"x-forwarded-prefix": f"/{number}"}))
        wished = time.monotonic() - began  # a moment, unless the machine does something else meanwhile
        site.apply(site.slice("a", backends.b.port))
        site.answers("b")
        site.until(lambda got: got.status == 200 and got.echo.header("x-forwarded-prefix") == "/9")
        assert sum(rig.reloads().values()) - before <= 2 + wished // 1.5


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_a_haproxy_that_is_gone_comes_back_with_everything(site: Site, rig: Watched, sign: signal.Signals) -> None:
    site.apply(site.ingress(name="late", host="late." + site.host, paths=[("/", "Prefix", "b")]))
    site.answers("b", host="late." + site.host)
    running = rig.folder().generations()[-1]
    os.kill(running.pid, sign)
    poll_until(lambda: rig.folder().generations() and rig.folder().generations()[-1].pid != running.pid, 60.0, what="another one runs")
    site.answers("b", host="late." + site.host)
    site.answers("a")


def test_a_haproxy_outlives_the_control_plane_and_is_taken_over(backends: Backends, tmp_path: Path) -> None:
    rig = Watched()
    with running_stage(rig) as stage:
        site = Site(stage, backends, "away")
        site.apply(*site.service("a", backends.a.port), *site.service("b", backends.b.port), site.ingress())
        site.answers("a")
        first = rig.folder().generations()[-1]
        keepers = list(rig.engines[-1].keepers.values())

        async def abandoned() -> None:
            """As a kill leaves it: nothing is ended."""
            for keeper in keepers:
                keeper.end = keeper._lost  # type: ignore[method-assign]

        stage._call(abandoned())
        stage.restart()
        assert site.get().status == 200, "it served on"
        site.apply(site.ingress(paths=[("/", "Prefix", "b")]))
        site.answers("b")
        assert first.pid == rig.folder().generations()[-1].pid
        assert not rig.reloads(), "it was taken over as it is"


def test_a_port_that_is_taken_is_said_and_harms_no_other(site: Site, backends: Backends) -> None:
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.apply(site.neutral(listeners=[site.listener(port)]))
        poll_until(lambda: any(key.name == str(port) for key in site.stage.rejected()), what="it is said")
        site.answers("a")
    poll_until(lambda: not site.stage.rejected(), 60.0, what="it is tried again")
    assert site.until(lambda got: got.status == 200, port=port)
    assert all(seen.state is ItemState.PROGRAMMED for key, seen in dict(site.stage.observed).items() if key.name == str(port))


def test_a_route_may_be_left_out_of_the_log(site: Site, rig: Watched) -> None:
    site.apply(site.ingress({"enable-access-log": "false"}), site.ingress(name="said", host="said." + site.host))
    site.answers("a", "/said", host="said." + site.host)
    poll_until(lambda: rig.reloads()[Cause.SECTION] == 1, what="the section is there")
    site.answers("a", "/quiet")
    site.answers("a", "/last", host="said." + site.host)
    poll_until(lambda: "/last " in rig.folder().log.read_text(), what="the last request is logged")
    assert "/said " in rig.folder().log.read_text()
    assert "/quiet " not in rig.folder().log.read_text()
