"""An engine made of dictionaries: takes delta responses as Envoy does, answers them, and asserts what must never reach an engine.

In: bytes of responses. Out: requests, in an order that the test chooses. It refuses every response that contains the body ``BAD``. Scopes before that
one it believes to have from then on, and its workers are told nothing of them; the same bytes again it acknowledges and skips, as Envoy does.
"""

from collections import deque

from envoy.service.discovery.v3 import discovery_pb2

from weirkeeper.distribute import wire
from weirkeeper.distribute.events import Event
from weirkeeper.distribute.kinds import CDS, EDS, LDS, SRDS
from weirkeeper.distribute.store import DesiredStore, Shelf
from weirkeeper.distribute.stream import DeltaStream
from weirkeeper.model.text import Digest, Id
from weirkeeper.providers.base import EngineItem

LB = Id("web")
OK = b"\x0a\x02ok"
BAD = b"\x0a\x03bad"


def item(version: str, *needs: tuple[str, str], body: bytes = OK, **more: object) -> EngineItem:
    return EngineItem(body=body, version=Digest(version), needs=needs, **more)


def shelf_of(items: dict[tuple[str, str], EngineItem]) -> Shelf:
    shelf = DesiredStore().shelf(LB)
    for key, value in items.items():
        shelf.put(key, value)
    return shelf


class Engine:
    def __init__(self, shelf: Shelf, drain: float = 5.0) -> None:
        self.shelf, self.drain = shelf, drain
        self.held: dict[str, dict[str, EngineItem]] = {CDS: {}, EDS: {}, LDS: {}, SRDS: {}}
        self.believed: dict[str, bytes] = {}
        self.served: dict[str, EngineItem] = {}
        """What the workers know: scopes only."""
        self.versions: dict[tuple[str, str], EngineItem] = {}
        self.asked: set[str] = set()
        self.inbox: deque[bytes] = deque()
        self.outbox: deque[wire.Request] = deque()
        self.sent = self.streams = 0
        self.events: list[Event] = []
        self.now = 0.0
        self.connect()

    def know(self, kind: str, name: str, value: EngineItem) -> None:
        """Remember what a version needs: the engine itself only sees bytes."""
        self.versions[kind, f"{name}@{value.version}"] = value

    def connect(self) -> None:
        self.streams += 1
        self.stream = DeltaStream(self.shelf, self.drain, mark=str(self.streams))
        self.inbox.clear()
        self.outbox.clear()
        self.said: dict[str, discovery_pb2.DeltaDiscoveryResponse] = {}
        self.proven = set(self.held[CDS])
        for kind in (CDS, EDS, LDS, SRDS):
            if kind == EDS and not self.asked:
                continue
            held = {name: str(value.version) for name, value in self.held[kind].items()}
            names = tuple(sorted(self.asked)) if kind == EDS else ()
            self.outbox.append(wire.Request(kind=kind, node=wire.Node("web/1", "envoy 1"), subscribe=names, held=held))

    def hear(self) -> None:
        """The control plane hears one request."""
        if self.outbox:
            request = self.outbox.popleft()
            self.events += self.stream.receive(request, self.now)
            message = self.said.pop(request.nonce, None)
            if message is not None and request.error is None and message.type_url in (CDS, EDS):
                self.proven.update(r.name for r in message.resources)

    def speak(self) -> bool:
        """The control plane says one thing."""
        raw = self.stream.next(self.now)
        if raw is not None:
            self.inbox.append(raw)
            message = discovery_pb2.DeltaDiscoveryResponse.FromString(raw)
            self.said[message.nonce] = message
            for r in message.resources if message.type_url == SRDS else ():
                for _, cluster in self.versions[SRDS, f"{r.name}@{r.version}"].needs:
                    assert cluster in self.proven, f"scope {r.name} sent before {cluster} was acknowledged"
            if message.type_url == CDS:
                self.proven.difference_update(message.removed_resources)
        return raw is not None

    def take(self) -> None:
        """The engine reads one response, takes it or refuses it, and asks for the assignments of its clusters."""
        if not self.inbox:
            return
        message = discovery_pb2.DeltaDiscoveryResponse.FromString(self.inbox.popleft())
        kind, table = message.type_url, self.held[message.type_url]
        bad = [r.name for r in message.resources if r.resource.value.startswith(BAD)]
        if kind == SRDS:
            self.believe(message)
        if bad:
            self.outbox.append(wire.Request(kind=kind, nonce=message.nonce, error="something is wrong"))
            return
        before = set(self.held[CDS])
        for r in message.resources:
            value = self.versions[kind, f"{r.name}@{r.version}"]
            if kind == SRDS:
                for _, cluster in value.needs:
                    assert cluster in self.held[CDS], f"scope {r.name} names {cluster}, which the engine does not have"
            if kind != EDS or r.name in self.asked:
                table[r.name] = value
                self.sent += 1
        for name in message.removed_resources:
            if kind == CDS:
                users = [s for s, v in self.held[SRDS].items() if (CDS, name) in v.needs]
                assert not users, f"cluster {name} taken away from {users}"
            table.pop(name, None)
        self.outbox.append(wire.Request(kind=kind, nonce=message.nonce))
        if kind == CDS:
            self.ask(before)

    def believe(self, message: discovery_pb2.DeltaDiscoveryResponse) -> None:
        """Scopes are taken one by one, and told to the workers only when all of them are good."""
        news: dict[str, EngineItem] = {}
        for name in message.removed_resources:
            self.believed.pop(name, None)
            self.served.pop(name, None)
        for r in message.resources:
            if r.resource.value.startswith(BAD):
                return
            if self.believed.get(r.name) != r.resource.value:
                self.believed[r.name] = r.resource.value
                news[r.name] = self.versions[SRDS, f"{r.name}@{r.version}"]
        self.served.update(news)

    def ask(self, before: set[str]) -> None:
        new, gone = set(self.held[CDS]) - before, before - set(self.held[CDS])
        self.asked = (self.asked | new) - gone
        for name in gone:
            self.held[EDS].pop(name, None)
        if new or gone:
            self.outbox.append(wire.Request(kind=EDS, subscribe=tuple(sorted(new)), unsubscribe=tuple(sorted(gone))))

    def settle(self) -> None:
        for _ in range(10_000):
            busy = bool(self.inbox or self.outbox)
            self.hear()
            busy |= self.speak()
            self.take()
            if not busy:
                return
        raise AssertionError("the stream never comes to rest")
