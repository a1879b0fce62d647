"""The laws of `weirkeeper.flow`, on graphs of random shape with random histories."""

import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weirkeeper.flow import FlowError, Graph, index

KEYS = tuple(range(6))
index.FEW = 3  # so that small and large groups both occur


class Text:
    """Keeps numbers as text."""

    def pack(self, value):
        return str(value).encode()

    def unpack(self, body):
        return int(body)


class Fault(Exception):
    pass


class World:
    """A graph made from drawn numbers: each layer is derived from an earlier table and reads others on the way."""

    def __init__(self, layers, fuse=None):
        self.g = Graph()
        self.fuse = fuse  # counts down; a derivation raises when it is at zero
        self.sources = [self.g.source("s0"), self.g.source("s1", packing=Text())]
        self.tables = list(self.sources)
        self.spreads = []
        self.indexes = []
        for at, (kind, parent, other, salt) in enumerate(layers):
            self.add(f"{kind}{at}", kind, self.tables[parent % len(self.tables)], other, salt)

    def burn(self):
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse == 0:
                raise Fault

    def look(self, read, key, other, salt, reach):
        """Reads what its own number says, other things for other keys; answers a small number."""
        tables, indexes, spreads = reach
        mode = (hash((key, salt)) + other) % 5
        near = (hash(key) + salt) % len(KEYS)
        table = tables[other % len(tables)]
        if mode == 0:
            return read.get(table, near) or 0
        if mode == 1:
            return int(read.contains(table, near))
        if mode == 2 and indexes:
            return sum(key + value for key, value in read.lookup(indexes[other % len(indexes)], near % 3))
        if mode == 3:
            first = read.get(table, near)
            return 0 if first is None else read.get(tables[salt % len(tables)], first % len(KEYS)) or 0
        if mode == 4 and spreads:
            return len(read.contenders(spreads[other % len(spreads)], near))
        return 0

    def add(self, name, kind, parent, other, salt):
        reach = (tuple(self.tables), tuple(self.indexes), tuple(self.spreads))

        def derive(read, key, value):
            seen = self.look(read, key, other, salt, reach)
            self.burn()
            answer = (value + seen + salt) % 7
            return None if answer == 0 else answer

        def spread(read, key, value):
            seen = self.look(read, key, other, salt, reach)
            for step in range(value % 3):
                self.burn()
                yield (key + value + step) % len(KEYS), (value + seen + key) % 5 + 1

        def groups(key, value):
            self.burn()
            return [value % 3, (key + salt) % 3][: value % 4]

        def merge(read, group, members):
            assert members
            assert list(members) == sorted(members)
            self.burn()
            return sum(value for _, value in members) + self.look(read, group, other, salt, reach)

        if kind == "derive":
            self.tables.append(self.g.derive(name, parent, derive, packing=Text() if salt % 2 else None))
        elif kind == "spread":
            self.spreads.append(self.g.spread(name, parent, spread))
            self.tables.append(self.spreads[-1])
        elif kind == "group":
            self.indexes.append(self.g.index(f"{name}-index", parent, groups))
            self.tables.append(self.g.group(name, self.indexes[-1], merge))
        else:
            low = self.g.derive(f"{name}-low", parent, lambda read, key, value: value if key < 3 else None)
            high = self.g.derive(f"{name}-high", parent, lambda read, key, value: value if key >= 3 else None)
            self.tables.append(self.g.union(name, [low, high]))

    def play(self, history):
        for event in history:
            if event is None:
                self.settle()
            else:
                self.g.put(self.sources[event[0]], event[1], event[2])
        return self.settle()

    def settle(self):
        while True:
            try:
                return self.g.settle()
            except FlowError as failure:
                if not isinstance(failure.__cause__, Fault):
                    raise

    def state(self):
        rows = {table.name: dict(self.g.rows(table)) for table in self.tables}
        groups = {index.name: [self.g.lookup(index, group) for group in range(3)] for index in self.indexes}
        contests = {table.name: [self.g.contenders(table, key) for key in KEYS] for table in self.spreads}
        return rows, groups, contests

    def reads(self):
        """Who reads what, everywhere."""
        return {
            (table.name, key): frozenset(self.g.readers(table, key))
            for table in self.tables
            for key in self.g.wanted(table)
        }


numbers = st.integers(0, 9)
shapes = st.lists(
    st.tuples(st.sampled_from(["derive", "spread", "group", "union"]), numbers, numbers, numbers),
    min_size=1,
    max_size=7,
)
puts = st.tuples(st.integers(0, 1), st.sampled_from(KEYS), st.none() | st.integers(1, 9))
histories = st.lists(st.none() | puts, max_size=40)


