"""`weir run`: the control plane of a cluster, until it is stopped.

Comes in: settings, by flag, environment or file. Goes out: exit code 0 after a clean end, 2 where it cannot start. Every setting of `RunSettings` is a
flag; the sentences are the struct's own.
"""

import asyncio
import contextlib
import inspect
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weirkeeper.configuration import checked, choices, described, kinds, run_settings
from weirkeeper.errors import WeirkeeperError
from weirkeeper.runtime.logging import Log, hear
from weirkeeper.settings import RunSettings

if TYPE_CHECKING:
    from weirkeeper.cli.answers import Explanation
    from weirkeeper.reconcile import Reconciler

SINGULAR = {"controllers": "--controller", "providers": "--provider"}

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="WEIR_CONFIG",
        help="Configuration file (YAML); its log level is followed while running.",
        show_envvar=True,
    ),
]


def run(config: Path | None = None, **flags: str | None) -> None:
    """Serve a Kubernetes cluster: watch its objects, program load balancers, write statuses."""
    refused = ""
    _take_all_files()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else gRPC writes a line, not one of ours, for each stranger
    try:
        settings = checked(run_settings({k: v for k, v in flags.items() if v is not None}, os.environ, config))
        asyncio.run(_serve(settings, config))
    except* WeirkeeperError as group:
        refused = str(_leaf(group))
    if refused:
        typer.echo(f"weir run: {refused}", err=True)
        raise typer.Exit(2)


def _take_all_files() -> None:
    """As many open files as we may have: where containers start with 1,024 (systemd's own default), so many idle connections would be all that we can serve."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _explained(reconciler: "Reconciler", query: Mapping[str, str], headers: tuple[str, ...]) -> "Explanation":
    from weirkeeper.cli.answers import explained_live  # noqa: PLC0415 - seldom asked, and brings all that reads files

    return explained_live(reconciler, query, headers)


async def _serve(settings: RunSettings, config: Path | None) -> None:
    from weirkeeper.app.cluster import ClusterApplication  # noqa: PLC0415 - heavy; a refused flag should answer at once

    log = Log(sys.stderr, json_lines=settings.log_format == "json", level=settings.log_level)
    hear(log)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    program = await ClusterApplication.connected(settings, log, config=config, explain=_explained)
    await program.run(stop)
    log.info("ended")


def _leaf(error: BaseException) -> BaseException:
    return _leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _flags() -> list[inspect.Parameter]:
    """One flag a setting. Text here; `configuration` gives it its type, the same way for all three places."""
    return [_flag(name, *described()[name]) for name in kinds()]


def _flag(name: str, sentence: str, default: str) -> inspect.Parameter:
    plain = f"--{name.replace('_', '-')}"
    names = (SINGULAR[name], plain) if name in SINGULAR else (plain,)
    said = sentence + (f" Default: {default}." if default else "")
    option = typer.Option(*names, metavar=choices(kinds()[name]), help=said)
    annotation = Annotated[str | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _with_flags(function: Any) -> Any:
    first = inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFile)
    parameters = [first, *_flags()]
    function.__signature__ = inspect.Signature(parameters)
    function.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": None}
    return function


_with_flags(run)
