"""What a graph promises, behaviour by behaviour."""

import pytest

from weirkeeper.flow import Change, Difference, FlowError, Graph, Memo, Source


def test_a_memo_asks_once_for_each_object_and_forgets_the_oldest():
    asked = []
    memo = Memo(lambda thing: asked.append(thing) or len(asked), most=2)
    one, two, three = ["a"], ["a"], ["b"]
    assert memo.many([one, two, one, one]) == [1, 2, 1, 1]
    assert memo(three) == 3
    assert memo(two) == 2
    assert memo(one) == 4, "equal things are not the same thing, and the oldest was forgotten"


def shop():
    """ingress -> route per path -> virtual host per host, each route reading its service."""
    g = Graph()
    services: Source[str, str] = g.source("services")
    ingresses: Source[str, tuple] = g.source("ingresses")
    routes = g.spread("routes", ingresses, lambda read, key, paths: [((key, path), host) for host, path in paths])
    resolved = g.derive("resolved", routes, lambda read, key, host: (host, read.get(services, key[1])))
    by_host = g.index("by_host", resolved, lambda key, value: [value[0]])
    hosts = g.group("hosts", by_host, lambda read, host, members: tuple(members))
    return g, services, ingresses, routes, resolved, by_host, hosts


def test_a_row_travels_through_all_kinds_of_table():
    g, services, ingresses, _routes, _resolved, by_host, hosts = shop()
    g.put(services, "cart", "10.0.0.1")
    g.put(ingresses, "a", (("shop", "cart"), ("shop", "blog")))
    settled = g.settle()
    assert g.get(hosts, "shop") == ((("a", "blog"), ("shop", None)), (("a", "cart"), ("shop", "10.0.0.1")))
    assert settled.runs == {"routes": 1, "resolved": 2, "by_host": 2, "hosts": 1}
    assert settled.changes(hosts) == {"shop": Change(None, g.get(hosts, "shop"))}
    assert g.lookup(by_host, "shop") == g.get(hosts, "shop")


def test_inputs_show_the_state_of_the_last_settle():
    g, services, *_ = shop()
    g.put(services, "cart", "1")
    assert g.get(services, "cart") is None
    assert g.settle().changes(services) == {"cart": Change(None, "1")}
    assert g.get(services, "cart") == "1"


def test_settling_twice_runs_nothing():
    g, _, ingresses, *_ = shop()
    g.put(ingresses, "a", (("shop", "cart"),))
    g.settle()
    again = g.settle()
    assert again.runs == {}
    assert again.runs["routes"] == 0
    assert again.changes(ingresses) == {}


def test_an_equal_value_makes_no_work_and_keeps_the_old_object():
    g, _, ingresses, *_ = shop()
    first = (("shop", "cart"),)
    g.put(ingresses, "a", first)
    g.settle()
    g.put(ingresses, "a", tuple([("shop", "cart")]))
    assert g.settle().runs == {}
    assert g.get(ingresses, "a") is first


def test_a_value_that_came_back_before_the_settle_makes_no_work():
    g, services, ingresses, *_ = shop()
    g.put(ingresses, "a", (("shop", "cart"),))
    g.put(services, "cart", "1")
    g.settle()
    g.put(services, "cart", "2")
    g.put(services, "cart", "1")
    g.put(services, "new", "1")
    g.put(services, "new", None)
    settled = g.settle()
    assert settled.runs == {}
    assert settled.changes(services) == {}


def test_only_readers_of_a_change_run_again():
    g, services, ingresses, _, resolved, *_ = shop()
    for key in "abc":
        g.put(ingresses, key, ((f"host-{key}", f"service-{key}"),))
    g.settle()
    g.put(services, "service-b", "1")
    settled = g.settle()
    assert settled.runs == {"resolved": 1, "by_host": 1, "hosts": 1}
    assert settled.changes(resolved) == {
        ("b", "service-b"): Change(("host-b", None), ("host-b", "1")),
    }


