"""What is said of an object in the conditions of its status (Gateway API's way; Kubernetes, meta/v1 Condition).

Comes in: what a controller found. Goes out: ``Report``: all that can be said without knowing what engines did; the rest is added where statuses are made.
"""

from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Id
from weirkeeper.model.value import Value


class Judgement(Value, frozen=True, kw_only=True):
    """Whether something is as it should be, the reason as one word (CamelCase), and a sentence."""

    good: bool
    reason: str
    message: str = ""


class Condition(Value, frozen=True, kw_only=True):
    """One condition; ``status`` is ``True``, ``False`` or ``Unknown``."""

    type: str
    status: str
    reason: str
    message: str = ""


class ListenerReport(Value, frozen=True, kw_only=True):
    """What is said of one listener. ``serves``: it is programmed as soon as its load balancer is. ``kinds`` are pairs of group and kind."""

    name: str
    kinds: tuple[tuple[str, str], ...] = ()
    attached: int = 0
    conditions: tuple[Condition, ...] = ()
    serves: bool = True


class ParentReport(Value, frozen=True, kw_only=True):
    """What is said of a route, or policy, for one parent. ``reference`` are the fields of the reference as its owner wrote them, with their values."""

    reference: tuple[tuple[str, str | int], ...]
    load_balancer: Id | None = None
    conditions: tuple[Condition, ...] = ()


class Report(Value, frozen=True, kw_only=True):
    """All that a controller says of an object.

    ``controller`` marks the entries that are ours; ``generation`` is that of the object which was read. ``load_balancer``: whose state decides whether it is
    programmed. ``of``: which list of the status holds ``parents`` (``parents``, or ``ancestors`` of a policy). ``features`` are of a class.
    """

    controller: str
    generation: int = 0
    load_balancer: Id | None = None
    conditions: tuple[Condition, ...] = ()
    listeners: tuple[ListenerReport, ...] | None = None
    parents: tuple[ParentReport, ...] | None = None
    of: str = "parents"
    features: tuple[str, ...] = ()
    addresses: tuple[tuple[str, str], ...] | None = None
    """The addresses that a Gateway asks for, as pairs of type and value (no value: any of the type); nothing where the kind has none."""
    sets: int | None = None
    """Of a Gateway: how many ListenerSets it has."""


class ConditionsWish(Value, frozen=True, kw_only=True):
    """What an object's status should say, whole. ``addresses`` are pairs of IP address and host name; nothing where the kind has none."""

    ref: Ref
    report: Report
    addresses: tuple[tuple[str, str], ...] | None = None


def condition(type_: str, judged: Judgement) -> Condition:
    """The judgement as a condition."""
    return Condition(
        type=type_, status="True" if judged.good else "False", reason=judged.reason, message=judged.message
    )
