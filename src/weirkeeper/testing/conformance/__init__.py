"""One conformance suite for every provider: real traffic through the real engine, and honest refusals.

A provider author needs these lines, in any test file that pytest collects:

    from my_provider import PROVIDER
    from weirkeeper.testing.conformance import Conformance, Rig

    class TestMyProvider(Conformance):
        rig = Rig(PROVIDER)

Every feature that the provider's capabilities name is proven by requests to echo backends; every other one by a finding with its reason, and by an answer
500 where something would be served unguarded or unchanged. docs/plugins.md tells the rest.
"""

from weirkeeper.testing.conformance.rig import Rig
from weirkeeper.testing.conformance.scenario import Ask, Scenario
from weirkeeper.testing.conformance.scenarios import SCENARIOS
from weirkeeper.testing.conformance.site import Site
from weirkeeper.testing.conformance.stage import Stage
from weirkeeper.testing.conformance.suite import Conformance

__all__ = ["SCENARIOS", "Ask", "Conformance", "Rig", "Scenario", "Site", "Stage"]
