"""The reference provider: keeps the configuration in memory, supports everything, and takes everything at once.

Used in tests and as the shortest example of a provider. Each neutral value is one engine item, its body the value's JSON.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from weirkeeper.flow import Graph, Read, Table
from weirkeeper.model.address import PublicAddress
from weirkeeper.model.features import FEATURES, Capabilities
from weirkeeper.model.ids import HostKey, Part
from weirkeeper.model.listener import Listener
from weirkeeper.model.observation import ItemObservation, ItemState, LoadBalancerObservation
from weirkeeper.model.secret import hide
from weirkeeper.model.text import Digest, IpAddress, Label, Name
from weirkeeper.model.value import Value
from weirkeeper.providers.base import Composed, Desired, EngineItem, EngineSettings, ItemChanges, ItemKey, Observe

K = TypeVar("K", HostKey, Part)
V = TypeVar("V", bound=Value)

CAPABILITIES = Capabilities(engine="memory", version="1", supported=frozenset(FEATURES))


class MemoryEngine:
    """Takes every item as it comes and reports it programmed; ``held`` is what it has."""

    def __init__(self) -> None:
        """An engine that holds nothing yet."""
        self.held: dict[ItemKey, EngineItem] = {}

    async def serve(self, desired: Desired, observe: Observe) -> None:
        """Apply what is desired until cancelled."""
        self.take(desired.items(), observe)
        while True:
            self.take(await desired.changed(), observe)

    def take(self, changes: ItemChanges, observe: Observe) -> None:
        """Apply these changes and observe each of them, and the addresses of the load balancers that they touch."""
        for key, item in changes.items():
            if item is None:
                self.held.pop(key, None)
                continue
            self.held[key] = item
            observe(
                ItemObservation(
                    provider=Name("memory"),
                    load_balancer=key.load_balancer,
                    kind=Label(key.kind),
                    name=Label(key.name),
                    version=item.version,
                    state=ItemState.PROGRAMMED,
                )
            )
        for load_balancer in sorted({key.load_balancer for key in changes}):
            observe(
                LoadBalancerObservation(
                    load_balancer=load_balancer,
                    provider=Name("memory"),
                    addresses=(PublicAddress(ip=IpAddress("127.0.0.1")),),
                    instances=1,
                )
            )


class MemoryProvider:
    """Everything is supported; nothing leaves the process."""

    name = "memory"
    capabilities = CAPABILITIES

    def declare(self, graph: Graph, composed: Composed) -> Table[ItemKey, EngineItem]:
        """One item for each composed value."""
        return graph.union(
            "memory.items",
            [
                _translated(graph, "listener", composed.listeners, lambda part: part.id),
                _translated(graph, "virtual-host", composed.virtual_hosts, lambda key: f"{key.group}/{key.hostname}"),
                _translated(graph, "backend", composed.backends, lambda part: part.id),
                _translated(graph, "endpoint-set", composed.endpoint_sets, lambda part: part.id),
                _translated(graph, "certificate", composed.certificates, lambda part: part.id),
                _translated(graph, "trust-bundle", composed.trust_bundles, lambda part: part.id),
            ],
        )

    def printed(self, items: Mapping[ItemKey, EngineItem]) -> str:
        """YAML, one document an item."""
        return "---\n".join(
            msgspec.yaml.encode({"item": list(key), "value": msgspec.json.decode(item.body)}).decode()
            for key, item in sorted(items.items())
        )

    def engine(self, settings: EngineSettings) -> MemoryEngine:  # noqa: ARG002
        """A dictionary."""
        return MemoryEngine()


def _translated(graph: Graph, kind: str, table: Table[K, V], name: Callable[[K], str]) -> Table[ItemKey, EngineItem]:
    def item(_: Read, key: K, value: V) -> Iterator[tuple[ItemKey, EngineItem]]:
        body = msgspec.json.encode(value, enc_hook=hide)
        origins = (value.origin,) if isinstance(value, Listener) else getattr(value, "origins", ())
        version = Digest(hashlib.sha256(body).hexdigest()[:16])
        yield ItemKey(key.load_balancer, kind, name(key)), EngineItem(body=body, version=version, origins=origins)

    return graph.spread(f"memory.{kind}", table, item)


PROVIDER = MemoryProvider()
