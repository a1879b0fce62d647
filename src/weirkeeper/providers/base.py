"""What a provider is: capabilities, pure translations from neutral items to engine items, and an engine at the rim that applies them.

Comes in: the composed tables (``Composed``), already fitted to the provider's capabilities. Goes out: a table of ``EngineItem``, then observations.
Nothing calls back: an absent item is a change like any other, endpoints and addresses come as observations.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from weirkeeper.compose.composed import Composed as Composed
from weirkeeper.flow import Graph, Table
from weirkeeper.model.features import Capabilities
from weirkeeper.model.ids import HostKey as HostKey
from weirkeeper.model.ids import Part as Part
from weirkeeper.model.observation import ItemObservation, LoadBalancerObservation
from weirkeeper.model.observation import StatusWish as StatusWish
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Digest, Hostname, Id
from weirkeeper.model.value import Told, Value


class ItemKey(NamedTuple):
    """The identity of an engine item: whose, of which kind (for Envoy the type URL), and its name in the engine."""

    load_balancer: Id
    kind: str
    name: str


class EngineItem(Told, frozen=True, kw_only=True):
    """One piece of engine configuration: bytes as the engine takes them, their digest as version, and what must be there first.

    ``tail`` continues ``body``: an end that many items have in common is held once. ``needs`` are keys of items of the same load balancer that the engine must have taken before this one may go live. ``serves`` are the DNS names
    of a certificate, where the engine asks for certificates by SNI. ``origins`` are the objects to tell when the engine refuses it. ``private``: it
    holds a key. ``withheld``: its body is not known here (a snapshot without keys): an engine keeps what it has of it, and is sent nothing.
    """

    body: bytes
    tail: bytes = b""
    version: Digest
    needs: tuple[tuple[str, str], ...] = ()
    serves: tuple[Hostname, ...] = ()
    default: bool = False
    private: bool = False
    withheld: bool = False
    origins: tuple[Origin, ...] = ()

    @property
    def whole(self) -> bytes:
        """All the bytes."""
        return self.body + self.tail if self.tail else self.body


Row = tuple[ItemKey, EngineItem]
"""An item under its key."""

ItemChanges = Mapping[ItemKey, EngineItem | None]
"""Items that changed; ``None`` is gone."""

Observe = Callable[[ItemObservation | LoadBalancerObservation], None]
"""Takes an observation to the front door. Never blocks."""


class Desired(Protocol):
    """The wished items, as an engine sees them: everything now, and what changes from now on."""

    def items(self) -> Mapping[ItemKey, EngineItem]:
        """All items that are wished now. Before the first changes nobody may know yet what is wished: nothing is no wish then."""
        ...

    def changed(self) -> Awaitable[ItemChanges]:
        """Waits for the next changes after the last call; several are merged, newest wins. The first may be empty, where nothing is wished."""
        ...


class Engine(Protocol):
    """The rim of a provider: applies what is desired until it is cancelled, and says what it saw."""

    async def serve(self, desired: Desired, observe: Observe) -> None:
        """Run until cancelled. Engine and network failures are retried here; they never leave."""
        ...


class EngineSettings(Value, frozen=True, kw_only=True):
    """Where a locally run engine keeps its files and which addresses it may use. ``concurrency`` is its number of workers."""

    state_directory: str
    concurrency: int | None = None
    drain_seconds: float = 5.0
    options: dict[str, str] = {}


class Provider(Protocol):
    """A kind of engine that can be programmed."""

    name: str
    capabilities: Capabilities

    def declare(self, graph: Graph, composed: Composed) -> Table[ItemKey, EngineItem]:
        """Declare the translations from composed tables to engine items."""
        ...

    def printed(self, items: Mapping[ItemKey, EngineItem]) -> str:
        """The items as people read them, in a fixed order, without secrets."""
        ...

    def engine(self, settings: EngineSettings) -> Engine:
        """An engine that is run on this machine with its state in the given directory."""
        ...


@runtime_checkable
class Agented(Protocol):
    """A provider whose engines are programmed by an agent beside each of them (`weir agent`) where they are not on the control plane's machine.

    The control plane then hands out neutral items, and the agent translates.
    """

    agent: Literal[True]
