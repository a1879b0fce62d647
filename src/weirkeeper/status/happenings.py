"""Findings as events: what is said on the object, in words that its owner can act on.

Comes in: findings, and the API versions of kinds. Goes out: `Happening`s. Pure. Findings about places in files are nobody's object; an object whose uid is
not known has no event (`kubectl describe` would not show it).
"""

from collections.abc import Mapping

import msgspec

from weirkeeper.kube.events import Happening
from weirkeeper.kube.statuses import Entries
from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.ids import Ref

ACTIONS = {Effect.NONE: "Checked", Effect.IGNORED: "Ignored", Effect.DEGRADED: "Degraded"}
"""What was done about it; everything else was refused in part or whole."""

OVER = {
    Reason.ENGINE_DOWN: ("EngineServes", "engines that did not serve do again"),
    Reason.INSTANCES_MISSING: ("InstancesServe", "all instances that are wished serve"),
}
"""What is said when a finding of these reasons is over."""

Versions = Mapping[tuple[str, str], str]
"""The API version (`networking.k8s.io/v1`) of a group and kind."""


def happening(finding: Finding, versions: Versions) -> Happening | None:
    """What this finding says, or nothing where no object can show it."""
    ref, uid = finding.origin.ref, finding.origin.uid
    version = versions.get((ref.group, ref.kind))
    if version is None or not uid:
        return None
    place = f" ({finding.origin.path})" if finding.origin.path else ""
    remedy = f". To do: {finding.remedy}" if finding.remedy else ""
    return Happening(
        ref=ref,
        api_version=version,
        uid=uid,
        reason=camel(finding.reason),
        action=ACTIONS.get(finding.effect, "Refused"),
        note=f"{finding.for_user}{remedy} [{finding.reason.value}]{place}",
        warning=finding.severity is not Severity.INFO,
        path=finding.origin.path,
    )


def recovered(finding: Finding, versions: Versions) -> Happening | None:
    """That what was said is over, where its owner waits to hear so."""
    words, one = OVER.get(finding.reason), happening(finding, versions)
    if words is None or one is None:
        return None
    reason, note = words
    return msgspec.structs.replace(one, reason=reason, action="Recovered", note=note, warning=False)


def live(ref: Ref, uid: str, listed: Entries, versions: Versions) -> Happening | None:
    """An object's status has addresses for the first time: a load balancer serves it."""
    version = versions.get((ref.group, ref.kind))
    if version is None or not uid:
        return None
    places = ", ".join(entry.ip or entry.hostname for entry in listed)
    return Happening(
        ref=ref, api_version=version, uid=uid, reason="Programmed", action="Published", note=f"served at {places}", warning=False
    )  # fmt: skip


def camel(reason: Reason) -> str:
    """``SERVICE_NOT_FOUND`` as ``ServiceNotFound``."""
    return "".join(word.capitalize() for word in reason.name.split("_"))
