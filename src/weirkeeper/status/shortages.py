"""Load balancers with fewer instances than wished: how many lack, and what their owners are told when it lasts. Pure.

Comes in: a wished fleet and who serves. Goes out: a `Shortage`, or nothing; a finding on the object that wishes for the load balancer. How long it has lasted is known
outside (`InstancesMissing`): an instance that starts, or gives way to a newer one, is no news.
"""

from collections.abc import Iterable

from weirkeeper.model.finding import Effect, Finding, Reason, Severity
from weirkeeper.model.fleet import FleetWish
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Sentence
from weirkeeper.model.value import Value


class Shortage(Value, frozen=True, kw_only=True):
    """How many instances are wished, how many serve, and where they are wished."""

    wished: int
    serving: int
    origin: Origin

    @property
    def lacking(self) -> int:
        """How many there should be more."""
        return self.wished - self.serving


def shortage(wish: FleetWish, serving: Iterable[str]) -> Shortage | None:
    """What a fleet lacks. One that runs on every host that is chosen has to serve on one of them at least: how many there are is not known here."""
    count = len(set(serving))
    wished = wish.fleet.replicas if wish.fleet.mode == "deployment" else 1
    return Shortage(wished=wished, serving=count, origin=wish.origin) if count < wished else None


def missing(found: Shortage) -> Finding:
    """What is said of a shortage that lasts."""
    none = found.serving == 0
    text = f"{found.serving} of {found.wished} instances serve" if found.wished > 1 else "no instance serves"
    return Finding(
        severity=Severity.ERROR if none else Severity.WARNING,
        reason=Reason.INSTANCES_MISSING,
        for_user=Sentence(f"{text}; the others do not run, or have no full configuration" if not none else text),
        remedy=Sentence("look at the events of its pods (docs/fleet.md)"),
        origin=found.origin,
        effect=Effect.DEGRADED,
    )
