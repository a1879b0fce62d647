"""The recorded reads, told as a tree."""

from weirkeeper.flow import Explained, Graph, MissingRead


def graph():
    g = Graph()
    services, secrets, ingresses = g.source("services"), g.source("secrets"), g.source("ingresses")
    intents = g.derive("intents", ingresses, lambda read, key, value: (value, read.contains(secrets, "cert")))
    routes = g.spread("routes", intents, lambda read, key, value: [(value[0], read.get(services, value[0]))])
    by_host = g.index("by_host", routes, lambda key, value: ["host"])
    hosts = g.group("hosts", by_host, lambda read, key, members: len(members))
    everything = g.union("everything", [hosts])
    g.put(services, "cart", "10.0.0.1")
    g.put(ingresses, "a", "cart")
    g.settle()
    return g, ingresses, intents, routes, by_host, hosts, everything


def node(table, key, value, *reads, cut=False):
    return Explained(table=table, key=key, value=value, reads=reads, cut=cut)


INTENT = node("intents", "a", ("cart", False), node("ingresses", "a", "cart"), MissingRead(table="secrets", key="cert"))
ROUTE = node("routes", "cart", "10.0.0.1", INTENT, node("services", "cart", "10.0.0.1"))


def test_the_own_input_comes_first_then_the_reads_in_order():
    g, _, intents, routes, *_ = graph()
    assert g.explain(intents, "a") == INTENT
    assert g.explain(routes, "cart") == ROUTE


def test_groups_and_unions_are_told_through():
    g, *_, hosts, everything = graph()
    group = node("by_host", "host", (("cart", "10.0.0.1"),), ROUTE)
    assert g.explain(hosts, "host") == node("hosts", "host", 1, group)
    assert g.explain(everything, "host") == node("everything", "host", 1, node("hosts", "host", 1, group))


def test_limits_are_told():
    g, ingresses, intents, *_, _hosts, _ = graph()
    assert g.explain(intents, "a", depth=0) == node("intents", "a", ("cart", False), cut=True)
    assert g.explain(intents, "a", breadth=1) == node(
        "intents", "a", ("cart", False), node("ingresses", "a", "cart"), cut=True
    )
    assert g.explain(ingresses, "a", depth=0) == node("ingresses", "a", "cart")


def test_the_winner_of_a_contested_key_is_the_parent():
    g, ingresses, _, routes, *_ = graph()
    g.put(ingresses, "0", "cart")
    g.settle()
    assert g.explain(routes, "cart").reads[0].key == "0"


def test_an_absent_row_says_what_that_was_decided_from():
    g = Graph()
    limits, numbers = g.source("limits"), g.source("numbers")
    kept = g.derive("kept", numbers, lambda read, key, value: read.get(limits, "max"))
    g.put(numbers, "n", 5)
    g.settle()
    assert g.explain(kept, "n") == node(
        "kept", "n", None, node("numbers", "n", 5), MissingRead(table="limits", key="max")
    )


def test_a_wide_and_deep_web_stays_cheap():
    g = Graph()
    table = g.source("layer-0")
    for key in range(10):
        g.put(table, key, 1)
    for layer in range(1, 9):
        below = table
        table = g.derive(
            f"layer-{layer}",
            below,
            lambda read, key, value, below=below: sum(read.get(below, each) or 0 for each in range(10)),
        )
    g.settle()
    told = g.explain(table, 0)
    distinct, waiting = set(), [told]
    while waiting:
        each = waiting.pop()
        if id(each) not in distinct:
            distinct.add(id(each))
            waiting.extend(each.reads)
    assert len(distinct) == 1 + 8 * 10
