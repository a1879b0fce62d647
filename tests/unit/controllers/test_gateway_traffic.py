"""XBackendTrafficPolicies: budgets for retries and sessions of the clients of a Service."""

import pytest
from test_gateway import World, gateway, route

from weirkeeper.model.backend import RetryBudget
from weirkeeper.model.filters import CookieAffinity, HeaderSession

SPLIT = "backendRefs: [{name: shop, port: 80}, {name: shop, port: 90}]"


def policy(wished, *, name="p", namespace="d", target="shop", created="2026-01-01T00:00:00Z"):
    return (
        f"kind: XBackendTrafficPolicy\nmetadata: {{name: {name}, namespace: {namespace}, generation: 2, creationTimestamp: '{created}'}}\n"
        f"spec: {{targetRefs: [{{group: '', kind: Service, name: {target}}}], {wished}}}"
    )


def budget(*documents, rules="backendRefs: [{name: shop, port: 80}]"):
    return budget_of(World(gateway(), route(rules), *documents))


def budget_of(world):
    (found,) = {one.retry_budget for intent in world.intents().values() for one in intent.backends}
    return found


def affinities(world):
    return {
        one.route.affinity for intent in world.intents().values() for one in intent.routes if one.route.priority == 0
    }


@pytest.mark.parametrize(
    ("wished", "found"),
    [
        ("{}", RetryBudget(percent=20, at_least=10)),
        (
            "{budget: {percent: 5, interval: 1m}, minRetryRate: {count: 90, interval: 1m}}",
            RetryBudget(percent=5, at_least=2),
        ),
        ("{minRetryRate: {count: 0}}", RetryBudget(percent=20, at_least=0)),
        ("{budget: {percent: 0}}", RetryBudget(percent=0, at_least=10)),
    ],
)
def test_a_budget(wished: str, found: RetryBudget) -> None:
    world = World(gateway(), route(), policy(f"retryConstraint: {wished}"))
    assert budget_of(world) == found
    assert world.said("XBackendTrafficPolicy", "p") == {"Accepted": ("True", "Accepted")}
    assert world.report("XBackendTrafficPolicy", "p").of == "ancestors"


@pytest.mark.parametrize(
    "wished", ["{budget: {percent: 101}}", "{minRetryRate: {count: -1}}", "{minRetryRate: {interval: soon}}"]
)
def test_a_budget_that_is_none_changes_nothing(wished: str) -> None:
    world = World(gateway(), route(), policy(f"retryConstraint: {wished}, sessionPersistence: {{}}"))
    assert budget_of(world) is None
    assert affinities(world) == {None}
    assert world.said("XBackendTrafficPolicy", "p") == {"Accepted": ("False", "Invalid")}


def test_it_is_of_its_own_namespace_and_service_alone() -> None:
    wished = "retryConstraint: {}"
    assert budget(policy(wished, namespace="e")) is None
    assert budget(policy(wished, target="other")) is None
    assert World(gateway(), route(), policy(wished, target="other")).report("XBackendTrafficPolicy", "p") is None


def test_of_two_the_older_holds_and_it_goes_with_its_object() -> None:
    older, younger = (
        policy("retryConstraint: {budget: {percent: 1}}"),
        policy("retryConstraint: {budget: {percent: 2}}", name="a", created="2026-01-02T00:00:00Z"),
    )
    world = World(gateway(), route(), younger, older)
    assert budget_of(world).percent == 1
    assert world.said("XBackendTrafficPolicy", "a") == {"Accepted": ("False", "Conflicted")}
    world.drop(older)
    assert budget_of(world).percent == 2
    assert world.said("XBackendTrafficPolicy", "a") == {"Accepted": ("True", "Accepted")}


def test_a_session_holds_for_all_routes_to_the_service() -> None:
    world = World(
        gateway(),
        route(),
        route("matches: [{path: {value: /a}}], backendRefs: [{name: shop, port: 90}]", name="s"),
        policy("sessionPersistence: {}"),
    )
    (found,) = affinities(world)
    assert isinstance(found, CookieAffinity)
    assert found.path == "/"


def test_a_rule_has_the_last_word() -> None:
    world = World(
        gateway(),
        route("sessionPersistence: {type: Header, sessionName: x-own}, backendRefs: [{name: shop, port: 80}]"),
        policy("sessionPersistence: {sessionName: theirs}"),
    )
    assert affinities(world) == {HeaderSession(name="x-own")}


def test_a_split_is_held_as_by_a_rule() -> None:
    world = World(gateway(), route(SPLIT), policy("sessionPersistence: {sessionName: s}"))
    assert len([one for intent in world.intents().values() for one in intent.routes if one.route.match.cookies]) == 2
    world = World(gateway(), route(SPLIT), policy("sessionPersistence: {type: Header}"))
    assert world.said("HTTPRoute")["Accepted"] == ("False", "UnsupportedValue")
