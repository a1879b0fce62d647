"""`weir sidecar`: beside an Envoy in a pod. Keeps its certificate in force, answers the pod's probes, and drains Envoy when it is told to stop.

Comes in: options. Goes out: the files that Envoy's bootstrap (`weir bootstrap`) names, and over HTTP `/started` (there is a certificate), `/ready` (Envoy has
taken a first configuration, and does not leave), `/drained` (answers when Envoy may be ended: the `preStop` of its container) and `/metrics`. Exit code 0 after a
clean end, 2 where it cannot start.
"""

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated

import aiohttp
import typer
from aiohttp import web

from weirkeeper.cli.bootstrap import (
    Folder,
    InstanceName,
    LoadBalancer,
    ServerName,
    checked_id,
    checked_servers,
)
from weirkeeper.distribute.authority import SERVER_NAME
from weirkeeper.distribute.sidecar import Certificates, SidecarSettings, Written
from weirkeeper.model.secret import Secret
from weirkeeper.providers.envoy.beside import prometheus, unready
from weirkeeper.providers.envoy.bootstrap import CERTIFICATE, TRUST, certificate_document, trust_document
from weirkeeper.providers.envoy.draining import Draining
from weirkeeper.visitors import Limits, receiving

Servers = Annotated[
    list[str], typer.Option("--control-plane", help="host:port of the exchange; may be given several times.")
]
TokenFile = Annotated[Path, typer.Option(help="The pod's projected token for the control plane's audience.")]
AuthorityFile = Annotated[Path, typer.Option(help="The roots that the control plane's certificate comes from.")]
AdminSocket = Annotated[Path, typer.Option(help="Unix socket of Envoy's admin.")]
Listen = Annotated[str, typer.Option(help="Where /started, /ready, /drained and /metrics answer.")]
DrainSeconds = Annotated[
    float,
    typer.Option(envvar="WEIR_DRAIN_SECONDS", help="Longest time that Envoy may drain when it is stopped.", min=0),
]
Once = Annotated[bool, typer.Option("--once", help="End as soon as there is a certificate, so that Envoy can start.")]

PATIENCE, MOUNTED = 20.0, 5.0
"""With `--once`: seconds for a certificate, and for the roots to be there. Mounted files that changed meanwhile come in with a new start of the
container: in an install that begins, the control plane makes the roots after the pod."""

LIMITS = Limits(each=32, most=128, silence=10.0, answer=15.0)
MOST_WAITING = 16
"""Requests from other hosts that may wait for the end of a drain. The kubelet's is one; anybody may ask, and none does harm."""


