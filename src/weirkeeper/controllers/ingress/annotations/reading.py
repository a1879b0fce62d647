"""Annotations read: from what stands on an Ingress to ``Options`` with findings. Nothing under our two prefixes is skipped in silence."""

from difflib import get_close_matches

from weirkeeper.controllers.ingress.annotations.options import PLAIN, Options
from weirkeeper.controllers.ingress.annotations.parsers import LONGEST
from weirkeeper.controllers.ingress.annotations.row import Answer, Row
from weirkeeper.controllers.ingress.annotations.table import REMOVED, TABLE
from weirkeeper.controllers.shared.report import error, field, info, warning
from weirkeeper.kube.types import Ingress
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Refused, shown

NGINX = "nginx.ingress.kubernetes.io/"
OWN = "weirkeeper.io/"
BARE = {"scale": "scale", "http.port": "http-port", "https.port": "https-port", "allow.http": "allow-http"}
"""What Rancher's controller read without a prefix, and what we call it."""
REGEX_ROWS = frozenset({"canary-by-header-pattern"})


def read_options(ingress: Ingress) -> Options:
    """What the annotations come to."""
    annotations = ingress.metadata.annotations
    if not annotations:
        return PLAIN
    ours = {key: text for key, text in annotations.items() if key.startswith((NGINX, OWN)) or key in BARE}
    return _Reading(ingress.origin()).run(ours) if ours else PLAIN


class _Reading:
    """One pass over the annotations in order of name; our own prefix wins over ingress-nginx's."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.values: dict[str, object] = {}
        self.findings: list[Finding] = []
        self.closed = False

    def run(self, annotations: dict[str, str]) -> Options:
        for key in sorted(annotations):
            self._one(key, annotations[key], annotations)
        return Options(**self.values, closed=self.closed, findings=tuple(self.findings))  # type: ignore[arg-type]

    def _one(self, key: str, text: str, annotations: dict[str, str]) -> None:
        name = BARE[key] if key in BARE else key.removeprefix(NGINX).removeprefix(OWN)
        row = TABLE.get(name)
        at = self.origin.at(field(f"metadata.annotations[{key}]"))
        if row is None:
            self.findings.append(_unknown(name, at))
        elif not key.startswith(OWN) and annotations.get(OWN + name, text) != text:
            self.findings.append(_contradiction(name, at))
        elif row.answer in {Answer.APPLIED, Answer.DEGRADED}:
            self._value(row, text, at)
        else:
            self._answered(row, text, at)

    def _value(self, row: Row, text: str, at: Origin) -> None:
        value = row.read(text) if len(text) <= LONGEST else Refused(f"is longer than {LONGEST} characters")
        if isinstance(value, Refused):
            self.findings.append(_invalid(row, value, at))
            self.closed = self.closed or row.security
            return
        if value is not None:
            self.values[row.target] = value
        if row.answer == Answer.DEGRADED:
            text = f"{row.name} is applied with a difference: {row.note}"
            self.findings.append(info(Reason.DEGRADED, at, text, "nothing, if that suits", Effect.DEGRADED))

    def _answered(self, row: Row, text: str, at: Origin) -> None:
        if text.strip().lower() in {"", "false", "off", "0"}:
            return
        self.closed = self.closed or row.security
        self.findings.append(_said(row, at))


def _said(row: Row, at: Origin) -> Finding:
    effect = Effect.FAILS_CLOSED if row.security else Effect.IGNORED
    if row.answer == Answer.IDLE:
        return info(Reason.ANNOTATION_WITHOUT_EFFECT, at, f"{row.name} does nothing here: {row.note}", "take it out")
    if row.answer == Answer.REFUSED:
        return error(Reason.REFUSED_ANNOTATION, at, f"{row.name} is refused: {row.note}", "take it out", effect)
    if row.security:
        text = f"{row.name} is not supported: {row.note}; all requests are answered 503"
        return error(
            Reason.ANNOTATION_WITHOUT_EFFECT, at, text, "take it out if the hosts may be open without it", effect
        )
    return warning(Reason.ANNOTATION_WITHOUT_EFFECT, at, f"{row.name} does nothing: {row.note}", "take it out")


def _invalid(row: Row, why: Refused, at: Origin) -> Finding:
    reason = Reason.INVALID_REGEX if row.name in REGEX_ROWS else Reason.INVALID_ANNOTATION
    remedy = f"correct the value: {row.about}"
    if row.security:
        text = f"{row.name}: {why.why}; as it guards the host, all requests are answered 503 until it is right"
        return error(reason, at, text, remedy, Effect.FAILS_CLOSED)
    return error(reason, at, f"{row.name}: {why.why}; it is ignored", remedy, Effect.IGNORED)


def _unknown(name: str, at: Origin) -> Finding:
    if name in REMOVED:
        text = f"{shown(name)} was dropped by ingress-nginx long ago and does nothing"
        return warning(Reason.UNKNOWN_ANNOTATION, at, text, REMOVED[name])
    near = get_close_matches(name[:80], TABLE, n=1, cutoff=0.7)
    remedy = f"did you mean {near[0]}?" if near else "see docs/annotations.md for those that are known"
    return warning(Reason.UNKNOWN_ANNOTATION, at, f"there is no annotation {shown(name)}; it does nothing", remedy)


def _contradiction(name: str, at: Origin) -> Finding:
    text = f"{name} is given under both prefixes with different values; {OWN}{name} holds"
    return warning(Reason.ANNOTATION_CONFLICT, at, text, "leave one of the two")
