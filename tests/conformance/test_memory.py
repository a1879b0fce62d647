"""The memory provider: it supports everything, so nothing may be said to be lacking; a bare one lacks everything, so all of it must be said."""

from weirkeeper.model.features import Capabilities
from weirkeeper.providers.memory import MemoryProvider
from weirkeeper.testing.conformance import Conformance, Rig


class BareProvider(MemoryProvider):
    """Can do nothing beyond the core."""

    capabilities = Capabilities(engine="bare", version="1", supported=frozenset())


class TestMemory(Conformance):
    rig = Rig(MemoryProvider(), traffic=False)


class TestBare(Conformance):
    rig = Rig(BareProvider(), traffic=False)


def test_a_rig_is_all_it_takes():
    assert {name for name in vars(TestMemory) if not name.startswith("__")} <= {"rig"}
