"""The suite on a real Envoy: every feature that its capabilities name by traffic, every other one by the inverse."""

import pytest

from weirkeeper.providers.envoy import PROVIDER
from weirkeeper.testing.conformance import Conformance, Rig


@pytest.mark.engine
class TestEnvoy(Conformance):
    rig = Rig(PROVIDER)
