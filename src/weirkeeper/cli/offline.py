"""Manifests to a settled program, without any engine: what every offline command begins with.

Comes in: a folder, a file or `-` for standard input, and the plugins. Goes out: a `Loaded`: the program after one settle, and where each object is written.
What cannot be read at all ends the command with exit code 2; what is wrong inside is findings.
"""

import io
import sys
from pathlib import Path
from typing import Annotated, NamedTuple, NoReturn

import typer

from weirkeeper.app import Plugins, plugins, today
from weirkeeper.cli.places import Places
from weirkeeper.compose.config import load_balancer_config
from weirkeeper.compose.difference import View, view
from weirkeeper.errors import StartRefused
from weirkeeper.feeds.base import FILE, Seen, Synced
from weirkeeper.feeds.decode import Decoder
from weirkeeper.feeds.files import read_folder, read_stream
from weirkeeper.model.config import LoadBalancerConfig
from weirkeeper.model.finding import Finding
from weirkeeper.reconcile import Outcome, Reconciler
from weirkeeper.settings import Settings

Source = Annotated[str, typer.Argument(metavar="DIR", help="Folder or file of manifests; `-` reads standard input.")]
ProviderName = Annotated[str, typer.Option("--provider", help="The provider to translate for; see `weir plugins`.")]
HttpPort = Annotated[int, typer.Option(help="Port for HTTP, as `weir up` takes it.", min=0, max=65535)]
HttpsPort = Annotated[int, typer.Option(help="Port for HTTPS, as `weir up` takes it.", min=0, max=65535)]

NOTHING_SAID = 0
SAID_ERRORS = 1
CANNOT_RUN = 2


class Loaded(NamedTuple):
    """A settled program, what came of it, how many objects were read, and where they are written."""

    reconciler: Reconciler
    outcome: Outcome
    objects: int
    places: Places

    @property
    def findings(self) -> list[Finding]:
        """Every finding, in a fixed order."""
        rows = self.reconciler.graph.rows(self.reconciler.program.findings)
        return sorted((f for many in rows.values() for f in many), key=lambda f: (*f.sort_key, f.for_user))

    @property
    def configs(self) -> list[LoadBalancerConfig]:
        """The whole configuration of each load balancer."""
        return configs(self.reconciler)

    @property
    def view(self) -> View:
        """The rows of all load balancers, to be compared."""
        return view(self.configs)


def configs(reconciler: Reconciler) -> list[LoadBalancerConfig]:
    """The whole configuration of each load balancer of a program."""
    found = (
        load_balancer_config(reconciler.graph, composed, name)
        for composed in reconciler.program.composed.values()
        for name in sorted(reconciler.graph.rows(composed.load_balancers))
    )
    return [config for config in found if config is not None]


def refused(command: str, why: str) -> NoReturn:
    """Say on standard error why the command cannot run, and end it with exit code 2."""
    typer.echo(f"weir {command}: {why}", err=True)
    raise typer.Exit(CANNOT_RUN)


def chosen(
    command: str,
    provider: str,
    http_port: int = 8080,
    https_port: int = 8443,
    addresses: tuple[str, ...] = ("127.0.0.1",),
) -> Plugins:
    """The plugins of an offline program that listens as `weir up` does. An unknown one ends the command."""
    wished = Settings(
        providers=(provider,), state_directory="", http_port=http_port, https_port=https_port, addresses=addresses,
        loopback_endpoints=True,
    )  # fmt: skip
    try:
        return plugins(wished)
    except StartRefused as why:
        refused(command, str(why))


def loaded(command: str, source: str, parts: Plugins) -> Loaded:
    """The program that these manifests become."""
    reconciler = Reconciler(parts.controllers, parts.providers)
    decoder = Decoder(reconciler.kinds)
    if source == "-":
        text = _standard_input(command)
        seen, places = read_stream(io.StringIO(text), decoder), Places.of_text(text, decoder)
    else:
        path = Path(source)
        if not path.exists():
            refused(command, f"{source}: there is no such folder or file")
        seen, tree = read_folder(path.resolve(), decoder)
        places = Places.of_tree(tree, decoder)
    return settled(reconciler, seen, places)


def settled(reconciler: Reconciler, seen: list[Seen], places: Places) -> Loaded:
    """The program after these objects and one settle."""
    kinds = tuple(kind.kind for kind in reconciler.kinds.values())
    reconciler.receive((*seen, today(), Synced(feed="files", kinds=kinds)))
    objects = sum(1 for one in seen if one.ref.kind != FILE)
    return Loaded(reconciler, reconciler.settle(), objects, places)


def _standard_input(command: str) -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        refused(command, "standard input is not UTF-8")
