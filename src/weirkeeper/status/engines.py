"""Engines that are gone, hang or do not start: what the owner of their load balancer is told. Pure.

Comes in: instances, as each replica of the control plane sees them. Goes out: findings on the object that wishes for the load balancer, one for each engine, as agents say it.
"""

from collections.abc import Iterable

from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.observation import InstanceObservation
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Sentence

MOST = 5
"""So many are named."""


def down(seen: Iterable[InstanceObservation], origin: Origin) -> tuple[Finding, ...]:
    """What is said of those that ail. One that is seen twice is named once."""
    ailing = {one.instance: one for one in seen if one.trouble}
    return tuple(_said(ailing[name], origin) for name in sorted(ailing)[:MOST])


def _said(one: InstanceObservation, origin: Origin) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        reason=Reason.ENGINE_DOWN,
        for_user=Sentence(f"{one.provider} of the instance {one.instance} does not serve: {one.trouble}"),
        remedy=Sentence("look at its log (docs/troubleshooting.md)"),
        origin=origin,
        effect=Effect.DEGRADED,
    )
