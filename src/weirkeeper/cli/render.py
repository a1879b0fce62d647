"""How commands speak: coloured on a terminal, plain and unwrapped in a pipe, JSON where it is asked for.

Comes in: values and sentences. Goes out: lines on standard output. Text of tenants is never markup: it is printed as it is, without control characters.
"""

from enum import StrEnum

import msgspec
from rich.console import Console
from rich.text import Text

from weirkeeper.cli.places import Places, Written
from weirkeeper.model.finding import Finding, Severity
from weirkeeper.model.secret import hide

COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
CHANGES = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


class Output(StrEnum):
    """For people, or for programs."""

    TEXT = "text"
    JSON = "json"


def console() -> Console:
    """Standard output. Lines are never wrapped: a terminal does that, and a pipe wants them whole."""
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def say_json(value: object) -> None:
    """One JSON document on standard output, indented, without secrets."""
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=hide), indent=2).decode()
    console().print(Text(text))


def clean(text: object) -> str:
    """The text without what a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in str(text))


def finding_lines(finding: Finding, places: Places | None, indent: str = "") -> list[Text]:
    """A finding: place, severity, code, object, field, sentence; then the remedy."""
    place, sentence = places.said(finding) if places else (None, str(finding.for_user))
    head = Text(indent)
    if place is not None:
        head.append(f"{clean(place)}: ", "bold")
    head.append(f"{finding.severity} {finding.reason.value} ", COLOURS[finding.severity])
    head.append(clean(_about(finding, place)))
    head.append(clean(sentence))
    lines = [head]
    if finding.remedy:
        lines.append(Text(f"{indent}    → {clean(finding.remedy)}", "dim"))
    return lines


def _about(finding: Finding, place: Written | None) -> str:
    if place is not None and finding.origin.ref.kind == "File":
        return ""
    return f"{finding.origin}: "


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 host`, `2 hosts`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
