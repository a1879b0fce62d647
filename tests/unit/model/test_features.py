"""Every field of the model is a feature that a provider may lack, or is listed here as core: a new field cannot escape the matrix."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from core_fields import CORE
from model_types import fields, structs

from weirkeeper.compose.needs import SKIPPED, marks, needs
from weirkeeper.model.features import FEATURES
from weirkeeper.model.filters import Retry
from weirkeeper.providers.envoy import PROVIDER as ENVOY
from weirkeeper.providers.memory import PROVIDER as MEMORY

NOT_PROGRAMMED = {
    "About", "AddressClaim", "AddressGrant", "Capabilities", "CertificateWish", "DnsRecord", "EndpointSetWish", "PodsOf", "PodsWith", "Feature", "Finding",
    "FleetService", "InstanceLeaving", "InstanceObservation", "InstancesMissing", "ItemObservation", "LoadBalancerObservation", "Need", "Origin", "PublicAddress", "Published", "Ref", "Refused", "StatusWish", "TextType", "Infrastructure", "Fleet", "FleetWish", "Toleration",
}  # fmt: skip
"""Structs that no engine is given."""

VARIANTS = {struct.__name__ for struct in structs() if getattr(struct, "NEED", None)}


def test_every_field_is_marked_or_core() -> None:
    unmarked = {
        f"{struct}.{name}"
        for struct, name, hint in fields()
        if struct not in NOT_PROGRAMMED | VARIANTS and name not in SKIPPED and not marks(hint)
    }
    assert unmarked - CORE == set(), (
        "mark it with a Need, or list it in core_fields.py: every engine must be able to do it"
    )


def test_no_core_field_is_listed_that_is_gone() -> None:
    assert CORE - {f"{struct}.{name}" for struct, name, _ in fields()} == set()


def test_every_mark_names_a_feature() -> None:
    named = {mark for _, _, hint in fields() for mark in marks(hint)} | {
        struct.NEED for struct in structs() if getattr(struct, "NEED", None)
    }
    assert named - FEATURES.keys() == set()


@pytest.mark.parametrize("feature", FEATURES.values(), ids=lambda feature: feature.name)
def test_every_feature_has_a_sentence(feature) -> None:
    assert feature.about.endswith(".")
    assert feature.about[0].isupper()


@pytest.mark.parametrize("provider", [ENVOY, MEMORY], ids=lambda provider: provider.name)
def test_providers_declare_known_features(provider) -> None:
    can = provider.capabilities
    assert can.supported - FEATURES.keys() == set()
    assert can.degrades.keys() - FEATURES.keys() == set()
    assert can.supported & can.degrades.keys() == set(), "a feature is supported or approximated, not both"


@pytest.mark.parametrize(
    ("statuses", "found"), [((), []), ((500, 503), []), ((503, 429), [("RetryStatuses", "statuses")])]
)
def test_what_is_beyond_a_mark(statuses, found) -> None:
    assert list(needs(Retry(attempts=1, statuses=statuses))) == found
