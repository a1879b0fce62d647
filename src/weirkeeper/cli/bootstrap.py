"""`weir bootstrap`: the bootstrap of an Envoy that runs anywhere and is fed by a control plane elsewhere, as JSON on standard output
or in a file.

Comes in: options. Goes out: what `envoy -c` reads. Its certificate and the roots that it trusts are two files in a folder, which `weir sidecar` writes.
"""

import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from weirkeeper.distribute.authority import SERVER_NAME
from weirkeeper.distribute.identity import node_id
from weirkeeper.model.text import Id, IpAddress, Refused, parse
from weirkeeper.providers.envoy.bootstrap import BootstrapSettings, Remote, bootstrap

LoadBalancer = Annotated[str, typer.Option(help="Id of the load balancer that this is an instance of.")]
InstanceName = Annotated[str, typer.Option("--instance", help="Name of the instance; by default the host's.")]
Address = Annotated[
    list[str], typer.Option(help="IP address at which clients reach the instance; may be given several times.")
]
Servers = Annotated[
    list[str],
    typer.Option(
        "--control-plane", help="host:port of the streams; may be given several times. All its addresses are tried."
    ),
]
Folder = Annotated[Path, typer.Option(help="Folder of the instance's certificate and of the roots that it trusts.")]
AdminSocket = Annotated[Path, typer.Option(help="Unix socket for Envoy's admin.")]
ServerName = Annotated[str, typer.Option(help="DNS name in the control plane's certificate.")]
HeapBytes = Annotated[int, typer.Option("--max-heap-bytes", help="Most memory that Envoy may use.", min=1 << 20)]
Connections = Annotated[int, typer.Option("--max-connections", help="Most connections of clients.", min=1)]
Output = Annotated[Path | None, typer.Option(help="File to write instead of standard output.")]


def print_bootstrap(  # noqa: PLR0917 - typer makes options of them
    load_balancer: LoadBalancer,
    control_plane: Servers,
    instance: InstanceName = "",
    address: Address = [],  # noqa: B006 - typer copies it
    folder: Folder = Path("/run/weirkeeper"),
    admin_socket: AdminSocket = Path("/run/weirkeeper/admin.sock"),
    server_name: ServerName = SERVER_NAME,
    max_heap_bytes: HeapBytes = 2 << 30,
    max_connections: Connections = 50_000,
    output: Output = None,
) -> None:
    """Print the bootstrap of an Envoy that is fed by a control plane elsewhere."""
    for one in address:
        if isinstance(parse(IpAddress, one), Refused):
            raise typer.BadParameter(f"{one!r} is no IP address", param_hint="--address")
    settings = BootstrapSettings(
        node=node_id(checked_id(load_balancer), instance or socket.gethostname()),
        remote=Remote(servers=checked_servers(control_plane), server_name=server_name, folder=str(folder)),
        admin_socket=str(admin_socket),
        addresses=tuple(address),
        heap_bytes=max_heap_bytes,
        connections=max_connections,
    )
    if output is None:
        sys.stdout.write(bootstrap(settings).decode() + "\n")
    else:
        output.write_bytes(bootstrap(settings) + b"\n")


def checked_id(text: str) -> Id:
    """The load balancer's id, or typer's complaint."""
    found = parse(Id, text)
    if isinstance(found, Refused):
        raise typer.BadParameter(found.why, param_hint="--load-balancer")
    return found


def checked_servers(texts: list[str]) -> tuple[str, ...]:
    """Addresses as ``host:port``, or typer's complaint."""
    for text in texts:
        host, _, port = text.rpartition(":")
        if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
            raise typer.BadParameter(f"{text!r} is not host:port", param_hint="--control-plane")
    return tuple(texts)
