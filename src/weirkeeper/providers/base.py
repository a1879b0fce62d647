"""What a provider is: capabilities, pure translations from neutral items to engine items, and an engine at the rim that applies them.

Comes in: the composed tables (``Composed``), already fitted to the provider's capabilities. Goes out: a table of ``EngineItem``, then observations.
Nothing calls back: an absent item is a change like any other, endpoints and addresses come as observations.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from weirkeeper.flow import Graph, Table
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.features import Capabilities
from weirkeeper.model.ids import HostKey as HostKey
from weirkeeper.model.ids import Part as Part
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.observation import ItemObservation, LoadBalancerObservation
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import VirtualHost
from weirkeeper.model.text import Digest, Hostname, Id
from weirkeeper.model.value import Value


class ItemKey(NamedTuple):
    """The identity of an engine item: whose, of which kind (for Envoy the type URL), and its name in the engine."""

    load_balancer: Id
    kind: str
    name: str


class EngineItem(Value, frozen=True, kw_only=True):
    """One piece of engine configuration: bytes as the engine takes them, their digest as version, and what must be there first.

    ``needs`` are keys of items of the same load balancer that the engine must have taken before this one may go live. ``serves`` are the DNS names
    of a certificate, where the engine asks for certificates by SNI. ``origins`` are the objects to tell when the engine refuses it.
    """

    body: bytes
    version: Digest
    needs: tuple[tuple[str, str], ...] = ()
    serves: tuple[Hostname, ...] = ()
    default: bool = False
    origins: tuple[Origin, ...] = ()


class Composed(NamedTuple):
    """The tables that a provider translates: only rows of load balancers that name it, fitted to what it can do."""

    load_balancers: Table[Id, LoadBalancer]
    listeners: Table[Part, Listener]
    virtual_hosts: Table[HostKey, VirtualHost]
    backends: Table[Part, Backend]
    endpoint_sets: Table[Part, EndpointSet]
    certificates: Table[Part, Certificate]
    trust_bundles: Table[Part, TrustBundle]


ItemChanges = Mapping[ItemKey, EngineItem | None]
"""Items that changed; ``None`` is gone."""

Observe = Callable[[ItemObservation | LoadBalancerObservation], None]
"""Takes an observation to the front door. Never blocks."""


class Desired(Protocol):
    """The wished items, as an engine sees them: everything now, and what changes from now on."""

    def items(self) -> Mapping[ItemKey, EngineItem]:
        """All items that are wished now."""
        ...

    def changed(self) -> Awaitable[ItemChanges]:
        """Waits for the next changes after the last call; several are merged, newest wins."""
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


class StatusWish(Value, frozen=True, kw_only=True):
    """What an object's status should say: addresses of its load balancer, for now (Ingress)."""

    ref: Ref
    addresses: tuple[tuple[str, str], ...] = ()
    ports: tuple[int, ...] = ()
