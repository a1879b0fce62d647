"""`weir translate DIR`: what manifests become, in the engine's words or in ours.

Comes in: manifests. Goes out: YAML (or JSON) on standard output, without secrets; findings on standard error, so that a pipe stays clean.
"""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from weirkeeper.cli.offline import SAID_ERRORS, HttpPort, HttpsPort, Loaded, ProviderName, Source, chosen, loaded
from weirkeeper.cli.render import finding_lines, say_json
from weirkeeper.compose.printed import printed
from weirkeeper.model.finding import Severity


class Form(StrEnum):
    """The engine's configuration, or the neutral one as YAML or JSON."""

    YAML = "yaml"
    CONFIG = "config"
    JSON = "json"


As = Annotated[
    Form, typer.Option("--output", "-o", help="`yaml`: the engine's configuration; `config`, `json`: the neutral one.")
]


def translate(
    source: Source,
    provider: ProviderName = "envoy",
    output: As = Form.YAML,
    http_port: HttpPort = 8080,
    https_port: HttpsPort = 8443,
) -> None:
    """Show the configuration that manifests become. Exit code 1 where an error was found; what can be translated is shown all the same."""
    parts = chosen("translate", provider, http_port, https_port)
    found = loaded("translate", source, parts)
    if output is Form.JSON:
        say_json(found.configs)
    elif output is Form.CONFIG:
        typer.echo(neutral(found), nl=False)
    else:
        items = found.reconciler.graph.rows(found.reconciler.program.items[provider])
        typer.echo(parts.providers[0].printed(items), nl=False)
    errors = [one for one in found.findings if one.severity is Severity.ERROR]
    err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    for finding in errors:
        for line in finding_lines(finding, found.places):
            err.print(line)
    raise typer.Exit(SAID_ERRORS if errors else 0)


def neutral(found: Loaded) -> str:
    """The neutral configuration, one YAML document a load balancer."""
    return "---\n".join(printed(config) for config in found.configs)
