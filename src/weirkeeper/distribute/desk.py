"""HTTPS beside the streams: where instances trade tokens for certificates, and where followers tell the leader what they see.

Comes in: requests. Goes out: what ``exchange`` and ``relay`` answer. A client may show a certificate of our authority; what it may do with it is decided
there. Each handshake shows the present certificate, so a renewal drops nobody.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web

from weirkeeper.distribute import exchange, relay
from weirkeeper.distribute.credentials import TlsSource, following_context
from weirkeeper.distribute.exchange import Exchange
from weirkeeper.distribute.relay import Relay
from weirkeeper.visitors import Limits, receiving

LARGEST_BODY = 64 << 10
LIMITS = Limits(each=64, most=1024, silence=10.0, answer=30.0)
"""A node's instances may share its address; each of them asks once in some hours."""


class Desk:
    """One HTTPS address."""

    def __init__(
        self,
        address: str,
        tls: TlsSource,
        exchange: Exchange | None,
        relay: Relay | None,
        *,
        limits: Limits = LIMITS,
        counted: Callable[[str], None] = lambda _why: None,
    ) -> None:
        """`counted` is told why a connection was cut off."""
        self._address, self._tls, self._exchange, self._relay = address, tls, exchange, relay
        self._limits, self._counted = limits, counted
        self.port = 0
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled. ``OSError`` where the address is taken."""
        host, _, port = self._address.rpartition(":")
        async with receiving(
            self._application(),
            host.strip("[]") or None,
            int(port),
            tls=following_context(self._tls),
            limits=self._limits,
            lasting=(relay.PATH,),
            counted=self._counted,
        ) as self.port:
            self.listening.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.listening.clear()
                if self._relay is not None:
                    await self._relay.hang_up()

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        if self._exchange is not None:
            app.router.add_post(exchange.PATH, self._exchange.answer)
        if self._relay is not None:
            app.router.add_get(relay.PATH, self._relay.answer)
        return app
