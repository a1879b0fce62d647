"""An agent's side of a delta stream: what it holds of its load balancer, and what it says to each response. Sans-IO.

Theory of operation. Comes in: bytes of responses, and verdicts. Goes out: bytes of requests, and ``Round``s: all that changed at one time, to be taken as one change. Until a round is
whole nothing of it comes out. The versions that are held are claimed on the next stream, so that only what differs is sent again; of one kind nothing is claimed: every stream begins
with a response of that kind, whose answer says that the engine has everything.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from weirkeeper.distribute.asking import Asker, answer, condition, response, subscription
from weirkeeper.distribute.kinds import LOAD_BALANCER, NEUTRAL

UNCLAIMED = LOAD_BALANCER
ASKED = tuple(reversed(NEUTRAL))
"""The youngest kinds first: a control plane that is older and does not know them says nothing of rounds in its answer to those, but does so in that to the last."""
MOST_NAMED = 8
LONGEST = 500
Key = tuple[str, str]
"""Kind and name."""


class Round(NamedTuple):
    """Changed items, by kind and name (None: gone), and the responses that brought them."""

    changes: Mapping[Key, bytes | None]
    responses: tuple[tuple[str, str, frozenset[str]], ...]


class Subscription:
    """What is held, over all streams."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._held: dict[Key, str] = {}
        self._fresh: dict[Key, str] = {}
        self._changes: dict[Key, bytes | None] = {}
        self._responses: list[tuple[str, str, frozenset[str]]] = []
        self._first = True

    def knows(self, held: Mapping[Key, str]) -> None:
        """What was held before this program was started, by version."""
        self._held.update(held)

    def versions(self, keys: Iterable[Key]) -> Iterator[tuple[Key, str]]:
        """The versions of these items, as far as they are held."""
        return ((key, self._held[key]) for key in keys if key in self._held)

    def begun(self) -> tuple[bytes, ...]:
        """The first requests of a new stream. What the last one left unfinished is forgotten: it comes again."""
        self._fresh, self._changes, self._responses, self._first = {}, {}, [], True
        claims: dict[str, dict[str, str]] = {kind: {} for kind in NEUTRAL}
        for (kind, name), version in self._held.items():
            if kind != UNCLAIMED:
                claims[kind][name] = version
        askers = (self._asker, *(None for _ in ASKED[1:]))
        return tuple(subscription(kind, claims[kind], who) for kind, who in zip(ASKED, askers, strict=True))

    def ails(self, why: str) -> bytes:
        """The request that says why the engine does not do what is wished, or (empty) that it does; streams that begin later say it as well."""
        self._asker = self._asker._replace(trouble=why[:LONGEST])
        return condition(UNCLAIMED, self._asker)

    def receive(self, raw: bytes) -> Round | None:
        """The round that this response ends, if it does."""
        found = response(raw)
        for change in found.changes:
            key = (found.kind, change.name)
            self._changes[key] = change.body
            self._fresh[key] = change.version
        names = frozenset(change.name for change in found.changes)
        self._responses.append((found.kind, found.nonce, names))
        return self._whole() if found.mark == str(len(NEUTRAL)) else None

    def distrust(self, keys: Iterable[Key]) -> None:
        """The engine does not have these as they are held: they are not claimed."""
        for key in keys:
            if key in self._held:
                self._held[key] = ""

    def _whole(self) -> Round:
        if self._first:  # what was not claimed and did not come is gone
            unclaimed = [key for key in self._held if key[0] == UNCLAIMED]
            self._changes |= {key: None for key in unclaimed if key not in self._changes}
        for key, body in self._changes.items():
            if body is None:
                self._held.pop(key, None)
            else:
                self._held[key] = self._fresh[key]
        found = Round(self._changes, tuple(self._responses))
        self._fresh, self._changes, self._responses, self._first = {}, {}, [], False
        return found


def answered(kind: str, nonce: str, refused: Mapping[str, str]) -> bytes:
    """What is said to a response: that it was taken, or which of its items were not, and why."""
    named = [f"{name}: {why[:LONGEST]}" for name, why in sorted(refused.items())[:MOST_NAMED]]
    return answer(kind, nonce, "; ".join(named))
