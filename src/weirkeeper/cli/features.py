"""`weir features`: what each installed provider can do, what it approximates, and what its lack means.

Comes in: the installed providers. Goes out: a matrix, or JSON.
"""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from weirkeeper.app import PROVIDERS, known_plugins, plugin
from weirkeeper.cli.check import AsWhat
from weirkeeper.cli.offline import refused
from weirkeeper.cli.pages import KINDS, support
from weirkeeper.cli.render import Output, clean, console, say_json
from weirkeeper.errors import StartRefused
from weirkeeper.model.features import FEATURES, Capabilities
from weirkeeper.model.value import Value
from weirkeeper.providers.base import Provider

Which = Annotated[list[str], typer.Option("--provider", help="Only this provider; may be given several times.")]
Lacking = Annotated[bool, typer.Option("--lacking", help="Only features that some provider lacks or approximates.")]
STYLES = {"yes": "green", "close": "yellow", "no": "red"}


class Row(Value, frozen=True, kw_only=True):
    """One feature with what each provider has of it."""

    feature: str
    kind: str
    about: str
    providers: dict[str, str]


class Matrix(Value, frozen=True, kw_only=True):
    """All that `--output json` says."""

    features: tuple[Row, ...]
    capabilities: dict[str, Capabilities]


def features(provider: Which = [], lacking: Lacking = False, output: AsWhat = Output.TEXT) -> None:  # noqa: B006 - typer copies it
    """Show what each provider can do, and what happens where it cannot."""
    found = _providers(provider or list(known_plugins(PROVIDERS)))
    rows = tuple(row for row in matrix(found) if not lacking or set(row.providers.values()) != {"yes"})
    if output is Output.JSON:
        say_json(Matrix(features=rows, capabilities={one.name: one.capabilities for one in found}))
        return
    _say(rows, found)


def _providers(names: list[str]) -> list[Provider]:
    try:
        return [plugin(PROVIDERS, name) for name in names]
    except StartRefused as why:
        refused("features", str(why))


def matrix(providers: list[Provider]) -> tuple[Row, ...]:
    """Every feature, by kind."""
    return tuple(
        Row(feature=f.name, kind=f.kind, about=f.about, providers={p.name: support(p, f.name) for p in providers})
        for kind in KINDS
        for f in FEATURES.values()
        if f.kind is kind
    )


def _say(rows: tuple[Row, ...], providers: list[Provider]) -> None:
    out = console()
    if out.is_terminal:
        table = Table("feature", *(p.name for p in providers), "what it is", box=None, header_style="bold")
        for row in rows:
            table.add_row(
                row.feature, *(Text(row.providers[p.name], STYLES[row.providers[p.name]]) for p in providers), row.about
            )
        out.print(table)
    else:
        for row in rows:
            typer.echo("\t".join([row.feature, *(f"{p.name}={row.providers[p.name]}" for p in providers), row.about]))
    for one in providers:
        for name, how in sorted(one.capabilities.degrades.items()):
            out.print(clean(f"{one.name} approximates {name}: {how}"))
    shown = {row.kind for row in rows}
    for kind, (title, effect) in KINDS.items():
        if kind in shown:
            out.print(Text(f"{title}: {effect}", "dim"))
