"""An expression that would hold a thread for years costs milliseconds, lets nobody by, and harms no neighbour."""

import time
from collections.abc import Iterator

import pytest

from weirkeeper.model.match import RegexPath, RouteMatch
from weirkeeper.model.text import RegexText
from weirkeeper.providers.haproxy import PROVIDER
from weirkeeper.testing.conformance import Rig, Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("haproxy-expressions")]

WORST = {
    "/(a+)+": "/" + "a" * 60 + "!",
    "(?:.*a){20}": "/" + "a" * 19 + "b" * 6000,
    "/(?:[a-z]*1|[a-z]*2|.)*Z": "/1Z" + "x" * 6000,
}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running_backends() as backends, running_stage(Rig(PROVIDER)) as stage:
        made = Site(stage, backends, "costly")
        guarded = [made.route(RouteMatch(path=RegexPath(value=RegexText(text)))) for text in WORST]
        made.apply(
            *made.service("a", backends.a.port),
            *made.service("b", backends.b.port),
            made.neutral(*guarded, made.route(to="b")),
        )
        made.answers("b", "/other")
        yield made


@pytest.mark.parametrize("path", WORST.values(), ids=WORST)
def test_what_cannot_be_decided_is_refused_at_once(site: Site, path: str) -> None:
    began = time.monotonic()
    got = site.get(path)
    assert got.status == 500, "it may not fall through to a route without the guards of the first"
    assert time.monotonic() - began < 8, "of a busy machine"
    assert site.answers("b", "/other")


def test_what_can_be_decided_is(site: Site) -> None:
    assert site.get("/aaa").header("x-echo-name") == "a"
    assert site.get("/bbb").header("x-echo-name") == "b"
