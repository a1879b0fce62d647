"""`weir check DIR|-`: what is wrong, where, and what to do about it.

Comes in: manifests. Goes out: one entry a finding. Exit code 0: no errors (no warnings either with `--strict`); 1: there are some; 2: the check could not run.
Codes are stable and documented in docs/findings.md.
"""

from collections import Counter
from typing import Annotated

import typer

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
)
from weirkeeper.cli.places import Places
from weirkeeper.cli.render import Output, console, counted, finding_lines, say_json
from weirkeeper.model.finding import Effect, Finding, Severity
from weirkeeper.model.ids import Ref
from weirkeeper.model.value import Value

Strict = Annotated[bool, typer.Option("--strict", help="Warnings make the exit code 1 as well.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Leave out what is only worth knowing.")]
AsWhat = Annotated[Output, typer.Option("--output", "-o", help="`text` for people, `json` for programs.")]


class Entry(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A finding as `--output json` says it."""

    code: str
    name: str
    severity: Severity
    object: Ref
    field: str
    file: str | None
    line: int | None
    column: int | None
    message: str
    remedy: str
    operator: str
    effect: Effect
    feature: str | None


class Report(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Everything that `--output json` says."""

    objects: int
    hosts: int
    errors: int
    warnings: int
    infos: int
    findings: tuple[Entry, ...]


def check(  # noqa: PLR0917 - typer makes options of them
    source: Source,
    output: AsWhat = Output.TEXT,
    strict: Strict = False,
    quiet: Quiet = False,
    provider: ProviderName = "envoy",
    http_port: HttpPort = 8080,
    https_port: HttpsPort = 8443,
) -> None:
    """Say what is wrong in manifests. Exit code 0: no errors, 1: errors (or warnings with --strict), 2: it could not run.

    `kustomize build overlays/production | weir check -` checks what a pipeline is about to apply.
    """
    found = loaded("check", source, chosen("check", provider, http_port, https_port))
    report = reported(found)
    if output is Output.JSON:
        say_json(report)
    else:
        _say(found, report, quiet)
    raise typer.Exit(exit_code(report, strict))


def exit_code(report: Report, strict: bool) -> int:
    """What the shell is told."""
    return SAID_ERRORS if report.errors or (strict and report.warnings) else NOTHING_SAID


def reported(found: Loaded) -> Report:
    """All findings with their places, the gravest first."""
    gravest = sorted(found.findings, key=lambda f: list(Severity).index(f.severity))
    counts = Counter(f.severity for f in gravest)
    return Report(
        objects=found.objects,
        hosts=len(found.reconciler.graph.rows(found.reconciler.program.virtual_hosts)),
        errors=counts[Severity.ERROR],
        warnings=counts[Severity.WARNING],
        infos=counts[Severity.INFO],
        findings=tuple(entry(one, found.places) for one in gravest),
    )


def entry(finding: Finding, places: Places) -> Entry:
    """One finding with its place."""
    place, message = places.said(finding)
    return Entry(
        code=finding.reason.value,
        name=finding.reason.name,
        severity=finding.severity,
        object=finding.origin.ref,
        field=finding.origin.path,
        file=place.file if place else None,
        line=place.line if place and place.line else None,
        column=place.column if place and place.column else None,
        message=message,
        remedy=finding.remedy,
        operator=finding.for_operator,
        effect=finding.effect,
        feature=finding.feature,
    )


def _say(found: Loaded, report: Report, quiet: bool) -> None:
    out = console()
    for finding in sorted(found.findings, key=lambda f: list(Severity).index(f.severity)):
        if not (quiet and finding.severity is Severity.INFO):
            for line in finding_lines(finding, found.places):
                out.print(line)
    counts = [counted(report.errors, "error"), counted(report.warnings, "warning")]
    counts += [f"{report.infos} worth knowing"] if report.infos else []
    out.print(f"{counted(report.objects, 'object')}, {counted(report.hosts, 'host')}: {', '.join(counts)}")
