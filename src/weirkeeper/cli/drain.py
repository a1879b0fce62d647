"""`weir drain`: tell the clients of the Envoy on this machine to go elsewhere, before it is stopped.

Comes in: its admin socket. Goes out: exit code 0 when no connection is left, 1 when some are at the limit, 2 where no Envoy answers. It keeps taking connections
and answers on each for the last time; only a new start makes it serve as before.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from weirkeeper.cli.bootstrap import AdminSocket
from weirkeeper.providers.envoy.draining import drained

Seconds = Annotated[float, typer.Option("--seconds", help="Longest time to wait for connections to end.", min=0)]


def drain(admin_socket: AdminSocket = Path("/run/weirkeeper/admin.sock"), seconds: Seconds = 30.0) -> None:
    """Drain the Envoy on this machine: answers close their connections, HTTP/2 gets GOAWAY, requests under way are answered."""
    try:
        left = asyncio.run(drained(admin_socket, seconds))
    except (aiohttp.ClientError, OSError) as error:
        typer.echo(f"weir drain: no Envoy answers at {admin_socket}: {error}", err=True)
        raise typer.Exit(2) from None
    if left:
        typer.echo(f"weir drain: connections that are left: {left}", err=True)
        raise typer.Exit(1)
