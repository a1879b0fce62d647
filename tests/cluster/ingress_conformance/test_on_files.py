"""Upstream's Ingress conformance scenarios on a folder: `weir up` and its Envoy, no cluster."""

import contextlib

import pytest
from ingress_conformance import files
from ingress_conformance.checks import check
from ingress_conformance.scenarios import CASES, FEATURES


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """A stage for each feature, started when its first scenario asks for it; one runs at a time."""
    with contextlib.ExitStack() as stack:
        running = {}

        def of(feature):
            if feature.name not in running:
                stack.close()
                running.clear()
                running[feature.name] = stack.enter_context(files.running(feature, tmp_path_factory.mktemp("feature")))
            return running[feature.name]

        yield of


def test_there_are_25_under_names_of_their_own():
    assert len(CASES) == 25
    assert len({(feature.name, scenario.id) for feature, scenario in CASES}) == 25
    assert [len(feature.scenarios) for feature in FEATURES] == [6, 16, 1, 1, 1]


@pytest.mark.engine
@pytest.mark.xdist_group("ingress-conformance")
@pytest.mark.parametrize(("feature", "scenario"), CASES, ids=[f"{f.name}: {s.id}" for f, s in CASES])
def test_scenario(stages, feature, scenario):
    check(stages(feature), feature, scenario)
