"""`--write-golden` writes the cases anew (never where CI is set); `--golden-seed` repeats a run."""

import os
import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-golden", action="store_true", help="write the golden cases anew")
    parser.addoption("--golden-seed", type=int, help="the order in which objects are fed")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("write_golden", default=False) and os.environ.get("CI"):
        raise pytest.UsageError("golden cases are not written where CI is set: write them by hand, read them, commit them")


@pytest.fixture(scope="session")
def golden_seed(request: pytest.FixtureRequest) -> int:
    wished = request.config.getoption("golden_seed", default=None)
    return random.SystemRandom().randrange(1_000_000) if wished is None else wished
