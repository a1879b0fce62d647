"""docs/annotations.md, made from the table."""

from weirkeeper.controllers.ingress.annotations.row import Answer
from weirkeeper.controllers.ingress.annotations.table import REMOVED, ROWS

INTRO = """# Annotations

Generated from `controllers/ingress/annotations/table.py`; a test compares the two. Every name works under `nginx.ingress.kubernetes.io/` and
under `weirkeeper.io/`; where both are given with different values, ours holds. A name that is not here is reported, with the nearest one that is.

A value that cannot be read is reported. Where the annotation guards the host (*guard*), all its requests are answered 503 until it is right;
otherwise the annotation is ignored.
"""

ABOUT = {
    Answer.APPLIED: "Applied",
    Answer.DEGRADED: "Applied, with a difference",
    Answer.IDLE: "Nothing to do",
    Answer.UNSUPPORTED: "Not supported; reported",
    Answer.REFUSED: "Refused; reported",
}


def annotations_page() -> str:
    """The page."""
    parts = [INTRO, f"{len(ROWS)} names.\n"]
    for answer, title in ABOUT.items():
        rows = sorted((row for row in ROWS if row.answer == answer), key=lambda row: row.name)
        parts.append(f"## {title}\n\n| Name | Risk | What it says | Note |\n|---|---|---|---|")
        parts += [
            f"| `{row.name}` | {row.risk} | {row.about}{' *guard*' if row.security else ''} | {row.note} |"
            for row in rows
        ]
        parts.append("")
    parts.append("## Dropped by ingress-nginx itself\n\n| Name | Instead |\n|---|---|")
    parts += [f"| `{name}` | {instead} |" for name, instead in sorted(REMOVED.items())]
    return "\n".join(parts) + "\n"