def test_equal_output_stops_the_wave():
    g = Graph()
    numbers = g.source("numbers")
    parity = g.derive("parity", numbers, lambda read, key, value: value % 2)
    shown = g.derive("shown", parity, lambda read, key, value: str(value))
    g.put(numbers, "n", 2)
    g.settle()
    g.put(numbers, "n", 4)
    settled = g.settle()
    assert settled.runs == {"parity": 1}
    assert settled.changes(numbers) == {"n": Change(2, 4)}
    assert settled.changes(shown) == {}


def test_none_is_absence():
    g = Graph()
    numbers = g.source("numbers")
    odd = g.derive("odd", numbers, lambda read, key, value: value if value % 2 else None)
    g.put(numbers, "n", 1)
    g.settle()
    g.put(numbers, "n", 2)
    assert g.settle().changes(odd) == {"n": Change(1, None)}
    assert "n" not in g.rows(odd)


def test_deletion_travels_and_leaves_nothing_behind():
    g, services, ingresses, routes, resolved, by_host, hosts = shop()
    g.put(ingresses, "a", (("shop", "cart"),))
    g.settle()
    assert g.wanted(services) == {"cart"}
    g.put(ingresses, "a", None)
    settled = g.settle()
    assert settled.changes(hosts) == {"shop": Change(((("a", "cart"), ("shop", None)),), None)}
    assert settled.runs == {}
    assert not any(g.rows(table) for table in (ingresses, routes, resolved, hosts))
    assert g.lookup(by_host, "shop") == ()
    assert not g.groups(by_host)
    assert g.wanted(services) == frozenset()


def test_contains_minds_only_coming_and_going():
    g = Graph()
    secrets, wishes = g.source("secrets"), g.source("wishes")
    held = g.derive("held", wishes, lambda read, key, value: read.contains(secrets, value))
    g.put(wishes, "w", "s")
    g.settle()
    g.put(secrets, "s", "one")
    assert g.settle().changes(held) == {"w": Change(False, True)}
    g.put(secrets, "s", "two")
    assert g.settle().runs == {}
    g.put(secrets, "s", None)
    assert g.settle().changes(held) == {"w": Change(True, False)}


def test_reads_that_are_no_longer_made_are_forgotten():
    g = Graph()
    left, right, switch = g.source("left"), g.source("right"), g.source("switch")
    g.derive("out", switch, lambda read, key, to: (read.get(left if to == "left" else right, "x"), to))
    g.put(switch, "s", "left")
    g.settle()
    g.put(switch, "s", "right")
    g.settle()
    g.put(left, "x", 1)
    assert g.settle().runs == {}
    g.put(right, "x", 1)
    assert g.settle().runs == {"out": 1}
    assert (g.readers(left, "x"), g.readers(right, "x")) == ((), (("out", "s"),))


def test_readers_and_wanted_tell_who_waits_for_a_row_that_is_not_there():
    g, services, ingresses, *_ = shop()
    for key in "abc":
        g.put(ingresses, key, ((f"host-{key}", "cart"),))
    g.settle()
    assert g.wanted(services) == {"cart"}
    assert g.readers(services, "cart") == tuple(("resolved", (key, "cart")) for key in "abc")
    for key in "ab":
        g.put(ingresses, key, None)
    g.settle()
    assert g.readers(services, "cart") == (("resolved", ("c", "cart")),)


def test_lookup_is_sorted_and_recorded_even_when_empty():
    g = Graph()
    pods, services = g.source("pods"), g.source("services")
    by_app = g.index("by_app", pods, lambda key, apps: apps)
    ready = g.derive("ready", services, lambda read, key, app: tuple(key for key, _ in read.lookup(by_app, app)))
    g.put(services, "web", "app")
    g.settle()
    assert g.get(ready, "web") == ()
    for pod in ("c", "a", "b"):
        g.put(pods, pod, ("app", "other", "app"))
    assert g.settle().changes(ready) == {"web": Change((), ("a", "b", "c"))}
    g.put(pods, "b", ("other",))
    g.settle()
    assert g.get(ready, "web") == ("a", "c")
    assert [key for key, _ in g.lookup(by_app, "other")] == ["a", "b", "c"]


