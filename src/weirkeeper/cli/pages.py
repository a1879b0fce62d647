"""The generated pages of the documentation.

Comes in: what is declared in code (features, reasons, capabilities, annotations, the command line). Goes out: Markdown texts by file name. A test compares
them with what is committed.
"""

from collections.abc import Mapping, Sequence

from weirkeeper.model.features import FEATURES, FeatureKind
from weirkeeper.model.finding import Reason
from weirkeeper.model.reasons import GROUPS, REASONS
from weirkeeper.providers.base import Provider

NOTE = "<!-- made by `weir docs`; do not edit -->\n"

KINDS = {
    FeatureKind.EXTENDED: ("Extended", "Lacking one, a route that needs it is answered 500, and its owner is told."),
    FeatureKind.SECURITY: (
        "Security",
        "Lacking one, a route that needs it fails closed: 500, never without the guard.",
    ),
    FeatureKind.LISTENER: ("Listeners", "Lacking one, the listener is rejected, and its owner is told."),
    FeatureKind.COSMETIC: ("Cosmetic", "Lacking one, the wish is ignored, and its owner is told."),
    FeatureKind.CORE: ("Core", "Every provider has these."),
}


def pages(providers: Sequence[Provider]) -> Mapping[str, str]:
    """Every generated page by its file name in docs/."""
    from weirkeeper.controllers.ingress.annotations.docs import annotations_page  # noqa: PLC0415 - only `weir docs` needs it

    return {
        "features.md": features_page(providers),
        "findings.md": findings_page(),
        "annotations.md": annotations_page(),
    }


def features_page(providers: Sequence[Provider]) -> str:
    """The matrix of providers and features."""
    engines = [f"{p.name} ({p.capabilities.version})" for p in providers]
    lines = [
        NOTE,
        "# Features\n",
        "What each provider can do, as `weir features` says it. A provider declares what is proven by the conformance suite; what it lacks is never",
        "dropped silently: the finding WK501 names the object and the field.\n",
        "`yes`: supported; `close`: approximated, see below the table; `no`: not supported.\n",
    ]
    for kind, (title, effect) in KINDS.items():
        rows = [feature for feature in FEATURES.values() if feature.kind is kind]
        if rows:
            lines += [f"## {title}\n", f"{effect}\n", _row(["Feature", *engines, "What it is"])]
            lines.append(_row(["---"] * (len(engines) + 2)))
            lines += [_row([f.name, *(support(p, f.name) for p in providers), f.about]) for f in rows]
            lines.append("")
    close = [(p.name, name, how) for p in providers for name, how in sorted(p.capabilities.degrades.items())]
    if close:
        lines += ["## Approximated\n", *(f"- {name} by {provider}: {how}." for provider, name, how in close), ""]
    return "\n".join(lines)


def support(provider: Provider, feature: str) -> str:
    """`yes`, `close` or `no`."""
    can = provider.capabilities
    return "yes" if feature in can.supported else "close" if feature in can.degrades else "no"


def findings_page() -> str:
    """Every code with its meaning and remedy."""
    lines = [
        NOTE,
        "# Findings\n",
        "Whatever weir has to tell about an object is a finding: a stable code, the object, the field, what is so and what to do about it. `weir check`,",
        "`weir up`, `weir explain` and the read API all say the same ones.\n",
        "Severities: `error`: something wished is not served; `warning`: it is served in part, or soon will not be; `info`: worth knowing.\n",
    ]
    for digit, title in GROUPS.items():
        lines += [f"## {title}\n", _row(["Code", "Name", "What it means", "What to do"]), _row(["---"] * 4)]
        lines += [
            _row([reason.value, reason.name.lower().replace("_", " "), REASONS[reason].meaning, REASONS[reason].remedy])
            for reason in Reason
            if reason.value[2] == digit
        ]
        lines.append("")
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
