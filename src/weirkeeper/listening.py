"""How a listener ends without losing whom it has just let in.

Comes in: listening sockets of this loop. Goes out: nobody is between the door and his seat. Why it exists: asyncio hands a connection to its protocol some turns of the
loop after it was accepted, and where the listener is closed in between, it gives up that connection without closing it (``Server._attach`` in asyncio.base_events): the
client waits for nothing.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

TURNS = 4
"""From the socket that is accepted to ``connection_made`` (``_accept_connection`` in asyncio.selector_events), and one more."""


class Socket(Protocol):
    """Whatever has a file descriptor."""

    def fileno(self) -> int:
        """Its number."""
        ...


async def accept_no_more(listeners: Iterable[Socket]) -> None:
    """Let nobody in any more, and return when whoever is in has been told so. To be closed afterwards."""
    for listener in listeners:
        asyncio.get_running_loop().remove_reader(listener)
    for _ in range(TURNS):
        await asyncio.sleep(0)
