"""An NGINX that somebody else keeps running, as the agent beside it has it.

Comes in: settings. Goes out: a keeper, NGINX's version and numbers of it. Whoever starts it has its modules loaded: they lie where it lies, which need not be seen from here.
"""

import contextlib
from pathlib import Path

from weirkeeper.providers.beside import BesideSettings, Neighbour, Told
from weirkeeper.providers.machine import numbers
from weirkeeper.providers.nginx import control
from weirkeeper.providers.nginx.engine import OPTIONS, frame_of
from weirkeeper.providers.nginx.files import gate
from weirkeeper.providers.nginx.keeper import Keeper
from weirkeeper.providers.nginx.provider import NginxProvider
from weirkeeper.providers.nginx.supervised import Supervised


class BesideNginx(Neighbour):
    """One NGINX."""

    provider = NginxProvider()

    def __init__(self, settings: BesideSettings, told: Told) -> None:
        chosen = numbers(settings.options, OPTIONS)
        frame = frame_of(chosen, workers=settings.workers, modules="", alive=settings.alive_at)
        self._master = Supervised(Path(settings.folder), gate(frame), log_bytes=chosen["max-log-bytes"])
        self.keeper = Keeper(
            settings.load_balancer,
            self._master,
            frame,
            lambda _seen: None,
            between_reloads=chosen["reload-milliseconds"] / 1000,
            settled=told.settled,
            ails=told.ails,
        )

    def bar(self) -> None:
        """One that starts anew listens nowhere, until it is programmed."""
        self._master.bar()

    async def version(self) -> str:
        """NGINX's, once it answers, be it at its gate."""
        with contextlib.suppress(control.Away):
            return (await control.state(self._master.socket)).version
        return ""

    async def prometheus(self) -> str:
        """How full its dictionary is; nothing where it does not answer."""
        with contextlib.suppress(control.Away):
            told = await control.state(self._master.socket)
            return (
                f"weirkeeper_nginx_dictionary_bytes {told.capacity}\n"
                f"weirkeeper_nginx_dictionary_free_bytes {told.free}\n"
            )
        return ""
