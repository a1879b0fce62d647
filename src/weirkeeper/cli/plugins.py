"""`weir plugins`: the controllers and providers that are installed, where they come from, and whether they load.

Comes in: entry points. Goes out: one line each. Exit code 1 where one does not load: that is seldom what anybody wants.
"""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

import typer
from rich.text import Text

from weirkeeper.app import CONTROLLERS, PROVIDERS
from weirkeeper.cli.check import AsWhat
from weirkeeper.cli.offline import NOTHING_SAID, SAID_ERRORS
from weirkeeper.cli.render import Output, clean, console, say_json
from weirkeeper.model.value import Value


class Plugin(Value, frozen=True, kw_only=True):
    """One plugin: of which group, its name, its distribution, what it reads or drives, and why it does not load."""

    group: str
    name: str
    distribution: str
    target: str
    about: str = ""
    broken: str = ""


def plugins(output: AsWhat = Output.TEXT) -> None:
    """Show the controllers and providers that are installed."""
    found = tuple(installed())
    if output is Output.JSON:
        say_json(found)
    else:
        out = console()
        for one in found:
            line = Text.assemble(f"{one.group:<10} ", (f"{one.name:<12}", "bold"), clean(f" {one.about or one.broken}"))
            line.append(clean(f"  ({one.distribution}, {one.target})"), "dim")
            if one.broken:
                line.stylize("red")
            out.print(line)
    raise typer.Exit(SAID_ERRORS if any(one.broken for one in found) else NOTHING_SAID)


def installed() -> Iterator[Plugin]:
    """Every plugin, controllers first."""
    for group in (CONTROLLERS, PROVIDERS):
        points = {point.name: point for point in entry_points(group=group)}
        for name in sorted(points):
            yield _plugin(group.rpartition(".")[2].removesuffix("s"), points[name])


def _plugin(group: str, point: EntryPoint) -> Plugin:
    distribution = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
    about, broken = "", ""
    try:
        loaded = point.load()
        about = _about(loaded)
    except (ImportError, AttributeError) as error:
        broken = f"does not load: {error}"
    return Plugin(
        group=group, name=point.name, distribution=distribution, target=point.value, about=about, broken=broken
    )


def _about(loaded: object) -> str:
    kinds = getattr(loaded, "kinds", None)
    if kinds is not None:
        return "reads " + ", ".join(f"{kind.kind} ({kind.group or 'core'}/{kind.version})" for kind in kinds)
    can = getattr(loaded, "capabilities", None)
    return "" if can is None else f"drives {can.engine} {can.version}, {len(can.supported)} features"
