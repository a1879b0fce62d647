"""The agent beside an engine that somebody else keeps running, put together: stream, translation, keeper, and what it says of itself.

Comes in: settings, and the kind of engine (``Neighbour``). Goes out: an engine that does what the control plane wishes; whether it does, and numbers, for those who ask over HTTP.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from weirkeeper.distribute.asking import Asker
from weirkeeper.distribute.credentials import MutualTls
from weirkeeper.distribute.identity import node_id
from weirkeeper.distribute.subscription import Subscription
from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.providers.agent import Agent
from weirkeeper.providers.base import Provider
from weirkeeper.providers.journal import Journal
from weirkeeper.providers.keeping import Keeping

log = logging.getLogger(__name__)

JOURNAL = "items.journal"
LOOK = 0.1


class BesideSettings(Value, frozen=True, kw_only=True):
    """Whose instance it is, where its control plane's streams are, and the folder that it shares with the engine. ``alive_at``: where the engine itself answers probes; ``workers`` are its threads or processes."""

    load_balancer: Id
    instance: str
    servers: tuple[str, ...]
    server_name: str
    folder: str
    addresses: tuple[str, ...] = ()
    alive_at: str = ""
    workers: int | None = None
    options: dict[str, str] = {}


class Told(Protocol):
    """Who hears of an engine."""

    def settled(self) -> None:
        """The engine has what was put until now, or refused it."""
        ...

    def ails(self, why: str) -> None:
        """The engine does not do what is wished, and why; or (empty) it does again."""
        ...


class Neighbour(ABC):
    """An engine as its agent has it: who programs it, and what may be asked of it."""

    provider: ClassVar[Provider]
    keeper: Keeping[Any]

    @abstractmethod
    def __init__(self, settings: BesideSettings, told: Told) -> None: ...

    @abstractmethod
    def bar(self) -> None:
        """Have one that starts anew listen nowhere, until it is programmed."""

    @abstractmethod
    async def version(self) -> str:
        """The engine's own, once it answers, be it at its gate; empty before."""

    @abstractmethod
    async def prometheus(self) -> str:
        """The engine's own numbers; nothing where it does not answer."""


class Beside:
    """One agent with its engine."""

    def __init__(
        self, settings: BesideSettings, tls: Callable[[], Awaitable[MutualTls]], kind: type[Neighbour]
    ) -> None:
        self._settings, self._tls = settings, tls
        self.agent = Agent(settings.load_balancer, kind.provider, Journal(Path(settings.folder) / JOURNAL))
        self.engine = kind(settings, self.agent)
        self.name = kind.provider.name

    async def run(self) -> None:
        """Until cancelled, which leaves the engine as it is."""
        self.engine.bar()
        settings = self._settings
        version = await self._version()
        asker = Asker(node_id(settings.load_balancer, settings.instance), self.name, version, settings.addresses)
        log.info("beside %s %s", self.name, version)
        await self.agent.run(self.engine.keeper, Subscription(asker), settings.servers, self._tls, settings.server_name)

    def unready(self) -> str:
        """Why clients are not served as is wished; empty when they are, and when nobody is to be served (of a Gateway, say, whose only listener is not valid)."""
        keeper = self.engine.keeper
        if not self.agent.rounds and not keeper.reached:
            return "it is not known yet what is wished"
        return keeper.trouble or ("" if keeper.serves or keeper.idle else f"{self.name} is not programmed")

    def numbers(self) -> Mapping[str, float]:
        """Counts of this agent, by name."""
        reloads = self.engine.keeper.reloads
        return {
            **{f'weirkeeper_{self.name}_reloads_total{{cause="{cause}"}}': count for cause, count in reloads.items()},
            "weirkeeper_agent_rounds_total": self.agent.rounds,
            "weirkeeper_agent_refused_items": len(self.agent.refused),
            "weirkeeper_agent_serving": float(not self.unready()),
        }

    async def _version(self) -> str:
        told = False
        while not (found := await self.engine.version()):
            if not told:
                log.warning("waiting for %s to answer in %s", self.name, self._settings.folder)
            told = True
            await asyncio.sleep(LOOK)
        return found
