"""The cluster benchmarks measure what they say: run over next to nothing, every one asks, judges and counts as at full size. No time is asserted."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench import attached, b2, b4, b5, b9, listenersets, propagation, propagation_gateway
from bench.state import Shape

pytestmark = [pytest.mark.engine, pytest.mark.slow]
SMALL = Shape(ingresses=12, endpoints=2, secrets=3, namespaces=2)


@pytest.fixture(autouse=True)
def plain_backend(monkeypatch):
    monkeypatch.setenv("BENCH_BACKEND", "python")


def test_statuses_are_written_once_each():
    (row,) = b9.measured(15, 1)
    assert (row.ingresses, row.writes, row.most) == (15, 15, 1)


def test_a_storm_reaches_every_host():
    rows, storms = b2.measured(20, 20.0, 1)
    assert [storm.run for storm in storms] == ["steady 0", "burst 0"]
    assert [storm.changes for storm in storms] == [20, 20]
    assert {row.run for row in rows} == {"steady 0", "burst 0"}
    assert all(row.ms > 0 for row in rows)
    assert set(b2.figures(rows, storms)) == {"steady 0", "burst 0"}


@pytest.mark.cluster
@pytest.mark.parametrize("language", [lambda: propagation.INGRESS, propagation_gateway.routes], ids=["Ingress", "Gateway"])
def test_changes_propagate_and_no_request_fails(language):
    rows, judged = propagation.measured((4,), {"weir": 2}, 1, language())
    assert sorted(row.change for row in rows) == ["new", "new", "pointed", "pointed", "removed", "removed"]
    assert all(row.from_request_ms > row.ms and row.all_ms >= row.ms for row in rows)
    (verdict,) = judged
    assert (verdict.failures, verdict.changes) == (0, 2)
    assert verdict.requests > 0
    assert set(propagation.figures(rows, judged)) == {"4 new weir", "4 pointed weir", "4 removed weir"}


@pytest.mark.cluster
def test_routes_are_counted_and_foreign_entries_stay():
    created, foreign, deleted = attached.measured(6, 1)
    assert (created.part, created.route_writes, created.most) == ("created", 6, 1)
    assert 1 <= created.gateway_writes <= 6
    assert (foreign.theirs, foreign.touched) == (6, 0)
    assert foreign.route_writes >= 12
    assert deleted.gateway_writes >= 1


@pytest.mark.cluster
def test_listener_sets_are_programmed():
    rows = {row.phase: row for row in listenersets.measured(listenersets.Shape(sets=3, routes=2, namespaces=2), 1)}
    assert list(rows) == [
        "created", "first answers", "all answer", "programmed", "routes told", "at rest", "one more route", "one more ListenerSet",
    ]  # fmt: skip
    assert all(len(rows[phase].ms) == 1 and rows[phase].ms[0] > 0 for phase in ("one more route", "one more ListenerSet"))
    assert rows["at rest"].status_writes >= 3 + 6 + 1


@pytest.mark.cluster
def test_the_footprint_has_all_phases():
    rows, seen = b4.measured(SMALL, window=1.0)
    assert [row.phase for row in rows] == ["first settle", "idle", "churn", "relist"]
    assert rows[2].changes == 10
    assert all(20 < row.rss_mb <= row.peak_rss_mb for row in rows)
    assert seen["shape"]["ingresses"] == SMALL.ingresses


@pytest.mark.cluster
def test_a_cold_start_is_over_when_every_host_answers():
    (row,) = b5.measured(SMALL, 1)
    assert row.first <= row.all
    assert row.lists <= row.ready
    assert row.from_lists == pytest.approx(row.all - row.lists)
