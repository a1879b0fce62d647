"""Upstream's Ingress conformance scenarios against the shipped install: real pods, real Envoys, HAProxies and NGINXes, the addresses of statuses."""

import contextlib
import time

import pytest
from ingress_conformance import cluster
from ingress_conformance.checks import check
from ingress_conformance.scenarios import CASES

pytestmark = [pytest.mark.cluster, pytest.mark.engine]


@pytest.fixture(scope="module", params=["external", "haproxies", "nginxes"])
def install(request):
    """The install whose engines serve: the shipped one's Envoys, then HAProxies, then NGINXes."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def stages(install):
    """A stage for each feature, made when its first scenario asks for it; one is there at a time."""
    with contextlib.ExitStack() as stack:
        running = {}

        def of(feature):
            if feature.name not in running:
                stack.close()
                running.clear()
                running[feature.name] = stack.enter_context(cluster.running(feature, install))
            return running[feature.name]

        yield of


@pytest.mark.parametrize(("feature", "scenario"), CASES, ids=[f"{f.name}: {s.id}" for f, s in CASES])
def test_scenario(install, stages, feature, scenario):
    stage, end = stages(feature), time.monotonic() + install.patience
    while True:
        try:
            return check(stage, feature, scenario)
        except AssertionError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.1)
