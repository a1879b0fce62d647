"""Policies about Services, whatever they wish: which of several holds, and what their owners are told (GEP-713).

Of two policies of a kind for one Service the older holds, then the one whose namespace and name come first; one for a port goes before one for the whole Service.
"""

from collections.abc import Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.kube.conditions import Condition, Judgement, ParentReport, Report, condition
from weirkeeper.kube.gateway_policies import PolicyTarget
from weirkeeper.kube.gateway_types import GROUP
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import shown
from weirkeeper.model.value import Value

MOST_ANCESTORS = 16
ACCEPTED = Judgement(good=True, reason="Accepted")


class Target(NamedTuple):
    """A port of a Service by its name; without one the whole Service."""

    service: Ref
    section: str


class Policy(Value, frozen=True, kw_only=True):
    """What all have in common; ``rank`` says who is older."""

    targets: tuple[Target, ...]
    rank: tuple[str, str]
    accepted: Judgement
    generation: int


P = TypeVar("P", bound=Policy)


class Policies(NamedTuple, Generic[P]):
    """All policies of a kind, and those of each target."""

    table: Table[Ref, P]
    by_target: Index[Target, Ref, P]


def declare_targets(graph: Graph, name: str, table: Table[Ref, P]) -> Policies[P]:
    """The policies by what they are about."""
    return Policies(table, graph.index(f"gateway.{name}_by_target", table, lambda _, one: one.targets))


def service_targets(owner: Ref, targets: Sequence[PolicyTarget]) -> Iterator[Target]:
    """The Services that a policy is about; it may name others, which are none of ours."""
    for one in targets:
        if (one.group, one.kind) == ("", "Service"):
            service = Ref(cluster=owner.cluster, kind="Service", namespace=owner.namespace, name=one.name)
            yield Target(service, one.section_name or "")


def policy_of(read: Read, policies: Policies[P], service: Ref, section: str) -> P | None:
    """The policy that holds for a port of a Service."""
    for target in dict.fromkeys((Target(service, section), Target(service, ""))):
        if (found := _holder(read, policies, target)) is not None:
            return found[1]
    return None


def policy_report(
    read: Read,
    policies: Policies[P],
    row: tuple[Ref, P],
    gateways: set[Ref],
    controller: str,
    *,
    more: tuple[Condition, ...] = (),
) -> Report | None:
    """What is said of a policy, for every Gateway that sends requests to what it is about."""
    if not gateways:
        return None
    conditions = (condition("Accepted", _judged(read, policies, *row)), *more)
    ancestors = sorted(gateways)[:MOST_ANCESTORS]
    return Report(
        controller=controller,
        generation=row[1].generation,
        parents=tuple(ParentReport(reference=ancestor(gateway), conditions=conditions) for gateway in ancestors),
        of="ancestors",
    )


def ancestor(gateway: Ref) -> tuple[tuple[str, str | int], ...]:
    """A Gateway as the entry of a status is about it."""
    return (("group", GROUP), ("kind", "Gateway"), ("namespace", gateway.namespace), ("name", gateway.name))


def _judged(read: Read, policies: Policies[P], ref: Ref, one: P) -> Judgement:
    holders = (_holder(read, policies, target) for target in one.targets)
    other = next((found[0] for found in holders if found is not None and found[0] != ref), None)
    if other is None:
        return one.accepted
    return Judgement(
        good=False, reason="Conflicted", message=f"the policy {shown(other.name)} is older, or comes first"
    )


def _holder(read: Read, policies: Policies[P], target: Target) -> tuple[Ref, P] | None:
    return min(read.lookup(policies.by_target, target), key=lambda row: row[1].rank, default=None)
