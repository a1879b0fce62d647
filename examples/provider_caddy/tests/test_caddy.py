"""The whole test of the provider: every scenario, by traffic or by the inverse, through a real Caddy."""

from weirkeeper_caddy import PROVIDER

from weirkeeper.testing.conformance import Conformance, Rig


class TestCaddy(Conformance):
    rig = Rig(PROVIDER)
