"""The suite as pytest runs it: derive a class from `Conformance`, give it a rig, and every scenario is a test of it.

Supported features are proven by traffic. Those that the provider's capabilities lack are tested the other way round (`inverse`). The tests about
updates, garbage and restarts hold for every provider that answers requests.
"""

from collections.abc import Iterator
from typing import ClassVar

import pytest

from weirkeeper.testing.conformance.backends import Backends, running_backends
from weirkeeper.testing.conformance.inverse import check_degraded, check_inverse, lacking, unsupported_findings
from weirkeeper.testing.conformance.living import check_garbage, check_restart, check_updates
from weirkeeper.testing.conformance.rig import Rig
from weirkeeper.testing.conformance.scenario import Scenario
from weirkeeper.testing.conformance.scenarios import SCENARIOS
from weirkeeper.testing.conformance.site import Site
from weirkeeper.testing.conformance.stage import Stage, running_stage


class Conformance:
    """Derive from it and set `rig`."""

    rig: ClassVar[Rig]

    @pytest.fixture(scope="class")
    @classmethod
    def backends(cls) -> Iterator[Backends]:
        """The echo backends of the class."""
        with running_backends() as found:
            yield found

    @pytest.fixture(scope="class")
    @classmethod
    def stage(cls, request: pytest.FixtureRequest) -> Iterator[Stage]:
        """One engine for all scenarios of the class."""
        with running_stage(request.cls.rig) as stage:
            yield stage

    @pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.slug)
    def test_scenario(self, stage: Stage, backends: Backends, scenario: Scenario) -> None:
        """Real traffic where it is supported, the inverse where it is not."""
        site = Site(stage, backends, scenario.slug)
        missing = lacking(scenario, stage.rig.provider.capabilities)
        try:
            site.apply(*site.service("a", backends.a.port), *site.service("b", backends.b.port), *scenario.given(site))
            if missing:
                check_inverse(site, scenario, missing)
            else:
                assert unsupported_findings(site, scenario) == set()
                check_degraded(site, scenario)
                if stage.rig.traffic:
                    scenario.then(site)
        finally:
            site.clear()

    def test_updates_drop_no_request(self, stage: Stage, backends: Backends) -> None:
        """Where the provider updates live: not one request fails while routes and endpoints change."""
        if stage.rig.traffic:
            check_updates(Site(stage, backends, "updates"))

    def test_garbage_leaves_everything_as_it_was(self, stage: Stage, backends: Backends) -> None:
        """What cannot be served is said, and takes nothing else with it."""
        check_garbage(Site(stage, backends, "garbage"))

    def test_a_restarted_engine_converges(self, backends: Backends) -> None:
        """A new `serve` over the same folder ends where the old one was."""
        if self.rig.traffic:
            with running_stage(self.rig) as stage:
                check_restart(Site(stage, backends, "restart"))
