"""One meaning on all engines: every row of the table is asked of each engine that claims what the row needs, and must come out the same."""

from collections.abc import Iterator, Mapping

import pytest
from meaning_engines import RIGS
from meaning_rows_changing import PLACES as CHANGING
from meaning_rows_guarding import PLACES as GUARDING
from meaning_rows_matching import PLACES as MATCHING
from meaning_table import Place, awaited, differences, prepared

from weirkeeper.testing.conformance import Site
from weirkeeper.testing.conformance.backends import running_backends
from weirkeeper.testing.conformance.stage import running_stage

pytestmark = pytest.mark.engine

LACKING = {"envoy": set(), "haproxy": {"error-pages", "bodies"}, "nginx": {"error-pages"}}
"""Places that an engine does not claim to the letter (docs/features.md)."""
PLACES: tuple[Place, ...] = (*MATCHING, *CHANGING, *GUARDING)


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"meaning-{name}")) for name in RIGS])
def sites(request: pytest.FixtureRequest) -> Iterator[Mapping[str, Site]]:
    with running_backends() as backends, running_stage(RIGS[request.param]) as stage:
        capabilities = stage.rig.provider.capabilities
        found = {one.name: Site(stage, backends, one.name) for one in PLACES if not one.lacking(capabilities)}
        for one in PLACES:
            if one.name in found:
                prepared(found[one.name], one)
        yield found


@pytest.mark.parametrize("one", PLACES, ids=lambda one: one.name)
def test_each_row_comes_out_as_it_says(sites: Mapping[str, Site], one: Place):
    site = sites.get(one.name)
    if site is None:
        return  # the engine says that it lacks this
    engine = site.stage.rig.provider.name
    awaited(site, one.rows[:1])
    assert differences(site, [row for row in one.rows if engine not in row.but]) == []
    for row in one.rows:
        assert engine not in row.but or differences(site, [row]) != [], f"a difference that is none any more: {row}"


@pytest.mark.parametrize("engine", RIGS)
def test_engines_claim_nearly_all_of_it(engine: str):
    """A row counts where an engine claims what it needs; an engine that claimed little would agree on little."""
    capabilities = RIGS[engine].provider.capabilities
    claimed = [row for one in PLACES if not one.lacking(capabilities) for row in one.rows if engine not in row.but]
    assert len(claimed) >= 400
    assert {one.name for one in PLACES if one.lacking(capabilities)} <= LACKING[engine]


def test_there_are_enough_rows():
    rows = [(one.name, row) for one in PLACES for row in one.rows]
    assert len({repr(found) for found in rows}) == len(rows), "a row stands twice"
    assert len(rows) >= 400
