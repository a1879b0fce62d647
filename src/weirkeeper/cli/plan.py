"""`weir plan DIR`: what serving these manifests now would change, before it does.

Comes in: manifests, and what they are compared with: nothing (an empty engine), another folder, or the running program. Goes out: hosts and routes that
change, engine items to add, change and remove, and the blast radius. Exit code 0: nothing to do; 1: something; 2: it could not run.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
import typer

from weirkeeper.app import Plugins
from weirkeeper.cli.ask import Live, Running, StateDir, as_shown, running
from weirkeeper.cli.check import AsWhat
from weirkeeper.cli.diff import say
from weirkeeper.cli.offline import (
    NOTHING_SAID,
    SAID_ERRORS,
    HttpPort,
    HttpsPort,
    Loaded,
    ProviderName,
    Source,
    chosen,
    loaded,
    refused,
)
from weirkeeper.cli.render import Output, clean, console, counted, say_json
from weirkeeper.compose.difference import Difference, View, difference
from weirkeeper.model.finding import Severity
from weirkeeper.model.secret import hide
from weirkeeper.model.value import Value

Against = Annotated[str | None, typer.Option(metavar="DIR", help="Compare with these manifests.")]

K = TypeVar("K")
V = TypeVar("V", bound=Value)

ItemName = tuple[str, str, str]
"""Load balancer, kind and name of an engine item."""


class ItemCount(Value, frozen=True, kw_only=True):
    """How many engine items of a kind would be added, changed and removed."""

    kind: str
    added: int = 0
    changed: int = 0
    removed: int = 0


class Planned(Value, frozen=True, kw_only=True):
    """All that would change. ``bytes`` are those that engines would be sent."""

    against: Literal["nothing", "manifests", "live"]
    difference: Difference
    items: tuple[ItemCount, ...] = ()
    bytes: int = 0
    errors: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return self.difference.empty and not self.items


def plan(  # noqa: PLR0917 - typer makes options of them
    source: Source,
    against: Against = None,
    live: Live = False,
    state_dir: StateDir = None,
    output: AsWhat = Output.TEXT,
    provider: ProviderName = "envoy",
    http_port: HttpPort = 8080,
    https_port: HttpsPort = 8443,
) -> None:
    """Show what serving the manifests now would change: against nothing, another folder, or the running program."""
    if against is not None and live:
        refused("plan", "--against and --live exclude each other")
    if live:
        program = running("plan", None if source == "-" else source, state_dir)
        seen = program.view()
        found = against_live(loaded("plan", source, as_it_listens(seen, provider)), provider, program, seen)
    else:
        parts = chosen("plan", provider, http_port, https_port)
        wished = loaded("plan", source, parts)
        found = against_folder(wished, provider, loaded("plan", against, parts) if against is not None else None)
    if output is Output.JSON:
        say_json(found)
    else:
        _say(found)
    raise typer.Exit(NOTHING_SAID if found.empty else SAID_ERRORS)


def against_folder(wished: Loaded, provider: str, other: Loaded | None) -> Planned:
    """The plan from another folder's state, or from nothing."""
    before = other.view if other else View({}, {}, {}, {}, {}, {})
    return planned(
        "manifests" if other else "nothing", difference(before, wished.view), wished, provider,
        _versions(other, provider) if other else {},
    )  # fmt: skip


def as_it_listens(seen: View, provider: str) -> Plugins:
    """Plugins set up with the ports and addresses of a running program: what was given to it when it was started."""
    first = {one.protocol: one for _, one in sorted(seen.listeners.items(), reverse=True)}
    plain, secure = first.get("http"), first.get("https")
    one = plain or secure
    return chosen(
        "plan",
        provider,
        plain.port if plain else 8080,
        secure.port if secure else 8443,
        tuple(one.addresses) if one else ("127.0.0.1",),
    )


def against_live(wished: Loaded, provider: str, program: Running, seen: View) -> Planned:
    """The plan from the state of a running program."""
    rows = program.typed("/items", list[_LiveItem])
    versions = {(row.load_balancer, row.kind, row.name): row.version for row in rows if row.provider == provider}
    return planned("live", difference(seen, without_certificates(wished)), wished, provider, versions)


class _LiveItem(msgspec.Struct, frozen=True):
    provider: str
    load_balancer: str
    kind: str
    name: str
    version: str


def without_certificates(wished: Loaded) -> View:
    """The rows as a running program shows them: unfitted, secrets by digest, certificates not at all."""
    program, graph = wished.reconciler.program, wished.reconciler.graph
    return View(
        listeners=_shown(graph.rows(program.listeners)),
        virtual_hosts=_shown(graph.rows(program.virtual_hosts)),
        backends=_shown(graph.rows(program.backends)),
        endpoint_sets=_shown(graph.rows(program.endpoint_sets)),
        certificates={},
        l4_routes=_shown(graph.rows(program.l4_routes)),
    )


def _shown(rows: Mapping[K, V]) -> dict[K, V]:
    return {
        key: as_shown(msgspec.json.decode(msgspec.json.encode(row, enc_hook=hide)), type(row))
        for key, row in rows.items()
    }


def planned(
    against: Literal["nothing", "manifests", "live"],
    changed: Difference,
    wished: Loaded,
    provider: str,
    before: Mapping[ItemName, str],
) -> Planned:
    """The plan: differences in our words, counts in the engine's."""
    after = _versions(wished, provider)
    counts: dict[str, Counter[str]] = {}
    for name in {*before, *after}:
        if before.get(name) != after.get(name):
            kind = "added" if name not in before else "removed" if name not in after else "changed"
            counts.setdefault(name[1], Counter())[kind] += 1
    items = tuple(
        ItemCount(kind=kind, added=n["added"], changed=n["changed"], removed=n["removed"])
        for kind, n in sorted(counts.items())
    )
    rows = wished.reconciler.graph.rows(wished.reconciler.program.items[provider])
    sent = sum(len(i.whole) for k, i in rows.items() if before.get((k.load_balancer, k.kind, k.name)) != i.version)
    errors = sum(1 for one in wished.findings if one.severity is Severity.ERROR)
    return Planned(against=against, difference=changed, items=items, bytes=sent, errors=errors)


def _versions(of: Loaded, provider: str) -> dict[ItemName, str]:
    rows = of.reconciler.graph.rows(of.reconciler.program.items[provider])
    return {(key.load_balancer, key.kind, key.name): item.version for key, item in rows.items()}


def _say(found: Planned) -> None:
    out = console()
    if found.empty:
        out.print("nothing would change")
    else:
        say(out, found.difference)
    for one in found.items:
        numbers = [f"{sign}{n}" for sign, n in (("+", one.added), ("~", one.changed), ("-", one.removed)) if n]
        out.print(clean(f"engine items: {one.kind.rpartition('.')[2]} {' '.join(numbers)}"))
    if found.items:
        out.print(f"the engine would be sent {counted(found.bytes, 'byte')}")
    if found.errors:
        out.print(f"{counted(found.errors, 'error')} in the manifests: `weir check` lists them")
