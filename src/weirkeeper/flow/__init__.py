"""Increments that nobody writes: tables, pure derivations whose reads are recorded, and `settle()`.

    g = Graph()
    services = g.source("services")                      # what comes from outside
    routes = g.source("routes")
    joined = g.derive("joined", routes, lambda read, key, route: (route, read.get(services, route.service)))
    g.put(services, "shop", service)
    g.settle().changes(joined)                           # what came of it, and no more work than that

Reading order: `table.py`, `read.py`, `derive.py`, `index.py`, `spread.py`, `graph.py`, `explain.py`.
This package knows nothing about load balancing and imports only the standard library.
"""

from weirkeeper.flow.explain import Explained, MissingRead
from weirkeeper.flow.graph import Difference, Graph, Settled
from weirkeeper.flow.memo import MANY, Memo
from weirkeeper.flow.read import Read
from weirkeeper.flow.table import Change, FlowError, Handle, Index, Packing, Source, Table

__all__ = [
    "MANY",
    "Change",
    "Difference",
    "Explained",
    "FlowError",
    "Graph",
    "Handle",
    "Index",
    "Memo",
    "MissingRead",
    "Packing",
    "Read",
    "Settled",
    "Source",
    "Table",
]
