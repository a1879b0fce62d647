"""One real Envoy for all regressions, and a site of its own for each."""

import re

import pytest

from weirkeeper.providers.envoy import PROVIDER
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.rig import Rig
from weirkeeper.testing.conformance.site import Site
from weirkeeper.testing.conformance.stage import Stage


@pytest.fixture(scope="session")
def backends():
    with running_backends() as running:
        yield running


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    made = Stage(Rig(PROVIDER), tmp_path_factory.mktemp("regressions"))
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def site(stage, backends, request):
    made = Site(stage, backends, re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-"))
    made.apply(*made.service("a", backends.a.port), *made.service("b", backends.b.port))
    yield made
    made.clear()
