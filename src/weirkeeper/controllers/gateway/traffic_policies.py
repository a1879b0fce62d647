"""XBackendTrafficPolicies (GEP-3388, GEP-1619): the share of retries among the requests to a Service, and sessions of its clients.

Comes in: a policy. Goes out: ``Traffic``: a budget for retries, and what is wished of sessions; a rule's own wish for sessions goes before it.
"""

from weirkeeper.controllers.base import Inputs
from weirkeeper.controllers.gateway.durations import milliseconds
from weirkeeper.controllers.gateway.matches import WrongMatch
from weirkeeper.controllers.gateway.policies import ACCEPTED, Policies, Policy, declare_targets, service_targets
from weirkeeper.controllers.gateway.sessions import session
from weirkeeper.flow import Graph
from weirkeeper.kube.conditions import Judgement
from weirkeeper.kube.gateway_experimental import BudgetDetails, RequestRate, SessionPersistence
from weirkeeper.kube.gateway_policies import RetryConstraint, XBackendTrafficPolicy
from weirkeeper.model.backend import RetryBudget
from weirkeeper.model.filters import Affinity
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import PathText

SECOND = 1000


class Traffic(Policy, frozen=True, kw_only=True):
    """A policy with what it comes to; one that is not accepted changes nothing."""

    owner: Ref
    budget: RetryBudget | None = None
    session: SessionPersistence | None = None


def declare_traffic(graph: Graph, inputs: Inputs) -> Policies[Traffic]:
    """The tables of policies."""
    table = graph.derive("gateway.traffic", inputs.of(XBackendTrafficPolicy), lambda _, __, found: _traffic(found))
    return declare_targets(graph, "traffic", table)


def session_of(found: Traffic, backends: int) -> Affinity | None:
    """What keeps clients of its Services where they are: on all paths, for many routes may lead there (GEP-1619)."""
    return session(found.session, found.owner, "policy", backends, path=PathText("/"))


def _traffic(found: XBackendTrafficPolicy) -> Traffic:
    wished = found.spec
    accepted, budget = ACCEPTED, None
    try:
        budget = _budget(wished.retry_constraint) if wished.retry_constraint is not None else None
        session(wished.session_persistence, found.ref, "policy", 1)
    except WrongMatch as wrong:
        accepted = Judgement(good=False, reason="Invalid", message=str(wrong))
    return Traffic(
        targets=tuple(service_targets(found.ref, wished.target_refs or ())),
        rank=(found.metadata.creation_timestamp or "9999", found.ref.key),
        accepted=accepted,
        generation=found.metadata.generation,
        owner=found.ref,
        budget=budget if accepted.good else None,
        session=wished.session_persistence if accepted.good else None,
    )


def _budget(wished: RetryConstraint) -> RetryBudget:
    """The share is one of the requests under way, and the least rate is counted in retries under way: no engine counts over an interval."""
    details, rate = wished.budget or BudgetDetails(), wished.min_retry_rate or RequestRate()
    percent = 20 if details.percent is None else details.percent
    count = 10 if rate.count is None else rate.count
    interval = SECOND if rate.interval is None else milliseconds(rate.interval)
    if not 0 <= percent <= 100 or count < 0 or not interval:
        raise WrongMatch("a budget is a share from 0 to 100 percent, and a rate is so many in a time")
    return RetryBudget(percent=percent, at_least=-(-count * SECOND // interval))
