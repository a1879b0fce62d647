"""A provider as a control plane has it whose engines run elsewhere, each with an agent beside it: neutral items in place of the engine's own. Pure.

Comes in: the provider. Goes out: a provider of the same name that can do the same things.
"""

from collections.abc import Mapping

from weirkeeper.errors import StartRefused
from weirkeeper.flow import Graph, Table
from weirkeeper.providers import neutral
from weirkeeper.providers.base import Composed, Engine, EngineItem, EngineSettings, ItemKey, Provider
from weirkeeper.providers.translation import Translation


class ByAgents:
    """Hands out neutral items."""

    def __init__(self, inner: Provider) -> None:
        self._inner = inner
        self.name, self.capabilities = inner.name, inner.capabilities

    def declare(self, graph: Graph, composed: Composed) -> Table[ItemKey, EngineItem]:
        """Neutral items."""
        return neutral.declare(graph, composed, self.name)

    def printed(self, items: Mapping[ItemKey, EngineItem]) -> str:
        """What the agents make of them."""
        parts = []
        for name in sorted({key.load_balancer for key in items}):
            translation = Translation(name, self._inner)
            mine = {(key.kind, key.name): item.body for key, item in items.items() if key.load_balancer == name}
            translation.take(mine)
            parts.append(self._inner.printed(translation.items()))
        return "".join(parts)

    def engine(self, settings: EngineSettings) -> Engine:  # noqa: ARG002
        """None: whoever runs engines on this machine takes the provider itself."""
        raise StartRefused(f"{self.name} is programmed by agents here; on one machine it is run by `weir up`")
