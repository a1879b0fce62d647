"""What became of each item over all streams of a load balancer: programmed when every connected engine has it, rejected when one refused it.

Comes in: events of streams. Goes out: ``ItemObservation``, each only once per version and state. Pure.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from weirkeeper.distribute.events import Acked, Event, Rejected
from weirkeeper.distribute.store import Key, Shelf
from weirkeeper.distribute.stream import DeltaStream
from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.text import Digest, Id, Label, Name, Sentence

LONGEST = 2_000


class Progress:
    """One load balancer's items, and what was last said of them.

    ``_fresh`` are items whose wish changed: each is looked at once, when every stream has read of it, for it may need no answer (a certificate that
    nobody asked for, a change taken back). ``_open`` are those that somebody lacks: looked at when an answer names them, or a stream ends.
    """

    def __init__(self, provider: Name, load_balancer: Id, shelf: Shelf) -> None:
        self._provider = provider
        self._load_balancer = load_balancer
        self._shelf = shelf
        self._said: dict[Key, tuple[str, ItemState]] = {}
        self._fresh: dict[Key, None] = dict.fromkeys(shelf.entries)
        self._open: dict[Key, None] = {}

    def changed(self, key: Key) -> None:
        """The wish for this item changed; what was said of it before is said again if it still holds."""
        self._fresh[key] = None
        self._said.pop(key, None)

    def of(self, events: Iterable[Event], engine: str, streams: Sequence[DeltaStream]) -> list[ItemObservation]:
        """What these events of one stream say that was not said before."""
        found: list[ItemObservation] = []
        for event in events:
            if isinstance(event, Acked):
                found.extend(self._programmed([(event.kind, name) for name, _ in event.versions], streams))
            elif isinstance(event, Rejected):
                found.extend(self._rejected(event, engine))
        return found

    def look(self, streams: Sequence[DeltaStream], most: int = 1 << 62) -> list[ItemObservation] | None:
        """The fresh items, `most` at a time, that every engine has without an answer, and those that are known to be refused; None when there is nothing to look at."""
        if not self._fresh or not streams or not all(stream.current() for stream in streams):
            return None
        fresh = list(islice(self._fresh, most))
        for key in fresh:
            del self._fresh[key]
        return [*self._known(fresh, streams), *self._programmed(fresh, streams)]

    def parted(self, streams: Sequence[DeltaStream]) -> list[ItemObservation]:
        """A stream ended: the items that only its engine lacked."""
        return list(self._programmed(list(self._open), streams)) if streams else []

    def _known(self, keys: Iterable[Key], streams: Sequence[DeltaStream]) -> Iterator[ItemObservation]:
        """Refusals from before: a refused version that is wished again is not sent again."""
        engines = {stream.engine for stream in streams}
        for key in keys:
            for engine in engines:
                entry, why = self._shelf.entries.get(key), self._shelf.refusal(key, engine)
                if entry is not None and why is not None:
                    yield from self._rejected(Rejected(*key, entry.item.version, why), engine)

    def _programmed(self, keys: Iterable[Key], streams: Sequence[DeltaStream]) -> Iterator[ItemObservation]:
        for key in keys:
            entry = self._shelf.entries.get(key)
            if entry is None:
                self._open.pop(key, None)
                self._said.pop(key, None)
            elif all(stream.has(key, entry.item.version) for stream in streams):
                self._open.pop(key, None)
                state = (str(entry.item.version), ItemState.PROGRAMMED)
                if self._said.get(key) != state:
                    self._said[key] = state
                    yield self._observation(key, *state)
            else:
                self._open[key] = None

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