@settings(max_examples=300, deadline=None)
@given(shapes, histories)
def test_any_history_ends_like_a_fresh_build(shape, history):
    world = World(shape)
    world.play(history)
    fresh = world.g.fresh()
    assert world.g.difference(fresh) == ()
    assert fresh.difference(world.g) == ()
    other = World(shape)
    for at, source in enumerate(world.sources):
        other.play([(at, key, value) for key, value in world.g.rows(source).items()])
    assert world.state() == other.state()
    assert world.reads() == other.reads()


@settings(max_examples=100, deadline=None)
@given(shapes, st.dictionaries(st.tuples(st.integers(0, 1), st.sampled_from(KEYS)), st.integers(1, 9)), st.randoms())
def test_order_and_batching_do_not_matter(shape, objects, rng):
    ends = []
    for _ in range(2):
        history = [(at, key, value) for (at, key), value in objects.items()]
        rng.shuffle(history)
        for _ in range(rng.randint(0, 5)):
            history.insert(rng.randint(0, len(history)), None)
        world = World(shape)
        world.play(history)
        ends.append((world.state(), world.reads()))
    assert ends[0] == ends[1]


@settings(max_examples=150, deadline=None)
@given(shapes, histories, histories)
def test_changes_are_the_difference_of_the_states(shape, before, after):
    world = World(shape)
    world.play(before)
    old = world.state()[0]
    settled = world.play([event for event in after if event is not None])
    new = world.state()[0]
    for table in world.tables:
        was, now = old[table.name], new[table.name]
        moved = {key: (was.get(key), now.get(key)) for key in was.keys() | now if was.get(key) != now.get(key)}
        assert dict(settled.changes(table)) == moved


@settings(max_examples=100, deadline=None)
@given(shapes, histories)
def test_settling_again_runs_nothing(shape, history):
    world = World(shape)
    world.play(history)
    again = world.g.settle()
    assert again.runs == {}
    assert not any(again.changes(table) for table in world.tables)


@settings(max_examples=200, deadline=None)
@given(shapes, histories, st.integers(1, 60))
def test_a_failure_loses_nothing(shape, history, fuse):
    failing, sound = World(shape, fuse), World(shape)
    failing.play(history)
    sound.play(history)
    assert failing.state() == sound.state()
    assert failing.reads() == sound.reads()


@settings(max_examples=100, deadline=None)
@given(shapes, histories)
def test_everything_taken_away_leaves_nothing(shape, history):
    world = World(shape)
    world.play(history)
    world.play([(at, key, None) for at in (0, 1) for key in KEYS])
    rows, groups, contests = world.state()
    assert not any(rows.values())
    assert not any(any(each) for each in (*groups.values(), *contests.values()))
    assert not any(world.reads().values())
    assert not any(world.g.groups(index) for index in world.indexes)


def shop(count):
    """As many objects as wished: three routes each, a host each, ten objects to a service."""
    g = Graph()
    services, ingresses = g.source("services"), g.source("ingresses")
    routes = g.spread("routes", ingresses, lambda read, key, value: [((key, path), value) for path in range(3)])
    resolved = g.derive("resolved", routes, lambda read, key, value: (value, read.get(services, key[0] // 10)))
    by_host = g.index("by_host", resolved, lambda key, value: [key[0]])
    hosts = g.group("hosts", by_host, lambda read, host, members: tuple(members))
    g.derive("statuses", ingresses, lambda read, key, value: read.get(hosts, key) is not None)
    for key in range(count):
        g.put(ingresses, key, 0)
        g.put(services, key // 10, 0)
    g.settle()
    return g, services, ingresses


@pytest.mark.parametrize("count", [10, 100, 1_000, 10_000])
def test_runs_per_change_do_not_grow_with_the_number_of_objects(count):
    g, services, ingresses = shop(count)
    rng = random.Random(count)
    g.put(ingresses, rng.randrange(count), 1)
    assert g.settle().runs == {"routes": 1, "resolved": 3, "by_host": 3, "hosts": 1, "statuses": 1}
    g.put(services, rng.randrange(count // 10), 1)
    assert g.settle().runs == {"resolved": 30, "by_host": 30, "hosts": 10, "statuses": 10}
    g.put(ingresses, count, 1)
    assert g.settle().runs == {"routes": 1, "resolved": 3, "by_host": 3, "hosts": 1, "statuses": 1}
    g.put(ingresses, count, None)
    assert g.settle().runs == {}


@pytest.mark.parametrize("count", [10, 10_000])
def test_calls_per_change_do_not_grow_either(count):
    """Counts every Python call that a settle makes, so that a scan hidden behind the derivations would show."""
    g, _, ingresses = shop(count)
    calls = 0

    def tally(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    g.put(ingresses, count // 2, 1)
    before = sys.getprofile()
    sys.setprofile(tally)
    try:
        g.settle()
    finally:
        sys.setprofile(before)
    assert 0 < calls < 400
