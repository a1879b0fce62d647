"""All scenarios, by theme. Each is a decorated function: the decorator holds the objects and the features they need, the function sends the traffic."""

from weirkeeper.testing.conformance.scenario import Scenario, all_scenarios
from weirkeeper.testing.conformance.scenarios import (
    backends,
    changing,
    core,
    gateway,
    guards,
    listening,
    matching,
    streams,
)

SCENARIOS: tuple[Scenario, ...] = tuple(
    scenario
    for module in (core, matching, changing, backends, guards, listening, streams, gateway)
    for scenario in all_scenarios(vars(module).values())
)
