"""Every feature has a scenario, or a reason why it can have none yet; so a new feature cannot escape the suite."""

from weirkeeper.model.features import FEATURES
from weirkeeper.testing.conformance import SCENARIOS

WITHOUT = {
    "BackendProtocolFCGI": "no field of the model asks for it yet",
    "BandwidthLimit": "no field of the model asks for it yet",
    "BodyCompression": "no field of the model asks for it yet",
    "CircuitPriority": "no field of the model asks for it yet",
    "DigestAuth": "no field of the model asks for it yet",
    "HTTPRouteBackendProtocolWebSocket": "upgrades are on by default, so every provider is asked for them as a core scenario",
    "RegexRedirect": "asked for as HTTPRoutePathRedirect with RegexPathRewrite",
    "Tracing": "a default of the whole load balancer, no wish of a route",
}


def test_every_feature_has_a_scenario_or_a_reason():
    proven = {feature for scenario in SCENARIOS for feature in scenario.features}
    assert proven <= set(FEATURES), "a scenario names a feature that is none"
    assert set(FEATURES) - proven == set(WITHOUT)


def test_scenarios_have_names_of_their_own():
    assert len({scenario.slug for scenario in SCENARIOS}) == len(SCENARIOS)