def test_an_index_may_put_a_row_in_no_group():
    g = Graph()
    pods = g.source("pods")
    by_app = g.index("by_app", pods, lambda key, app: [app] if app else [])
    apps = g.group("apps", by_app, lambda read, app, members: len(members))
    g.put(pods, "p", "")
    assert g.settle().runs == {"by_app": 1}
    assert g.rows(apps) == {}


def test_the_smallest_parent_wins_a_key_and_the_next_takes_over():
    g = Graph()
    parents = g.source("parents")
    children = g.spread("children", parents, lambda read, key, value: [("shared", value)])
    for key in (2, 3, 1):
        g.put(parents, key, f"of {key}")
    g.settle()
    assert g.contenders(children, "shared") == (1, 2, 3)
    assert g.get(children, "shared") == "of 1"
    g.put(parents, 1, None)
    assert g.settle().changes(children) == {"shared": Change("of 1", "of 2")}
    g.put(parents, 3, "new")
    assert g.settle().changes(children) == {}
    g.put(parents, 2, None)
    g.settle()
    assert (g.contenders(children, "shared"), g.get(children, "shared")) == ((3,), "new")
    g.put(parents, 3, None)
    g.settle()
    assert (g.contenders(children, "shared"), g.get(children, "shared")) == ((), None)


def test_a_key_that_moves_between_parents_with_the_same_value_was_never_gone():
    g = Graph()
    parents = g.source("parents")
    children = g.spread("children", parents, lambda read, key, names: ((name, "same") for name in names))
    g.derive("after", children, lambda read, key, value: value)
    g.put(parents, "a", ("x",))
    g.settle()
    g.put(parents, "a", None)
    g.put(parents, "b", ("x",))
    settled = g.settle()
    assert settled.runs == {"children": 1}
    assert settled.changes(children) == {}
    assert g.contenders(children, "x") == ("b",)


def test_a_read_of_contenders_runs_again_when_the_list_changes():
    g = Graph()
    parents = g.source("parents")
    children = g.spread("children", parents, lambda read, key, value: [("shared", value)])
    lost = g.derive("lost", parents, lambda read, key, value: read.contenders(children, "shared")[0] != key)
    g.put(parents, "b", 1)
    g.settle()
    assert g.rows(lost) == {"b": False}
    g.put(parents, "a", 1)
    g.settle()
    assert g.rows(lost) == {"a": False, "b": True}
    g.put(parents, "a", None)
    g.settle()
    assert g.rows(lost) == {"b": False}


def test_a_parent_that_yields_a_key_twice_is_a_mistake_of_the_derivation():
    g = Graph()
    parents = g.source("parents")
    g.spread("children", parents, lambda read, key, value: [("x", 1), ("x", 2)])
    g.put(parents, "p", 1)
    with pytest.raises(FlowError, match=r"children, key 'p'.*'x' twice"):
        g.settle()


def test_a_union_has_the_rows_of_all_and_refuses_a_key_in_two():
    g = Graph()
    left, right = g.source("left"), g.source("right")
    both = g.union("both", [left, right])
    g.put(left, "a", 1)
    g.put(right, "b", 2)
    g.settle()
    assert g.rows(both) == {"a": 1, "b": 2}
    g.put(left, "a", None)
    g.put(right, "a", 3)
    assert g.settle().changes(both) == {"a": Change(1, 3)}
    g.put(left, "a", 4)
    with pytest.raises(FlowError, match=r"both, key 'a'.*left and in right"):
        g.settle()
    g.put(right, "a", None)
    assert g.settle().changes(both) == {"a": Change(3, 4)}


def test_a_settled_stays_as_it_is_when_the_graph_moves_on():
    g, services, *_ = shop()
    g.put(services, "s", "1")
    first = g.settle()
    g.put(services, "s", "2")
    g.settle()
    assert first.changes(services) == {"s": Change(None, "1")}


def test_a_table_declared_late_catches_up():
    g = Graph()
    numbers = g.source("numbers")
    g.put(numbers, "n", 1)
    g.settle()
    late = g.derive("late", numbers, lambda read, key, value: value + 1)
    assert g.settle().changes(late) == {"n": Change(None, 2)}


