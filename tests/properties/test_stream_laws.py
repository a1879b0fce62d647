"""Any history of changes, answers in any order and lost streams ends with what is wished, and never breaks what serves on the way."""

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from weirkeeper.distribute.kinds import CDS, EDS, LDS, SRDS
from weirkeeper.distribute.store import Shelf

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from dict_engine import BAD, OK, Engine, item

CLUSTERS = ("c1", "c2", "c3")
HOSTS = ("h1", "h2", "h3", "h4")


def world(state: dict[str, tuple[str, bool]], counter: int, cold: frozenset[str]) -> dict[tuple[str, str], object]:
    """hosts -> (cluster, bad) and the clusters that engines refuse: items of all kinds, so that every cluster that is named exists"""
    items: dict[tuple[str, str], object] = {(LDS, "web"): item("1")}
    for host, (cluster, bad) in state.items():
        tag = f"{cluster[1]}{'bad' if bad else ''}".encode().hex()
        items[SRDS, host] = item(tag, (CDS, cluster), body=BAD if bad else OK)
        items[CDS, cluster] = item("bad", body=BAD) if cluster in cold else item("1")
        items[EDS, cluster] = item(f"{counter % 3}")
    return items


def apply(shelf: Shelf, engines: list[Engine], before: dict, after: dict) -> dict:
    for key, value in after.items():
        for engine in engines:
            engine.know(key[0], key[1], value)
        shelf.put(key, value)
    for key in before.keys() - after.keys():
        shelf.put(key, None)
    return after


wish = st.none() | st.tuples(st.sampled_from(CLUSTERS), st.booleans())
host_change = st.tuples(st.just("host"), st.sampled_from(HOSTS), wish)
cold_change = st.tuples(st.just("cold"), st.sampled_from(CLUSTERS), st.none())
step = st.tuples(st.sampled_from(["hear", "speak", "take", "settle"]), st.sampled_from([0, 1]), st.none())
rare = st.tuples(st.sampled_from(["lost", "time"]), st.sampled_from([0, 1]), st.none())
history = st.lists(st.one_of(host_change, cold_change, step, step, step, rare), max_size=80)


def play(steps: list, shelf: Shelf, engines: list[Engine]) -> tuple[dict, dict, frozenset[str]]:
    state: dict = {}
    cold: frozenset[str] = frozenset()
    items = apply(shelf, engines, {}, world(state, 0, cold))
    for count, (what, who, wished) in enumerate(steps):
        if what == "host":
            state.pop(who, None) if wished is None else state.update({who: wished})
        elif what == "cold":
            cold ^= {who}
        elif what == "lost":
            engines[who].connect()
        elif what == "time":
            for engine in engines:
                engine.now += 3.0
        else:
            getattr(engines[who], what)()
        if what in ("host", "cold"):
            items = apply(shelf, engines, items, world(state, count, cold))
    return state, items, cold


@settings(max_examples=400, deadline=None)
@given(history)
def test_every_history_converges(steps: list) -> None:
    shelf = Shelf()
    engines = [Engine(shelf), Engine(shelf)]
    state, items, cold = play(steps, shelf, engines)
    for _ in range(4):
        for engine in engines:
            engine.settle()
            engine.now += 100.0
    for engine in engines:
        finished(engine, state, items, cold)


def finished(engine: Engine, state: dict, items: dict, cold: frozenset[str]) -> None:
    for host, (cluster, bad) in state.items():
        if not bad and cluster not in cold:
            assert engine.held[SRDS][host].version == items[SRDS, host].version
            assert engine.held[EDS][cluster].version == items[EDS, cluster].version
            assert engine.served[host].version == items[SRDS, host].version, "acknowledged, and no worker knows it"
    assert set(engine.held[SRDS]) <= set(state)
    used = {c for v in engine.held[SRDS].values() for _, c in v.needs}
    wished = {c for c, _ in state.values()}
    stands = {key[1] for key in engine.shelf.entries if key[0] == CDS}
    assert set(engine.held[CDS]) <= wished | used | stands
    assert engine.stream.converged()
    sent = engine.sent
    engine.connect()
    engine.settle()
    assert engine.sent == sent, "a lost stream re-sends nothing that the engine holds"
