"""HTTPS beside the streams: where instances trade tokens for certificates, and where followers tell the leader what they see.

Comes in: requests. Goes out: what ``exchange`` and ``relay`` answer. A client may show a certificate of our authority; what it may do with it is decided
there. Each handshake shows the present certificate, so a renewal drops nobody.
"""

import asyncio

from aiohttp import web

from weirkeeper.distribute import exchange, relay
from weirkeeper.distribute.credentials import TlsSource, following_context
from weirkeeper.distribute.exchange import Exchange
from weirkeeper.distribute.relay import Relay

LARGEST_BODY = 64 << 10


class Desk:
    """One HTTPS address."""

    def __init__(self, address: str, tls: TlsSource, exchange: Exchange | None, relay: Relay | None) -> None:
        self._address, self._tls, self._exchange, self._relay = address, tls, exchange, relay
        self.port = 0
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled. ``OSError`` where the address is taken."""
        runner = web.AppRunner(self._application(), access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        try:
            host, _, port = self._address.rpartition(":")
            site = web.TCPSite(runner, host.strip("[]") or None, int(port), ssl_context=following_context(self._tls))
            await site.start()
            self.port = runner.addresses[0][1]
            self.listening.set()
            await asyncio.Event().wait()
        finally:
            self.listening.clear()
            if self._relay is not None:
                await self._relay.hang_up()
            await runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        if self._exchange is not None:
            app.router.add_post(exchange.PATH, self._exchange.answer)
        if self._relay is not None:
            app.router.add_get(relay.PATH, self._relay.answer)
        return app
