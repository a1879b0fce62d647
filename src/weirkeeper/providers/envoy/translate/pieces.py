"""A host with very many paths, in pieces: each piece is a scope of its own, so a change of one path sends one piece.

Theory (decision 0011). The piece of a request is the hash of the first segments of its path, as many as ``depth``. A route that says those segments can only
match requests of one piece; every other route (expressions, prefixes that are shorter, no path at all) is in every piece. So each piece holds, in order,
every route that could match a request of it, and what comes first in the whole list comes first there too.

The key filter computes the same number in Lua (``key_filter.PIECE``). Pure; knows no protobuf.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from weirkeeper.flow import Memo
from weirkeeper.model.match import ExactPath, SegmentPrefix, StringPrefix
from weirkeeper.model.route import Route

PIECES = 128
DEEPEST = 3
EVERYWHERE = -1
WORTH = 8
"""The largest piece must be this many times smaller than the host, else the host stays whole."""
MULTIPLIER, MODULUS = 31, 16_777_213


class Split(NamedTuple):
    """How many segments choose the piece, and the routes of each piece, in the order of matching. A piece that is not there has only what is everywhere."""

    depth: int
    pieces: tuple[tuple[Route, ...], ...]


def split(routes: Sequence[Route]) -> Split | None:
    """The pieces of a host; ``None`` where no depth tells enough of its routes apart."""
    places = _places.many(routes)
    sizes = [_largest([place[n] for place in places]) for n in range(DEEPEST)]
    best = min(range(DEEPEST), key=lambda n: (sizes[n], n))
    if sizes[best] * WORTH > len(routes):
        return None
    return Split(best + 1, _dealt(routes, [place[best] for place in places]))


def head_of(path: str, depth: int) -> str:
    """The first segments of a path, with their slashes."""
    at = 0
    for _ in range(depth):
        at = path.find("/", at + 1)
        if at < 0:
            return path
    return path[:at]


def number_of(head: str) -> int:
    """The piece of these first segments."""
    found = 0
    for byte in head.encode():
        found = (found * MULTIPLIER + byte) % MODULUS
    return found % PIECES


def piece_of(route: Route, depth: int) -> int:
    """The only piece whose requests the route can match, or ``EVERYWHERE``."""
    match route.match.path:
        case ExactPath(value=value):
            return number_of(head_of(value, depth))
        case SegmentPrefix(value=value):
            said = value.rstrip("/")
            return number_of(head_of(said, depth)) if said.count("/") >= depth else EVERYWHERE
        case StringPrefix(value=value):
            return number_of(head_of(value, depth)) if value.count("/") > depth else EVERYWHERE
        case _:
            return EVERYWHERE


def _every_depth(route: Route) -> tuple[int, ...]:
    return tuple(piece_of(route, depth) for depth in range(1, DEEPEST + 1))


_places = Memo(_every_depth)


def _largest(places: list[int]) -> int:
    counts = Counter(places)
    return counts.pop(EVERYWHERE, 0) + max(counts.values(), default=0)


def _dealt(routes: Sequence[Route], places: list[int]) -> tuple[tuple[Route, ...], ...]:
    pieces: list[list[Route]] = [[] for _ in range(PIECES)]
    for route, place in zip(routes, places, strict=True):
        if place == EVERYWHERE:
            for piece in pieces:
                piece.append(route)
        else:
            pieces[place].append(route)
    return tuple(map(tuple, pieces))
