"""`weir diff A B`: which hosts and routes differ between two folders, and how far it reaches.

Comes in: two folders of manifests. Goes out: hosts with their changed routes, changed listeners, backends, endpoints and certificates, counts, and the blast
radius. Exit code 0: no difference; 1: there is one; 2: it could not run.
"""

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from weirkeeper.cli.check import AsWhat
from weirkeeper.cli.offline import NOTHING_SAID, SAID_ERRORS, HttpPort, HttpsPort, ProviderName, chosen, loaded
from weirkeeper.cli.render import CHANGES, Output, clean, console, counted, say_json
from weirkeeper.compose.difference import Difference, HostChange, PartChange, Radius, RouteChange, difference

Before = Annotated[
    str, typer.Argument(metavar="DIR_A", help="Folder or file of manifests as they were; `-` reads standard input.")
]
After = Annotated[
    str, typer.Argument(metavar="DIR_B", help="Folder or file of manifests as they will be; `-` reads standard input.")
]

LONGEST = 200


def diff(  # noqa: PLR0917 - typer makes options of them
    before: Before,
    after: After,
    output: AsWhat = Output.TEXT,
    provider: ProviderName = "envoy",
    http_port: HttpPort = 8080,
    https_port: HttpsPort = 8443,
) -> None:
    """Show which hosts and routes differ between two folders. Exit code 0: none, 1: some, 2: it could not run."""
    parts = chosen("diff", provider, http_port, https_port)
    found = difference(loaded("diff", before, parts).view, loaded("diff", after, parts).view)
    if output is Output.JSON:
        say_json(found)
    else:
        say(console(), found)
    raise typer.Exit(NOTHING_SAID if found.empty else SAID_ERRORS)


def say(out: Console, found: Difference) -> None:
    """The difference, for people."""
    if found.empty:
        out.print("no difference")
        return
    for host in found.hosts:
        _say_host(out, host)
    for part in found.parts:
        out.print(_part_line(part))
    for line in radius_lines(found):
        out.print(line)


def _say_host(out: Console, host: HostChange) -> None:
    sign, colour = CHANGES[host.kind]
    out.print(Text(f"{sign} host {clean(host.hostname)}", f"bold {colour}"))
    for route in host.routes:
        out.print(_route_line(route))
    if host.order:
        out.print(Text("    ~ its routes are tried in another order", "yellow"))


def _route_line(route: RouteChange) -> Text:
    sign, colour = CHANGES[route.kind]
    line = Text.assemble((f"    {sign} ", colour), clean(route.match))
    if route.kind == "changed":
        if route.before != route.after:
            line.append(clean(f": {route.before} → {route.after}"))
        line.append(f"  [{', '.join(route.fields)}]", "dim")
    else:
        line.append(clean(f" {route.after or route.before}"))
    line.append(clean(f"  ({route.origin})"), "dim")
    return line


def _part_line(part: PartChange) -> Text:
    sign, colour = CHANGES[part.kind]
    line = Text.assemble((f"{sign} {part.what} ", f"bold {colour}"), clean(part.id))
    if part.detail:
        line.append(clean(f"  {part.detail if len(part.detail) <= LONGEST else part.detail[:LONGEST] + '…'}"))
    if part.hosts:
        shown = ", ".join(part.hosts[:3]) + (f" and {len(part.hosts) - 3} more" if len(part.hosts) > 3 else "")
        line.append(clean(f"  → {shown}"), "dim")
    return line


def radius_lines(found: Difference) -> list[str]:
    """Counts, and whom the change can touch."""
    radius = found.radius
    kinds = [(kind, sum(1 for one in found.hosts if one.kind == kind)) for kind in ("added", "removed", "changed")]
    counts = ", ".join(f"{number} {kind}" for kind, number in kinds if number) or "none changed"
    lines = [f"hosts: {counts}; routes: {radius.routes} of {radius.routes_of} differ"]
    lines.append(
        f"blast radius: {radius.hosts} of {counted(radius.hosts_of, 'host')}{_percent(radius)}"
        + (f"; {radius.hosts_by_endpoints_only} more by endpoints alone" if radius.hosts_by_endpoints_only else "")
    )
    return lines


def _percent(radius: Radius) -> str:
    return f" ({100 * radius.hosts / radius.hosts_of:.0f} %)" if radius.hosts_of else ""
