"""Golden cases: one folder shows the whole life of some objects.

Comes in: a folder with `in.yaml` (objects; its first line is a comment with the case's title), controllers and providers. Goes out: what it becomes, as
texts by file name: `config.yaml` (neutral, of everything wished), one file for each provider (the engine's words), and `status.yaml` (findings and statuses).

Where one kind of engine item is the same in nearly every case, most cases leave it out by a second comment (`# without: Listener`), and say so.

The objects are fed in an order shuffled by a seed, with settles in between, so that a case that depends on order fails sooner or later; the
seed is in every message. Nothing of a Secret is ever written. A file in a case's folder that nothing produces is an orphan, and fails.
"""

import difflib
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from weirkeeper.compose.config import load_balancer_config
from weirkeeper.compose.printed import printed
from weirkeeper.controllers.base import Controller
from weirkeeper.feeds.base import Seen, Synced
from weirkeeper.feeds.decode import Decoder
from weirkeeper.feeds.files import read_folder
from weirkeeper.kube.conditions import Condition, ConditionsWish
from weirkeeper.model.address import PublicAddress
from weirkeeper.model.finding import Finding
from weirkeeper.model.observation import LoadBalancerObservation
from weirkeeper.model.text import IpAddress, Name
from weirkeeper.providers.base import EngineItem, ItemKey, Provider
from weirkeeper.providers.memory import MemoryProvider
from weirkeeper.reconcile import Reconciler

INPUT = "in.yaml"
CONFIG = "config.yaml"
STATUS = "status.yaml"
SUFFIXES = {"haproxy": "cfg", "nginx": "txt"}
"""How the files of providers end whose words are no YAML."""
ADDRESS = IpAddress("192.0.2.1")
"""The address that every load balancer of a case is seen to have (RFC 5737)."""


class Difference(NamedTuple):
    """A file that is not as it was written down, or that nothing produces."""

    file: str
    diff: str


def cases(root: Path) -> list[Path]:
    """The folders of all cases, by name."""
    return sorted(path.parent for path in root.glob(f"*/{INPUT}"))


