"""The command `weir`. Each sub-command is a small module that is imported when it is called, so that `weir --help` and completion are fast.

To add one: a module in this package with a typed function, and a row in `COMMANDS`.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Row(NamedTuple):
    """A sub-command: the function that is it, and what the list of commands says."""

    target: str
    sentence: str


COMMANDS = {
    "up": Row("weirkeeper.cli.up:up", "Serve a folder of manifests with a real load balancer, and follow its edits."),
    "run": Row("weirkeeper.cli.run:run", "Serve a Kubernetes cluster: watch, program load balancers, write statuses."),
    "check": Row("weirkeeper.cli.check:check", "Say what is wrong in manifests; the exit code tells too."),
    "translate": Row("weirkeeper.cli.translate:translate", "Show the configuration that manifests become."),
    "plan": Row("weirkeeper.cli.plan:plan", "Show what serving the manifests now would change."),
    "diff": Row("weirkeeper.cli.diff:diff", "Show which hosts and routes differ between two folders."),
    "explain": Row("weirkeeper.cli.explain:explain", "Say why a URL is answered as it is."),
    "migrate": Row("weirkeeper.cli.migrate:migrate", "Turn Ingresses into Gateway API manifests, with a report."),
    "features": Row("weirkeeper.cli.features:features", "Show what each provider can do."),
    "bootstrap": Row(
        "weirkeeper.cli.bootstrap:print_bootstrap", "Print the bootstrap of an Envoy that is fed from elsewhere."
    ),
    "sidecar": Row(
        "weirkeeper.cli.sidecar:sidecar", "Keep the certificate of the Envoy in this pod, and answer probes."
    ),
    "agent": Row("weirkeeper.cli.agent:agent", "Program the engine that runs beside this agent."),
    "drain": Row("weirkeeper.cli.drain:drain", "Tell the clients of the Envoy on this machine to go elsewhere."),
    "plugins": Row("weirkeeper.cli.plugins:plugins", "Show the controllers and providers that are installed."),
    "docs": Row("weirkeeper.cli.docs:docs", "Write the generated pages of the documentation."),
}


class LazyGroup(TyperGroup):
    """Knows its commands by name and sentence, and imports one only to run it."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """The commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """What the list of commands shows; nothing is imported."""
        row = COMMANDS.get(cmd_name)
        return None if row is None else TyperCommand(cmd_name, help=row.sentence, rich_help_panel=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is going to run, or to complete its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and _loaded(name or ""), rest


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Weirkeeper: a load-balancing control plane. Kubernetes intent in, a real load balancer programmed, and an answer to why.",
)


def _version(wished: bool) -> None:
    if wished:
        try:
            print(f"weir {version('weirkeeper')}")
        except PackageNotFoundError:
            print("weir (not installed)")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    app(prog_name="weir")


def _loaded(name: str) -> Any:
    module, _, function = COMMANDS[name].target.partition(":")
    single = typer.Typer(
        context_settings={"help_option_names": ["-h", "--help"]}, add_completion=False, pretty_exceptions_enable=False
    )
    single.command(name)(getattr(import_module(module), function))
    return typer.main.get_command(single)
