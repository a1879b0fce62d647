"""`weir up`: a folder of manifests in, a real load balancer serving it, until Ctrl-C.

Comes in: the command's options. Goes out: exit code 0 after a clean end, 2 where it cannot start. On a terminal a live table; else one line for each thing
that happens. Log lines go to standard error, what people paste goes to standard output.
"""

import asyncio
import signal
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from weirkeeper.app import plugins
from weirkeeper.app.folder import Application
from weirkeeper.cli.answers import explained_live
from weirkeeper.cli.live import curl_lines, keep_drawn
from weirkeeper.cli.places import Places
from weirkeeper.errors import StartRefused
from weirkeeper.feeds.decode import Decoder
from weirkeeper.model.finding import Finding, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.reconcile import Outcome
from weirkeeper.runtime.logging import Log
from weirkeeper.settings import Settings, state_directory

LOOKED_INTO = 64 * 1024
"""Up to this size (bytes) a file is read again to name the line of a field; larger ones would hold up the loop, so the object's line is named."""
LINES = 50
"""So many findings of one change are written as lines, the worst first; of the rest, their number."""

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder (or file) of YAML and JSON manifests.", exists=True)
]
HttpPort = Annotated[int, typer.Option(help="Port for HTTP.", min=0, max=65535)]
HttpsPort = Annotated[int, typer.Option(help="Port for HTTPS.", min=0, max=65535)]
Address = Annotated[list[str], typer.Option(help="Address to listen on; may be given several times.")]
ProviderName = Annotated[str, typer.Option(help="The provider that serves; `weir plugins` lists them.")]
StateDir = Annotated[
    Path | None, typer.Option(help="Where the engine keeps its state; by default a folder for each DIR.")
]
LogFormat = Annotated[Literal["text", "json"], typer.Option(help="How log lines are written.")]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], typer.Option(help="The least that is logged.")]
Concurrency = Annotated[int | None, typer.Option(help="Workers of the engine; by default one for each core.", min=1)]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of the live table, also on a terminal.")]


def up(  # noqa: PLR0917 - typer makes options of them
    folder: Folder,
    http_port: HttpPort = 8080,
    https_port: HttpsPort = 8443,
    address: Address = ["127.0.0.1"],  # noqa: B006 - typer copies it
    provider: ProviderName = "envoy",
    state_dir: StateDir = None,
    concurrency: Concurrency = None,
    log_format: LogFormat = "text",
    log_level: LogLevel = "info",
    plain: Plain = False,
) -> None:
    """Serve a folder of manifests with a real load balancer, and follow its edits."""
    for one in address:
        _checked_address(one)
    settings = Settings(
        providers=(provider,),
        state_directory=str(state_dir.resolve() if state_dir else state_directory(folder)),
        addresses=tuple(address),
        http_port=http_port,
        https_port=https_port,
        loopback_endpoints=True,
        concurrency=concurrency,
        log_format=log_format,
        log_level=log_level,
    )
    table = sys.stdout.isatty() and not plain
    log = Log(sys.stderr, json_lines=settings.log_format == "json", level="warning" if table else settings.log_level)
    refused = ""
    try:
        app = Application(settings, plugins(settings), folder.resolve(), log, explain=explained_live)
        asyncio.run(_serve(app, table))
    except* StartRefused as group:  # one task or another of the tree may say so
        refused = str(_leaf(group))
    if refused:
        typer.echo(f"weir up: {refused}", err=True)
        raise typer.Exit(2)


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _checked_address(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no IP address", param_hint="--address") from None


async def _serve(app: Application, table: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    console = Console()
    if not table:
        app.listeners.append(_finding_lines(app))
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(_say_ready(app, console), name="ready")]
        if table:
            beside.append(group.create_task(keep_drawn(app, console), name="table"))
        try:
            await app.run(stop)
        finally:
            for task in beside:
                task.cancel()
    app.log.info("ended")


async def _say_ready(app: Application, console: Console) -> None:
    """Once the engine has everything, print what can be pasted."""
    await app.changes.first_live.wait()
    async with app.intake.still:
        lines = curl_lines(app)
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.file.flush()


def _finding_lines(app: Application) -> Callable[[Outcome], None]:
    log, decoder = app.log, Decoder(app.reconciler.kinds)

    def say(outcome: Outcome) -> None:
        places = Places.of_tree(app.tree, decoder, LOOKED_INTO)
        for ref in sorted(ref for ref, findings in outcome.findings.items() if findings is None):
            log.info("findings gone", object=ref)
        found = [(ref, finding) for ref, many in outcome.findings.items() for finding in many or ()]
        found.sort(key=lambda one: (list(Severity).index(one[1].severity), one[0]))
        for ref, finding in found[:LINES]:
            _say_finding(log, ref, finding, places)
        if len(found) > LINES:
            log.info("more findings", count=len(found) - LINES, all="weir check")

    return say


def _say_finding(log: Log, ref: Ref, finding: Finding, places: Places) -> None:
    say = {Severity.ERROR: log.error, Severity.WARNING: log.warning, Severity.INFO: log.info}[finding.severity]
    place, sentence = places.said(finding)
    at = {"at": str(place)} if place else {}
    field = {"field": finding.origin.path} if finding.origin.path else {}
    say("finding", code=finding.reason, **at, object=ref, **field, why=sentence, remedy=finding.remedy)