def title(case: Path) -> str:
    """The case's sentence: the comment that its input begins with; empty where there is none."""
    first = (case / INPUT).read_text("utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def left_out(case: Path) -> tuple[str, ...]:
    """Kinds of engine items that the case does not show, by the last part of their names: its second line is `# without: Listener`."""
    lines = (case / INPUT).read_text("utf-8").split("\n", 2)
    named = lines[1].partition("# without:")[2] if len(lines) > 1 else ""
    return tuple(kind.strip() for kind in named.split(",") if kind.strip())


def produced(case: Path, controllers: Sequence[Controller], providers: Sequence[Provider], seed: int) -> dict[str, str]:
    """Every file of the case as it should be, save the input."""
    files = {CONFIG: _neutral(_settled(case, controllers, MemoryProvider(), seed))}
    told: dict[str, str] = {}
    for provider in providers:
        program = _settled(case, controllers, provider, seed)
        items = program.graph.rows(program.program.items[provider.name])
        files[f"{provider.name}.{SUFFIXES.get(provider.name, 'yaml')}"] = _engine(provider, items, left_out(case))
        told[provider.name] = _statuses(program)
    files[STATUS] = (
        "".join(told.values()) if len(told) == 1 else "".join(f"# {name}\n{text}" for name, text in told.items())
    )
    return files


def differences(case: Path, files: Mapping[str, str]) -> list[Difference]:
    """Files that differ from what is written down, that are not written down, and orphans."""
    found = []
    for name, text in files.items():
        path = case / name
        written = path.read_text("utf-8") if path.exists() else ""
        if written != text:
            lines = difflib.unified_diff(
                written.splitlines(), text.splitlines(), f"{name} (written)", name, lineterm=""
            )
            found.append(Difference(name, "\n".join(lines)))
    return found + [Difference(name, f"{name}: nothing produces this file") for name in orphans(case, files)]


def orphans(case: Path, files: Mapping[str, str]) -> list[str]:
    """Files in the case's folder that are neither input nor produced."""
    return sorted(path.name for path in case.iterdir() if path.name not in {INPUT, *files})


def write(case: Path, files: Mapping[str, str]) -> None:
    """Write the case down as it is, orphans removed."""
    for name in orphans(case, files):
        (case / name).unlink()
    for name, text in files.items():
        (case / name).write_text(text, "utf-8")


def _settled(case: Path, controllers: Sequence[Controller], provider: Provider, seed: int) -> Reconciler:
    """The program after all objects of the case came in, in an order and in portions that the seed decides."""
    reconciler = Reconciler(controllers, (provider,))
    seen, _ = read_folder(case / INPUT, Decoder(reconciler.kinds))
    for portion in _portions(seen, random.Random(seed)):
        reconciler.receive(portion)
        reconciler.settle()
    reconciler.receive([Synced(feed="golden", kinds=tuple(kind.kind for kind in reconciler.kinds.values()))])
    reconciler.settle()
    for name in reconciler.graph.rows(reconciler.program.load_balancers):
        address = PublicAddress(ip=ADDRESS)
        observed = LoadBalancerObservation(
            load_balancer=name, provider=Name(provider.name), addresses=(address,), instances=1
        )
        reconciler.receive([observed])
    reconciler.settle()
    return reconciler


def _portions(seen: Sequence[Seen], chance: random.Random) -> Iterable[list[Seen]]:
    shuffled = list(seen)
    chance.shuffle(shuffled)
    middle = chance.randint(0, len(shuffled))
    return shuffled[:middle], shuffled[middle:]


def _neutral(program: Reconciler) -> str:
    composed = program.program.composed["memory"]
    names = sorted(program.graph.rows(program.program.load_balancers))
    configs = [load_balancer_config(program.graph, composed, name) for name in names]
    return "---\n".join(printed(config) for config in configs)


def _engine(provider: Provider, items: Mapping[ItemKey, EngineItem], without: tuple[str, ...]) -> str:
    shown = {key: item for key, item in items.items() if not key.kind.endswith(without or "\0")}
    note = f"# not shown: {len(items) - len(shown)} items of {', '.join(without)}\n" if without else ""
    return note + provider.printed(shown)


def _statuses(program: Reconciler) -> str:
    findings = program.graph.rows(program.program.findings)
    statuses = program.graph.rows(program.program.statuses)
    rows = []
    conditions = program.graph.rows(program.program.conditions)
    for ref in sorted({*findings, *statuses, *conditions}):
        row: dict[str, object] = {"object": str(ref)}
        if (status := statuses.get(ref)) is not None:
            row["addresses"] = [ip or hostname for ip, hostname in status.addresses]
        if (wish := conditions.get(ref)) is not None:
            row.update(_conditions(wish))
        if found := findings.get(ref):
            row["findings"] = [_told(finding) for finding in found]
        rows.append(row)
    return printed(rows)


def _conditions(wish: ConditionsWish) -> dict[str, object]:
    """What the conditions say, a line each."""
    report = wish.report

    def lines(conditions: Iterable[Condition]) -> list[str]:
        return [" ".join(filter(None, (one.type, one.status, one.reason, one.message))) for one in conditions]

    told: dict[str, object] = {"conditions": lines(report.conditions)}
    told["listeners"] = [
        {"name": one.name, "attached": one.attached, "conditions": lines(one.conditions)}
        for one in report.listeners or ()
    ]
    told["parents"] = [{**dict(one.reference), "conditions": lines(one.conditions)} for one in report.parents or ()]
    told["addresses"] = [ip or hostname for ip, hostname in wish.addresses or ()]
    told["features"] = len(report.features)
    return {name: value for name, value in told.items() if value}


def _told(finding: Finding) -> dict[str, object]:
    told = {
        "code": f"{finding.reason.value} {finding.reason.name}",
        "severity": finding.severity.value,
        "effect": finding.effect.value,
        "field": str(finding.origin.path),
        "says": str(finding.for_user),
        "remedy": str(finding.remedy),
        "operator": str(finding.for_operator),
        "feature": finding.feature or "",
    }
    return {name: value for name, value in told.items() if value}
