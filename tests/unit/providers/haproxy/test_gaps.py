"""The page says how much HAProxy can do, in numbers that are counted here."""

from pathlib import Path

from weirkeeper.model.features import FEATURES
from weirkeeper.providers.haproxy import PROVIDER

PAGE = Path(__file__).parents[4] / "docs" / "haproxy.md"


def test_the_number_of_gaps_is_stated() -> None:
    can = PROVIDER.capabilities
    lacking = [name for name in FEATURES if can.lacks(name)]
    stated = f"of {len(FEATURES)} features it has {len(can.supported)}, comes close to {len(can.degrades)}, and lacks {len(lacking)}"
    assert stated in PAGE.read_text("utf-8")