def test_reading_a_later_table_names_both():
    g = Graph()
    numbers = g.source("numbers")
    tables = []
    g.derive("early", numbers, lambda read, key, value: read.get(tables[0], key))
    tables.append(g.derive("late", numbers, lambda read, key, value: value))
    g.put(numbers, "n", 1)
    with pytest.raises(FlowError, match=r"early reads late, which is not declared before it") as caught:
        g.settle()
    assert (caught.value.table, caught.value.key) == ("early", "n")


def test_a_derivation_may_not_read_itself_nor_after_its_run():
    g = Graph()
    numbers = g.source("numbers")
    kept = []
    g.derive("keeps", numbers, lambda read, key, value: kept.append(read))
    g.put(numbers, "n", 1)
    g.settle()
    with pytest.raises(FlowError, match="outside of its run"):
        kept[0].get(numbers, "n")
    assert g.wanted(numbers) == frozenset()


@pytest.mark.parametrize("act", [lambda g, t: g.put(t, "x", 1), lambda g, t: g.settle(), lambda g, t: g.source("y")])
def test_a_derivation_may_not_act_on_the_graph(act):
    g = Graph()
    numbers = g.source("numbers")
    g.derive("acts", numbers, lambda read, key, value: act(g, numbers))
    g.put(numbers, "n", 1)
    with pytest.raises(FlowError, match="a derivation may not"):
        g.settle()


def test_wrong_handles_are_refused_by_name():
    g, other = Graph(), Graph()
    mine, foreign = g.source("mine"), other.source("foreign")
    same_rows = g.derive("derived", mine, lambda read, key, value: value)
    with pytest.raises(FlowError, match="declared twice"):
        g.source("mine")
    for wrong in (
        lambda: g.put(foreign, 1, 1),
        lambda: g.put(same_rows, 1, 1),
        lambda: g.get(foreign, 1),
        lambda: g.derive("x", foreign, lambda read, key, value: value),
        lambda: g.contenders(same_rows, 1),
    ):
        with pytest.raises(FlowError, match=r"foreign|derived"):
            wrong()
    assert list(g.tables) == ["mine", "derived"]


