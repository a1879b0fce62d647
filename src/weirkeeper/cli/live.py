"""What `weir up` shows: hosts, routes, endpoints and findings, drawn anew when something changed.

Comes in: the running application. Goes out: a table for a terminal, and the `curl` lines that work. It only reads tables between two settles, on the loop,
and no more rows than fit.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from weirkeeper.app.folder import Application
from weirkeeper.model.backend import FromEndpointSet
from weirkeeper.model.finding import Finding, Reason, Severity
from weirkeeper.model.ids import HostKey, Part
from weirkeeper.model.listener import Listener
from weirkeeper.model.match import ExactPath, SegmentPrefix, StringPrefix
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import Forward, VirtualHost

ROWS = 20
FINDINGS = 8
REDRAW_SECONDS = 0.1
NUMBER = re.compile(r"[0-9]+", re.ASCII)
COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "blue"}


class HostRow(NamedTuple):
    """One host as people see it."""

    hostname: str
    routes: int
    ready: int
    endpoints: int


class Shown(NamedTuple):
    """All that is drawn."""

    rows: tuple[HostRow, ...]
    hosts: int
    findings: tuple[tuple[str, Finding], ...]
    finding_count: int
    instances: int
    last: str


def shown(app: Application) -> Shown:
    """The state of the program, cut to what fits."""
    program, graph = app.reconciler.program, app.reconciler.graph
    hosts = once_each(graph.rows(program.virtual_hosts))
    by_object = graph.rows(program.findings)
    findings = [f for many in islice(by_object.values(), 200) for f in many]
    findings.sort(key=lambda f: (list(Severity).index(f.severity), f.sort_key))
    first = sorted(hosts)[:ROWS]
    done = app.changes.done
    last = f"{', '.join(done[-1].objects) or 'the engine'} live in {done[-1].live_ms:g} ms" if done else "starting"
    return Shown(
        rows=tuple(_row(app, key, hosts[key]) for key in first),
        hosts=len(hosts),
        findings=tuple((_where(app, finding), finding) for finding in findings[:FINDINGS]),
        finding_count=sum(len(many) for many in by_object.values()),
        instances=sum(app.instances.values()),
        last=last,
    )


def once_each(hosts: Mapping[HostKey, VirtualHost]) -> dict[HostKey, VirtualHost]:
    """Each host of a load balancer once: a host with a listener of its own is in two groups, and the one that forwards is what people mean."""
    found: dict[tuple[str, str], HostKey] = {}
    for key, host in hosts.items():
        name = (key.load_balancer, key.hostname)
        if name not in found or any(isinstance(route.action, Forward) for route in host.routes):
            found[name] = key
    return {key: hosts[key] for key in found.values()}


def drawn(state: Shown) -> RenderableType:
    """The state as a terminal shows it."""
    table = Table("host", "routes", "endpoints", box=None, header_style="bold")
    for row in state.rows:
        colour = "green" if row.ready else "red" if row.endpoints == 0 else "yellow"
        table.add_row(Text(row.hostname), str(row.routes), Text(f"{row.ready}/{row.endpoints}", colour))
    if state.hosts > len(state.rows):
        table.add_row(f"… and {state.hosts - len(state.rows)} more hosts", "", "")
    lines = [_finding_line(where, finding) for where, finding in state.findings]
    if state.finding_count > len(lines):
        lines.append(Text(f"… and {state.finding_count - len(lines)} more findings (`weir check` lists all)", "dim"))
    head = Text(
        f"weir up · {counted(state.hosts, 'host')} · {counted(state.finding_count, 'finding')} · "
        f"{counted(state.instances, 'engine')} · {state.last}"
    )
    return Group(head, table, *lines)


async def keep_drawn(app: Application, console: Console) -> None:
    """Draw the table whenever something changed, until cancelled."""
    news = asyncio.Event()
    app.listeners.append(lambda _: news.set())
    with Live(console=console, auto_refresh=False, redirect_stderr=True) as live:
        while True:
            await news.wait()
            news.clear()
            async with app.intake.still:
                state = shown(app)
            live.update(drawn(state), refresh=True)
            await asyncio.sleep(REDRAW_SECONDS)


def curl_lines(app: Application, most: int = 6) -> list[str]:
    """A `curl` for the first few hosts, as it can be pasted: none where a listener is not live, or asks for a certificate that only the client has."""
    program, graph = app.reconciler.program, app.reconciler.graph
    listeners = sorted(graph.rows(program.listeners).values(), key=lambda one: (one.port, one.id))
    certified = {name for c in graph.rows(program.certificates).values() for name in c.names}
    guarded = {one.hostname for one in listeners if one.tls is not None and one.tls.client_validation is not None}
    certified |= {name.hostname for name in graph.rows(program.server_names)}
    dead = refused_listeners((f for many in graph.rows(program.findings).values() for f in many), listeners)
    lines: list[str] = []
    for key, host in sorted(graph.rows(program.virtual_hosts).items()):
        served = [one for one in listeners if (one.load_balancer, one.group) == (key.load_balancer, key.group)]
        secure = key.hostname in certified or any(
            name[1:] == key.hostname[key.hostname.find(".") :] for name in certified if name[0] == "*"
        )
        wished = [one for one in served if (one.protocol == "https") == secure] or served
        if wished and len(lines) < most and not (key.hostname in guarded or wished[0].id in dead):
            lines.append(curl_line(host, wished[0]))
    return lines


def refused_listeners(findings: Iterable[Finding], listeners: Iterable[Listener]) -> set[str]:
    """The listeners that an engine has refused, by id: its words name the port."""
    said: dict[Origin, set[str]] = {}
    for finding in findings:
        if finding.reason is Reason.ENGINE_REJECTED:
            said.setdefault(finding.origin, set()).update(NUMBER.findall(finding.for_user))
    return {one.id for one in listeners if str(one.port) in said.get(one.origin, ())}


def curl_line(host: VirtualHost, listener: Listener) -> str:
    """The command that asks this host on this listener."""
    scheme = "https" if listener.protocol == "https" else "http"
    name = {"*": "any.example"}.get(host.hostname, host.hostname.replace("*", "any"))
    address = listener.addresses[0] if listener.addresses else "127.0.0.1"
    flags = "-k " if scheme == "https" else ""
    shown_address = f"[{address}]" if ":" in address else address
    return (
        f"curl {flags}--resolve {name}:{listener.port}:{shown_address} {scheme}://{name}:{listener.port}{_path(host)}"
    )


def _path(host: VirtualHost) -> str:
    for route in host.routes:
        if isinstance(route.match.path, ExactPath | SegmentPrefix | StringPrefix) and isinstance(route.action, Forward):
            plain = route.match.path.value
            return (
                plain if all(c.isalnum() or c in "/._~-" for c in plain) else f"'{plain}'" if "'" not in plain else "/"
            )
    return "/"


def _row(app: Application, key: HostKey, host: VirtualHost) -> HostRow:
    program, graph = app.reconciler.program, app.reconciler.graph
    backends, sets = graph.rows(program.backends), graph.rows(program.endpoint_sets)
    names = {w.backend for r in host.routes if isinstance(r.action, Forward) for w in r.action.backends}
    used = [backends.get(Part(key.load_balancer, name)) for name in names]
    sources = {one.source.id for one in used if one is not None and isinstance(one.source, FromEndpointSet)}
    found = [one for one in (sets.get(Part(key.load_balancer, source)) for source in sources) if one is not None]
    endpoints = sum(len(one.endpoints) for one in found)
    return HostRow(host.hostname, len(host.routes), sum(len(one.usable) for one in found), endpoints)


def _where(app: Application, finding: Finding) -> str:
    """File and line of the object, where a file has it."""
    place = app.tree.place(finding.origin.ref)
    return f"{place.file}:{place.line}: " if place else ""


def _finding_line(where: str, finding: Finding) -> Text:
    colour = COLOURS[finding.severity]
    line = Text.assemble(where, (f"{finding.severity} {finding.reason} ", colour), f"{finding.origin}: ")
    line.append(finding.for_user)
    if finding.remedy:
        line.append(f" → {finding.remedy}", "dim")
    return line


def counted(number: int, noun: str) -> str:
    """The number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
