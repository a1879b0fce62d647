"""How many routes each listener has, counted in parts: one more route counts its own part anew, not the thousands beside it.

Comes in: what every route is attached to. Goes out: a number for each listener that has any.
"""

import zlib
from typing import NamedTuple

from weirkeeper.controllers.gateway.attachment import Attached
from weirkeeper.controllers.gateway.listeners import EntryKey
from weirkeeper.flow import Graph, Table
from weirkeeper.model.ids import Ref

PARTS = 64


class Portion(NamedTuple):
    """A part of the routes of a listener."""

    listener: EntryKey
    part: int


def declare_counts(graph: Graph, attached: Table[Ref, Attached]) -> Table[EntryKey, int]:
    """The table of numbers."""
    members = graph.index("gateway.attached_by_listener", attached, _portions)
    parts = graph.group("gateway.counted_parts", members, lambda _, __, found: len(found))
    by_listener = graph.index("gateway.parts_by_listener", parts, lambda key, _: (key.listener,))
    return graph.group("gateway.counts", by_listener, lambda _, __, found: sum(count for _, count in found))


def _portions(ref: Ref, one: Attached) -> set[Portion]:
    part = zlib.crc32(f"{ref.namespace}/{ref.name}".encode()) % PARTS
    return {Portion(key, part) for parent in one.parents if parent.accepted.good for key in parent.sections}
