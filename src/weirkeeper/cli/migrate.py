"""`weir migrate ingress DIR|--live`: Ingresses as manifests of Gateway API, and a report of what has no equivalent.

Comes in: manifests, or what a cluster has. Goes out: YAML on standard output (or files), the report on standard error (or a file). Exit code 0: everything means the same; 1: somebody
has to look at something first; 2: it could not run. Nothing is written to a cluster.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.text import Text

from weirkeeper.app import plugins, today
from weirkeeper.cli.offline import NOTHING_SAID, SAID_ERRORS, loaded, refused
from weirkeeper.cli.render import clean, counted, say_json
from weirkeeper.migrate import Channel, Choices, Migration, Per, migrated
from weirkeeper.migrate.notes import Outcome
from weirkeeper.migrate.report import Entry, Report
from weirkeeper.reconcile import Reconciler
from weirkeeper.settings import Settings


class What(StrEnum):
    """What is migrated."""

    INGRESS = "ingress"


COLOURS = {
    Outcome.TRANSLATED: "green", Outcome.NOTHING: "dim", Outcome.DIFFERS: "cyan", Outcome.BY_HAND: "yellow", Outcome.LOST: "bold red", Outcome.CLOSED: "bold red",
}  # fmt: skip

SHOWN = 8
"""So many manifests of one object are listed; JSON has them all."""

Kind = Annotated[What, typer.Argument(metavar="ingress", help="What is migrated.")]
Where = Annotated[
    str | None, typer.Argument(metavar="[DIR]", help="Folder or file of manifests; `-` reads standard input.")
]
Cluster = Annotated[bool, typer.Option("--live", help="Read the Ingresses of a cluster instead of manifests.")]
Kubeconfig = Annotated[Path | None, typer.Option(help="With --live: kubeconfig file; $KUBECONFIG where none is given.")]
Context = Annotated[str, typer.Option(help="With --live: context of the kubeconfig; its current one by default.")]
Folder = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write the manifests here, a file a namespace.")
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Write the report here, not to standard error.")
]
Json = Annotated[bool, typer.Option("--json", help="Manifests and report as one JSON document.")]
PerWhat = Annotated[Per, typer.Option("--per", help="A Gateway for each class, or for each namespace of a class.")]
GatewayClassName = Annotated[
    str,
    typer.Option("--gateway-class", help="The GatewayClass to name; by default one of ours is made for each class."),
]
Namespace = Annotated[
    str,
    typer.Option("--gateway-namespace", help="Where Gateways live; by default where all Ingresses are, or `default`."),
]
Fields = Annotated[Channel, typer.Option("--channel", help="Which of Gateway API's fields may be used.")]


def migrate(  # noqa: PLR0917 - typer makes options of them
    what: Kind,  # noqa: ARG001 - there is but one, and typer has refused all others
    source: Where = None,
    live: Cluster = False,
    kubeconfig: Kubeconfig = None,
    context: Context = "",
    output: Folder = None,
    report: ReportFile = None,
    json: Json = False,
    per: PerWhat = Per.CLASS,
    gateway_class: GatewayClassName = "",
    gateway_namespace: Namespace = "",
    channel: Fields = Channel.STANDARD,
) -> None:
    """Turn Ingresses into Gateway API manifests, and say what has no equivalent. Exit code 0: all means the same, 1: something is to be looked at, 2: it could not run."""
    choices = Choices(per=per, channel=channel, gateway_class=gateway_class, namespace=gateway_namespace)
    found = migrated(_program(source, kubeconfig, context, live=live), choices)
    if output is not None:
        _write(found, output)
    if json:
        say_json(found)
    elif output is None:
        typer.echo(text_of(found.manifests), nl=False)
    if report is not None:
        _into(report, "\n".join(line.plain for line in lines_of(found.report)) + "\n")
    elif not json:
        err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        for line in lines_of(found.report):
            err.print(line)
    raise typer.Exit(SAID_ERRORS if found.report.undone else NOTHING_SAID)


def _program(source: str | None, kubeconfig: Path | None, context: str, *, live: bool) -> Reconciler:
    """A settled program that has read all Ingresses; where they are served is of no account, so it serves nothing."""
    parts = plugins(
        Settings(controllers=("ingress",), providers=("memory",), state_directory="", loopback_endpoints=True)
    )
    if live is (source is not None):
        refused("migrate", "name a folder of manifests, or read the cluster with --live")
    if not live and (kubeconfig or context):
        refused("migrate", "--kubeconfig and --context belong to --live")
    if source is not None:
        return loaded("migrate", source, parts).reconciler
    from weirkeeper.cli.migrate_live import read_cluster  # noqa: PLC0415 - brings all that speaks to a cluster

    reconciler = Reconciler(parts.controllers, parts.providers)
    reconciler.receive([today()])
    read_cluster(reconciler, kubeconfig, context)
    return reconciler


def text_of(manifests: tuple[dict[str, Any], ...]) -> str:
    """The manifests as YAML documents."""
    return "---\n".join(yaml.safe_dump(one, sort_keys=False, width=120, allow_unicode=True) for one in manifests)


def _write(found: Migration, folder: Path) -> None:
    """One file a namespace; what has none goes into `cluster.yaml`."""
    by_file: dict[str, list[dict[str, Any]]] = {}
    for one in found.manifests:
        by_file.setdefault(one["metadata"].get("namespace") or "cluster", []).append(one)
    for name, some in by_file.items():
        _into(folder / f"{name}.yaml", text_of(tuple(some)))


def _into(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    except OSError as error:
        refused("migrate", f"{file} cannot be written ({error.strerror})")


def lines_of(report: Report) -> Iterator[Text]:
    """The report, for people: each object with what it became, then what became of each annotation, and the count."""
    made = {one.object: one.manifests for one in report.made}
    objects = dict.fromkeys([*made, *(one.object for one in report.entries)])
    for ref in sorted(objects):
        became = _listed(made.get(ref, ()))
        yield Text.assemble((clean(ref), "bold"), f" → {clean(became)}")
        for entry in report.entries:
            if entry.object == ref:
                yield from _entry_lines(entry)
    undone = len(report.undone)
    yield Text(
        f"{counted(len(made), 'object')} migrated; {counted(undone, 'thing')} to look at"
        if undone
        else f"{counted(len(made), 'object')} migrated"
    )


def _listed(manifests: tuple[str, ...]) -> str:
    more = f" and {len(manifests) - SHOWN} more" if len(manifests) > SHOWN else ""
    return ", ".join(manifests[:SHOWN]) + more or "nothing"


def _entry_lines(entry: Entry) -> Iterator[Text]:
    value = f": {clean(entry.value)[:60]!r}" if entry.value else ""
    yield Text.assemble("  ", (entry.outcome.value, COLOURS[entry.outcome]), f"  {clean(entry.field)}{value}")
    for arrow, sentences in (("= ", entry.to), ("", entry.why), ("→ ", entry.remedy)):
        for sentence in sentences:
            yield Text(f"      {arrow}{clean(sentence)}", "dim")
