"""The inverse test: what a provider cannot do is said with the right reason, and never served without it.

In: a scenario and the features that are lacking. Security, or a filter of one rule: the request is refused with 500, from the first answer on. A match that
cannot be told apart: what the rule wished never happens. Cosmetic: said, and served. A listener's: said, and the listener is not there.
"""

from collections.abc import Iterable

from weirkeeper.model.features import FEATURES, Capabilities, FeatureKind
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.testing.client import Response
from weirkeeper.testing.conformance.scenario import Scenario
from weirkeeper.testing.conformance.site import Site

REFUSED = 500
NOT_YET = 404
READY = "/.ready"

EFFECTS = {
    FeatureKind.SECURITY: Effect.FAILS_CLOSED,
    FeatureKind.EXTENDED: Effect.RULE_DROPPED,
    FeatureKind.LISTENER: Effect.LISTENER_REJECTED,
    FeatureKind.COSMETIC: Effect.IGNORED,
}


def lacking(scenario: Scenario, capabilities: Capabilities) -> tuple[str, ...]:
    """The features of the scenario that the provider has not, not even by an approximation."""
    return tuple(feature for feature in scenario.features if capabilities.lacks(feature))


def unsupported_findings(site: Site, scenario: Scenario) -> set[str]:
    """The features of the scenario that are said to be unsupported."""
    return {f.feature for f in _said(site) if f.reason is Reason.UNSUPPORTED and f.feature in scenario.features}


def check_degraded(site: Site, scenario: Scenario) -> None:
    """What the provider does by an approximation is said, with the sentence that it declares."""
    degrades = site.stage.rig.provider.capabilities.degrades
    said = {f.feature: f for f in _said(site) if f.reason is Reason.DEGRADED and f.effect is Effect.DEGRADED}
    for feature in (one for one in scenario.features if one in degrades):
        assert feature in said, f"nobody is told that {feature} is approximated"
        assert degrades[feature] in said[feature].for_user


def check_inverse(site: Site, scenario: Scenario, missing: tuple[str, ...]) -> None:
    """The lack is said, and nothing passes that needs it."""
    said = {f.feature: f for f in _said(site) if f.reason is Reason.UNSUPPORTED}
    for feature in missing:
        assert feature in said, f"nobody is told that {feature} is lacking; what is said: {_said(site)}"
        finding = said[feature]
        assert finding.effect is EFFECTS[FEATURES[feature].kind], finding
        assert finding.for_user
        assert finding.remedy
        assert finding.for_operator
    if site.stage.rig.traffic:
        _check_traffic(site, scenario, {FEATURES[feature].kind for feature in missing})


def _check_traffic(site: Site, scenario: Scenario, kinds: set[FeatureKind]) -> None:
    if kinds == {FeatureKind.COSMETIC}:
        scenario.then(site)
    elif not scenario.listens and FeatureKind.LISTENER not in kinds:
        ask = scenario.probe
        if scenario.matching:
            site.answers("b", READY, host=scenario.ready + site.host)
            got = site.get(ask.path, method=ask.method, headers=ask.headers)
            assert got.header("x-echo-name") != "a", f"{scenario.name}: the rule is served without its match"
            return
        got = site.until(_settled, ask.path, method=ask.method, headers=ask.headers)
        assert got.status == REFUSED, f"{scenario.name}: answered {got.status} without what it needs"


def _settled(got: Response) -> bool:
    """Whether it is an answer of the new configuration: before it there is nothing at that host."""
    return got.status != NOT_YET


def _said(site: Site) -> Iterable[Finding]:
    """The findings of the site's objects and of the load balancer's own."""
    everything = site.stage.findings()
    return [f for ref, found in everything.items() for f in found if ref.namespace in {site.namespace, ""}]
