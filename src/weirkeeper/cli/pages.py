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
        "metrics.md": metrics_page(),
        "configuration.md": configuration_page(),
    }


def metrics_page() -> str:
    """Every number that `/metrics` shows."""
    from weirkeeper.runtime.metrics import NAMES  # noqa: PLC0415 - only `weir docs` needs it

    lines = [
        NOTE,
        "# Metrics\n",
        "What `/metrics` shows (Prometheus text format), and the read API of `weir up` too. Every name begins with `weirkeeper_`; counters end with `_total`. Labels",
        "come from small, fixed sets: no number of hosts or objects makes more series.\n",
        _row(["Metric", "Kind", "What it says", "When it tells of trouble"]),
        _row(["---"] * 4),
    ]
    for name, known in sorted(NAMES.items()):
        full = f"weirkeeper_{name}" + ("_total" if known.kind == "counter" else "")
        lines.append(_row([f"`{full}`", known.kind, known.sentence, known.remedy]))
    return "\n".join([*lines, ""])


def configuration_page() -> str:
    """Every setting of `weir run`."""
    from weirkeeper.configuration import described, key  # noqa: PLC0415 - only `weir docs` needs it

    lines = [
        NOTE,
        "# Configuration of `weir run`\n",
        "A flag beats a variable of the environment, which beats the file that `--config` (or `WEIR_CONFIG`) names, which beats the default. Lists are separated by",
        "commas; in the file they may be YAML lists. An unknown name stops the start.\n",
        _row(["Flag", "Variable", "Key in the file", "Default", "What it decides"]),
        _row(["---"] * 5),
    ]
    for name, (sentence, default) in described().items():
        flag, variable = f"`--{name.replace('_', '-')}`", f"`WEIR_{name.upper()}`"
        lines.append(_row([flag, variable, f"`{key(name)}`", f"`{default}`" if default else "", sentence]))
    return "\n".join([*lines, ""])


def features_page(providers: Sequence[Provider]) -> str:
    """The matrix of providers and features."""
    engines = [f"{p.name} ({p.capabilities.version})" for p in providers]
    lines = [
        NOTE,
        "# Features\n",
        "What each provider can do, as `weir features` says it. A provider declares what is proven by the conformance suite; what it lacks is never",
        "dropped silently: the finding WK501 names the object and the field. Which controllers are proven with which providers, and by how many requests:",
        "[one meaning on every engine](engines.md).\n",
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
