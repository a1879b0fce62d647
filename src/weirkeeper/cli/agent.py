"""`weir agent haproxy`, `weir agent nginx`: beside an engine in a pod, or on any machine. Keeps its certificate in force, brings to the engine what the control plane wishes, and answers the pod's probes.

Comes in: options. Goes out: the engine's files and steps on its sockets, and over HTTP `/started` (there is a certificate), `/ready` (the engine does what is wished) and `/metrics`.
The engine is somebody else's to run (docs/haproxy.md, docs/nginx.md): when this program ends, or is killed, it serves on. Exit code 0 after a clean end, 2 where it cannot start.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import web

from weirkeeper.cli.bootstrap import Address, InstanceName, LoadBalancer, ServerName, checked_id, checked_servers
from weirkeeper.cli.sidecar import AuthorityFile, Listen, TokenFile
from weirkeeper.distribute.authority import SERVER_NAME
from weirkeeper.distribute.credentials import MutualTls
from weirkeeper.distribute.sidecar import Certificates, SidecarSettings
from weirkeeper.errors import StartRefused
from weirkeeper.model.secret import Secret
from weirkeeper.model.text import IpAddress, Refused, parse
from weirkeeper.providers.beside import Beside, BesideSettings, Neighbour
from weirkeeper.providers.haproxy.beside import BesideHaproxy
from weirkeeper.providers.nginx.beside import BesideNginx

ENGINES: Mapping[str, type[Neighbour]] = {"haproxy": BesideHaproxy, "nginx": BesideNginx}
RUN = Path("/run/weirkeeper")

EngineName = Annotated[str, typer.Argument(metavar="ENGINE", help=f"The engine: {', '.join(ENGINES)}.")]
Streams = Annotated[
    list[str], typer.Option("--control-plane", help="host:port of the streams; may be given several times.")
]
Exchange = Annotated[
    list[str], typer.Option(help="host:port of the exchange of certificates; may be given several times.")
]
CertificateFolder = Annotated[Path, typer.Option("--folder", help="Folder of the instance's certificate.")]
Shared = Annotated[
    Path | None,
    typer.Option("--engine-folder", help="Folder that is shared with the engine; by default /run/weirkeeper/ENGINE."),
]
EngineListen = Annotated[str, typer.Option(help="host:port where the engine itself answers probes; empty: nowhere.")]
Threads = Annotated[
    int | None, typer.Option(help="The engine's threads or workers; by default one for each core.", min=1)
]
EngineOption = Annotated[list[str], typer.Option(help="NAME=VALUE, as `weir up` takes it; may be given several times.")]


def agent(  # noqa: PLR0917 - typer makes options of them
    engine: EngineName,
    load_balancer: LoadBalancer,
    control_plane: Streams,
    exchange: Exchange,
    instance: InstanceName = "",
    address: Address = [],  # noqa: B006 - typer copies it
    token_file: TokenFile = Path("/var/run/secrets/weirkeeper/token"),
    authority_file: AuthorityFile = Path("/etc/weirkeeper/authority/ca.crt"),
    folder: CertificateFolder = RUN,
    engine_folder: Shared = None,
    server_name: ServerName = SERVER_NAME,
    listen: Listen = "0.0.0.0:8081",
    engine_listen: EngineListen = "",
    threads: Threads = None,
    engine_option: EngineOption = [],  # noqa: B006 - typer copies it
) -> None:
    """Program the engine that shares a folder with this agent."""
    if engine not in ENGINES:
        raise typer.BadParameter(f"{engine!r} is none; known are: {', '.join(ENGINES)}", param_hint="ENGINE")
    name = instance or socket.gethostname()
    certificate = SidecarSettings(
        load_balancer=checked_id(load_balancer),
        instance=name,
        servers=checked_servers(exchange),
        server_name=server_name,
        token_file=str(token_file),
        authority_file=str(authority_file),
        folder=str(folder),
    )
    beside = BesideSettings(
        load_balancer=checked_id(load_balancer),
        instance=name,
        servers=checked_servers(control_plane),
        server_name=server_name,
        folder=str((engine_folder or RUN / engine).absolute()),
        addresses=_checked_addresses(address),
        alive_at=_checked_place(engine_listen),
        workers=threads,
        options=dict(_pair(text) for text in engine_option),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    try:
        asyncio.run(serve(certificate, beside, ENGINES[engine], listen))
    except* (OSError, StartRefused) as group:
        typer.echo(f"weir agent: {_leaf(group)}", err=True)
        raise typer.Exit(2) from None


async def serve(certificate: SidecarSettings, settings: BesideSettings, kind: type[Neighbour], listen: str) -> None:
    """Until SIGTERM or SIGINT; the engine serves on."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    shown = Shown()
    certificates = Certificates(certificate, shown.written)
    beside = Beside(settings, lambda: shown.current(certificates), kind)
    runner = web.AppRunner(answers(certificates, beside), access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    host, _, port = listen.rpartition(":")
    await web.TCPSite(runner, host.strip("[]") or None, int(port)).start()
    tasks = [
        asyncio.create_task(certificates.run(), name="certificate"),
        asyncio.create_task(beside.run(), name="agent"),
        asyncio.create_task(stop.wait(), name="stop"),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await runner.cleanup()


class Shown:
    """The newest certificate, held here and in no file but the one that is kept for the next start."""

    def __init__(self) -> None:
        self._tls: MutualTls | None = None

    def written(self, chain: str, key: Secret, authority: str) -> Mapping[str, bytes]:
        """Takes the newest; nobody else reads it from a file."""
        self._tls = MutualTls(chain=chain.encode(), key=key.open().encode(), authority=authority.encode())
        return {}

    async def current(self, certificates: Certificates) -> MutualTls:
        """The newest, once there is one."""
        await certificates.held.wait()
        assert self._tls is not None
        return self._tls


def answers(certificates: Certificates, beside: Beside) -> web.Application:
    """What the probes get."""

    async def started(_: web.Request) -> web.Response:
        return _said("" if certificates.held.is_set() else "there is no certificate yet")

    async def ready(_: web.Request) -> web.Response:
        return _said(beside.unready())

    async def metrics(_: web.Request) -> web.Response:
        own = {
            **beside.numbers(),
            "weirkeeper_sidecar_certificate_end": certificates.expires,
            "weirkeeper_sidecar_certificates_total": certificates.renewals,
            "weirkeeper_sidecar_certificate_failures_total": certificates.failures,
        }
        text = await beside.engine.prometheus()
        return web.Response(text=text + "".join(f"{name} {value:.0f}\n" for name, value in own.items()))

    found = web.Application()
    routes: Mapping[str, Callable[[web.Request], Awaitable[web.Response]]]
    routes = {"/started": started, "/ready": ready, "/metrics": metrics}
    for path, answer in routes.items():
        found.router.add_get(path, answer)
    return found


def _said(why: str) -> web.Response:
    return web.Response(status=503 if why else 200, text=f"{why or 'yes'}\n")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--engine-option")
    return name, value


def _checked_addresses(texts: list[str]) -> tuple[str, ...]:
    for one in texts:
        if isinstance(parse(IpAddress, one), Refused):
            raise typer.BadParameter(f"{one!r} is no IP address", param_hint="--address")
    return tuple(texts)


def _checked_place(text: str) -> str:
    host, _, port = text.rpartition(":")
    parts = (parse(IpAddress, host.strip("[]")), port.isascii() and port.isdecimal() and 0 < int(port) < 65536)
    if text and (isinstance(parts[0], Refused) or not parts[1]):
        raise typer.BadParameter(f"{text!r} is not an IP address with a port", param_hint="--engine-listen")
    return text


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
