"""What became of each item over all streams of a load balancer: programmed when every connected engine has it, rejected when one refused it.

Comes in: events of streams. Goes out: ``ItemObservation``, each only once per version and state. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence

from weirkeeper.distribute.kinds import SDS
from weirkeeper.distribute.store import Key, Shelf
from weirkeeper.distribute.stream import Acked, DeltaStream, Event, Rejected
from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.text import Digest, Id, Label, Name, Sentence

LONGEST = 2_000


class Progress:
    """One load balancer's items, and what was last said of them."""

    def __init__(self, provider: Name, load_balancer: Id, shelf: Shelf) -> None:
        self._provider = provider
        self._load_balancer = load_balancer
        self._shelf = shelf
        self._said: dict[Key, tuple[str, ItemState]] = {}
        self._open: dict[Key, None] = {}

    def of(self, events: Iterable[Event], engine: str, streams: Sequence[DeltaStream]) -> list[ItemObservation]:
        """What these events of one stream say that was not said before."""
        found: list[ItemObservation] = []
        for event in events:
            if isinstance(event, Acked):
                self._open.update({(event.kind, name): None for name, _ in event.versions})
            elif isinstance(event, Rejected):
                found.extend(self._rejected(event, engine))
        return [*found, *self.look(streams)]

    def unasked(self, keys: Iterable[Key]) -> None:
        """Certificates that changed: an engine that has not asked for one is as programmed as it can be."""
        self._open.update({key: None for key in keys if key[0] == SDS})

    def look(self, streams: Sequence[DeltaStream]) -> list[ItemObservation]:
        """The open items that every engine now has."""
        if not streams:
            return []
        return list(self._programmed(streams))

    def _programmed(self, streams: Sequence[DeltaStream]) -> Iterator[ItemObservation]:
        for key in list(self._open):
            entry = self._shelf.entries.get(key)
            if entry is None:
                del self._open[key]
                self._said.pop(key, None)
            elif all(stream.has(key, entry.item.version) for stream in streams):
                del self._open[key]
                state = (str(entry.item.version), ItemState.PROGRAMMED)
                if self._said.get(key) != state:
                    self._said[key] = state
                    yield self._observation(key, *state)

    def _rejected(self, event: Rejected, engine: str) -> Iterator[ItemObservation]:
        key, state = (event.kind, event.name), (event.version, ItemState.REJECTED)
        if self._said.get(key) != state:
            self._said[key] = state
            message, version = printable(event.message), printable(engine)
            yield self._observation(key, *state, message=message, engine_version=version)

    def _observation(
        self, key: Key, version: str, state: ItemState, *, message: str = "", engine_version: str = ""
    ) -> ItemObservation:
        return ItemObservation(
            provider=self._provider,
            load_balancer=self._load_balancer,
            kind=Label(key[0]),
            name=Label(key[1]),
            version=Digest(version),
            state=state,
            message=Sentence(message),
            engine_version=Label(engine_version),
        )


def printable(text: str) -> Sentence:
    """The engine's words without control characters, and not endless."""
    return Sentence("".join(c if c >= " " and c != "\x7f" else " " for c in text[:LONGEST]))