class TestFailure:
    def graph(self):
        g = Graph()
        numbers, limits = g.source("numbers"), g.source("limits")
        self.broken = {"b"}
        self.ran = []

        def halve(read, key, value):
            self.ran.append(key)
            limit = read.get(limits, key)
            if key in self.broken:
                raise ZeroDivisionError(key)
            return (value / 2, limit)

        halves = g.derive("halves", numbers, halve)
        shown = g.derive("shown", halves, lambda read, key, value: str(value))
        return g, numbers, limits, halves, shown

    def test_says_where_and_keeps_the_cause(self):
        g, numbers, *_ = self.graph()
        g.put(numbers, "b", 1)
        with pytest.raises(FlowError, match=r"halves, key 'b': ZeroDivisionError: b") as caught:
            g.settle()
        assert (caught.value.table, caught.value.key) == ("halves", "b")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)

    def test_stops_nobody_else_where_it_stands_apart(self):
        g = Graph()
        numbers = g.source("numbers")
        with g.apart("left"):
            halves = g.derive("halves", numbers, lambda read, key, value: 2 // value)
            shown = g.derive("shown", halves, lambda read, key, value: str(value))
        with g.apart("right"):
            doubles = g.derive("doubles", numbers, lambda read, key, value: 2 * value)
        g.put(numbers, "a", 1)
        assert g.settle().failures == {}
        g.put(numbers, "b", 0)
        settled = g.settle()
        assert str(settled.failures["left"]).startswith("halves, key 'b': ZeroDivisionError")
        assert (settled.failures.keys(), set(settled.changes(doubles)), settled.changes(shown)) == ({"left"}, {"b"}, {})
        g.put(numbers, "c", 2)
        assert g.settle().failures.keys() == {"left"}, "it is tried again"
        g.put(numbers, "b", 2)
        settled = g.settle()
        assert (settled.failures, set(settled.changes(shown)), g.rows(shown)) == ({}, {"b", "c"}, {"a": "2", "b": "1", "c": "1"})
        assert g.difference(g.fresh()) == ()
        fresh = g.fresh()
        fresh.put(numbers, "b", 0)
        assert fresh.settle().failures.keys() == {"left"}, "a fresh one has the same rooms"

    def test_loses_nothing_and_repeats_nothing(self):
        g, numbers, _, _, shown = self.graph()
        for key in "abc":
            g.put(numbers, key, 2)
        with pytest.raises(FlowError):
            g.settle()
        with pytest.raises(FlowError):
            g.settle()
        assert self.ran == ["a", "b", "b"]
        self.broken.clear()
        settled = g.settle()
        assert self.ran == ["a", "b", "b", "b", "c"]
        assert set(settled.changes(shown)) == {"a", "b", "c"}
        assert set(settled.changes(numbers)) == {"a", "b", "c"}
        assert g.difference(g.fresh()) == ()

    def test_keeps_the_old_row_and_reads_and_reports_the_net_change_later(self):
        g, numbers, limits, halves, _ = self.graph()
        self.broken.clear()
        g.put(numbers, "b", 2)
        g.settle()
        self.broken.add("b")
        g.put(numbers, "b", 4)
        with pytest.raises(FlowError):
            g.settle()
        assert g.get(halves, "b") == (1, None)
        assert g.readers(limits, "b") == (("halves", "b"),)
        g.put(numbers, "b", 2)
        self.broken.clear()
        assert g.settle().changes(numbers) == {}

    def test_an_unrecorded_failed_read_leaves_no_watch(self):
        g, numbers, limits, *_ = self.graph()
        g.put(numbers, "b", 1)
        with pytest.raises(FlowError):
            g.settle()
        assert g.wanted(limits) == frozenset()

    def test_an_interrupt_passes_through_and_loses_nothing(self):
        g = Graph()
        numbers = g.source("numbers")
        interrupts = [KeyboardInterrupt()]

        def once(read, key, value):
            if interrupts:
                raise interrupts.pop()
            return value

        out = g.derive("out", numbers, once)
        g.put(numbers, "n", 1)
        with pytest.raises(KeyboardInterrupt):
            g.settle()
        g.settle()
        assert g.rows(out) == {"n": 1}


def test_fresh_takes_pending_inputs_and_difference_finds_what_is_not_equal():
    g, services, ingresses, _, _, _by_host, _hosts = shop()
    g.put(ingresses, "a", (("shop", "cart"),))
    g.settle()
    g.put(services, "cart", "1")
    fresh = g.fresh()
    found = {(each.table, each.key) for each in g.difference(fresh)}
    assert found == {("services", "cart"), ("resolved", ("a", "cart")), ("by_host", "shop"), ("hosts", "shop")}
    assert Difference("services", "cart", None, "1") in g.difference(fresh)
    g.settle()
    assert g.difference(fresh) == ()


def test_difference_sees_a_row_that_should_not_be_there():
    g, services, *_ = shop()
    g.put(services, "cart", "1")
    g.settle()
    fresh = g.fresh()
    fresh.put(services, "cart", None)
    fresh.settle()
    assert g.difference(fresh) == (Difference("services", "cart", "1", None),)
    assert fresh.difference(g) == (Difference("services", "cart", None, "1"),)


def test_rows_are_read_only():
    g, services, *_ = shop()
    with pytest.raises(TypeError):
        g.rows(services)["x"] = "1"  # type: ignore[index]


def test_only_the_changes_that_are_told_are_kept() -> None:
    g = Graph()
    numbers: Source[str, int] = g.source("numbers")
    shown = g.derive("shown", numbers, lambda _, __, value: str(value))
    g.tell([shown])
    g.put(numbers, "n", 1)
    settled = g.settle()
    assert settled.changes(shown) == {"n": Change(None, "1")}
    with pytest.raises(FlowError, match="the changes of numbers are not told"):
        settled.changes(numbers)
    g.put(numbers, "n", 2)
    assert g.settle().changes(shown) == {"n": Change("1", "2")}
    assert g.difference(g.fresh()) == ()
