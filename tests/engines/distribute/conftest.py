"""What these tests share lies in ``tests/support`` and in the folder of the translation's tests."""

import gc
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "support"), str(HERE.parent / "envoy_translation")]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What a connection that was cut leaves to the collector is collected here: in another test, which hears of no warning that is not its own, it would be a failure."""
    yield
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed transport", ResourceWarning)
        gc.collect()


@pytest.fixture
def state() -> Iterator[Path]:
    """A folder for an engine's files."""
    from real_envoy import state_folder  # noqa: PLC0415 (the path is set above)

    with state_folder() as folder:
        yield folder
