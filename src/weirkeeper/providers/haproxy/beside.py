"""The agent beside a HAProxy that somebody else keeps running, put together: stream, translation, keeper, and what it says of itself.

Comes in: settings. Goes out: a HAProxy that does what the control plane wishes; whether it does, and numbers, for those who ask over HTTP.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from weirkeeper.distribute.asking import Asker
from weirkeeper.distribute.credentials import MutualTls
from weirkeeper.distribute.identity import node_id
from weirkeeper.distribute.subscription import Subscription
from weirkeeper.model.text import Id
from weirkeeper.model.value import Value
from weirkeeper.providers.agent import Agent
from weirkeeper.providers.haproxy.adoption import said
from weirkeeper.providers.haproxy.engine import connections_allowed, numbers
from weirkeeper.providers.haproxy.generations import ALIVE, PROOF
from weirkeeper.providers.haproxy.keeper import Keeper
from weirkeeper.providers.haproxy.provider import HaproxyProvider
from weirkeeper.providers.haproxy.runtime_socket import Away
from weirkeeper.providers.haproxy.supervised import Supervised
from weirkeeper.providers.haproxy.translate.names import METRICS
from weirkeeper.providers.haproxy.translate.skeleton import Frame
from weirkeeper.providers.journal import Journal

log = logging.getLogger(__name__)

JOURNAL = "items.journal"
LOOK = 0.1


class BesideSettings(Value, frozen=True, kw_only=True):
    """Whose instance it is, where its control plane's streams are, and the folder that it shares with HAProxy. ``alive_at``: where HAProxy itself answers probes."""

    load_balancer: Id
    instance: str
    servers: tuple[str, ...]
    server_name: str
    folder: str
    addresses: tuple[str, ...] = ()
    alive_at: str = ""
    threads: int | None = None
    options: dict[str, str] = {}


class Beside:
    """One agent with its HAProxy."""

    def __init__(self, settings: BesideSettings, tls: Callable[[], Awaitable[MutualTls]]) -> None:
        self._settings, self._tls = settings, tls
        folder, chosen = Path(settings.folder), numbers(settings.options)
        self._generations = Supervised(folder, log_bytes=chosen["max-log-bytes"], answers_at=settings.alive_at)
        self.provider = HaproxyProvider()
        self.agent = Agent(settings.load_balancer, self.provider, Journal(folder / JOURNAL))
        frame = Frame(
            threads=settings.threads,
            connections=min(chosen["max-connections"], connections_allowed()),
            pool=chosen["pool"],
            stop_seconds=chosen["stop-seconds"],
            alive=settings.alive_at,
        )
        self.keeper = Keeper(
            settings.load_balancer,
            folder,
            self._generations,
            frame,
            lambda _seen: None,
            between_reloads=chosen["reload-milliseconds"] / 1000,
            settled=self.agent.settled,
            ails=self.agent.ails,
        )

    async def run(self) -> None:
        """Until cancelled, which leaves HAProxy as it is."""
        self._generations.bar()
        settings = self._settings
        version = await self._version()
        asker = Asker(
            node_id(settings.load_balancer, settings.instance), self.provider.name, version, settings.addresses
        )
        log.info("beside haproxy %s", version)
        await self.agent.run(self.keeper, Subscription(asker), settings.servers, self._tls, settings.server_name)

    def unready(self) -> str:
        """Why clients are not served as is wished; empty when they are."""
        if not self.agent.rounds and not self.keeper.reached:
            return "it is not known yet what is wished"
        return self.keeper.trouble or ("" if self.keeper.serves else "haproxy is not programmed")

    def numbers(self) -> Mapping[str, float]:
        """Counts of this agent, by name."""
        keeper = self.keeper
        reloads = {f'weirkeeper_haproxy_reloads_total{{cause="{cause}"}}': n for cause, n in keeper.reloads.items()}
        return {
            **reloads,
            "weirkeeper_agent_rounds_total": self.agent.rounds,
            "weirkeeper_agent_refused_items": len(self.agent.refused),
            "weirkeeper_agent_serving": float(not self.unready()),
        }

    async def prometheus(self) -> str:
        """HAProxy's own numbers, as its exporter gives them; nothing where it does not answer."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PROOF):
                reader, writer = await asyncio.open_unix_connection(str(Path(self._settings.folder) / METRICS))
                writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                writer.close()
                return body.decode(errors="replace") if b" 200 " in head.split(b"\r\n", 1)[0] else ""
        return ""

    async def _version(self) -> str:
        """HAProxy's, once it answers, be it at its gate."""
        told = False
        while True:
            with contextlib.suppress(Away):
                found = said(await self._generations.socket.ask(ALIVE, PROOF)).get("Version", "")
                return found.partition("-")[0]
            if not told:
                log.warning("waiting for haproxy to answer in %s", self._settings.folder)
            told = True
            await asyncio.sleep(LOOK)