def sidecar(  # noqa: PLR0917 - typer makes options of them
    load_balancer: LoadBalancer,
    control_plane: Servers,
    instance: InstanceName = "",
    token_file: TokenFile = Path("/var/run/secrets/weirkeeper/token"),
    authority_file: AuthorityFile = Path("/etc/weirkeeper/authority/ca.crt"),
    folder: Folder = Path("/run/weirkeeper"),
    admin_socket: AdminSocket = Path("/run/weirkeeper/admin.sock"),
    server_name: ServerName = SERVER_NAME,
    listen: Listen = "0.0.0.0:8081",
    drain_seconds: DrainSeconds = 30.0,
    once: Once = False,
) -> None:
    """Keep the certificate of the Envoy in this pod in force, answer the pod's probes, and drain Envoy at the end."""
    settings = SidecarSettings(
        load_balancer=checked_id(load_balancer),
        instance=instance or socket.gethostname(),
        servers=checked_servers(control_plane),
        server_name=server_name,
        token_file=str(token_file),
        authority_file=str(authority_file),
        folder=str(folder),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    draining = Draining(admin_socket, limit=drain_seconds)
    try:
        asyncio.run(first(settings) if once else serve(settings, admin_socket, listen, draining))
    except OSError as error:
        typer.echo(f"weir sidecar: {error}", err=True)
        raise typer.Exit(2) from None


async def first(settings: SidecarSettings) -> None:
    """Until there is a certificate; the files stay for who comes after."""
    certificates = Certificates(settings, envoy_files(settings.server_name))
    keeping = asyncio.create_task(certificates.run(), name="certificate")
    holding = asyncio.create_task(certificates.held.wait(), name="held")
    ended, _ = await asyncio.wait((keeping, holding), timeout=MOUNTED, return_when=asyncio.FIRST_COMPLETED)
    rootless = not ended and not certificates.trusting
    if not ended and not rootless:
        await asyncio.wait((keeping, holding), timeout=PATIENCE - MOUNTED, return_when=asyncio.FIRST_COMPLETED)
    for task in (keeping, holding):
        task.cancel()
    await asyncio.wait((keeping, holding))
    if not keeping.cancelled():
        keeping.result()
    if rootless:
        raise TimeoutError(f"{settings.authority_file} has no roots yet; the pod tries again, which brings it in")
    if not certificates.held.is_set():
        raise TimeoutError(f"there is no certificate after {PATIENCE:.0f} s; the pod tries again")


def envoy_files(server_name: str) -> Written:
    """What Envoy's bootstrap reads, in its form."""

    def written(chain: str, key: Secret, authority: str) -> dict[str, bytes]:
        return {
            f"{TRUST}.json": trust_document(authority, server_name),
            f"{CERTIFICATE}.json": certificate_document(chain, key.open()),
        }

    return written


async def serve(settings: SidecarSettings, admin: Path, listen: str, draining: Draining) -> None:
    """Until SIGTERM or SIGINT; then Envoy drains, while the certificate is still kept in force."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    certificates = Certificates(settings, envoy_files(settings.server_name))
    app = answers(certificates, admin, draining)
    host, _, port = listen.rpartition(":")
    keeping = asyncio.create_task(certificates.run(), name="certificate")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    try:
        async with receiving(
            app, host.strip("[]") or None, int(port), limits=LIMITS, lasting=("/drained",), handler_cancellation=True
        ):
            await asyncio.wait((keeping, stopping), return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                keeping.result()
            else:
                await draining.run()
    finally:
        for task in (keeping, stopping):
            task.cancel()
        await asyncio.wait((keeping, stopping))


def answers(certificates: Certificates, admin: Path, draining: Draining) -> web.Application:
    """What the probes get, and the hook of Envoy's container."""

    async def started(_: web.Request) -> web.Response:
        held = certificates.held.is_set()
        return web.Response(status=200 if held else 503, text="yes\n" if held else "there is no certificate yet\n")

    async def ready(_: web.Request) -> web.Response:
        why = "it was told to go" if draining.begun else await unready(admin)
        return web.Response(status=503 if why else 200, text=f"{why or 'yes'}\n")

    async def drained(request: web.Request) -> web.Response:
        if draining.waiting >= MOST_WAITING and not from_here(request):
            return web.Response(status=503, text="too many wait already\n")
        await draining.wait()
        return web.Response(text="yes\n")

    async def metrics(_: web.Request) -> web.Response:
        own = [
            ("weirkeeper_sidecar_certificate_end", certificates.expires),
            ("weirkeeper_sidecar_certificates_total", certificates.renewals),
            ("weirkeeper_sidecar_certificate_failures_total", certificates.failures),
        ]
        try:
            text = await prometheus(admin)
        except (aiohttp.ClientError, OSError, TimeoutError):
            text = ""
        return web.Response(text=text + "".join(f"{name} {value:.0f}\n" for name, value in own))

    app = web.Application()
    app.router.add_get("/started", started)
    app.router.add_get("/ready", ready)
    app.router.add_get("/drained", drained)
    app.router.add_get("/metrics", metrics)
    return app


def from_here(request: web.Request) -> bool:
    """Whether who asks has the address that is asked: on the host's network that is the kubelet, and nobody from elsewhere."""
    peer, own = (request.transport and request.transport.get_extra_info(name) for name in ("peername", "sockname"))
    return bool(peer and own and peer[0] == own[0])
