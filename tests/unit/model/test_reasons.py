"""Finding codes are a promise: each is documented, none is used twice, and the page says what the code says."""

from pathlib import Path

import pytest

from weirkeeper.cli.docs import generated
from weirkeeper.model.finding import Reason
from weirkeeper.model.reasons import GROUPS, REASONS

DOCS = Path(__file__).parents[3] / "docs"


def test_every_code_is_documented() -> None:
    assert set(REASONS) == set(Reason)


def test_codes_have_a_form() -> None:
    for reason in Reason:
        assert reason.value[:2] == "WK"
        assert reason.value[2] in GROUPS
        assert reason.value[2:].isdigit()
        assert len(reason.value) == 5
    assert len({reason.value for reason in Reason}) == len(list(Reason))


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.name)
def test_meaning_and_remedy_are_sentences(reason: Reason) -> None:
    for sentence in (REASONS[reason].meaning, REASONS[reason].remedy):
        assert sentence[0].isupper()
        assert sentence.endswith(".")


@pytest.mark.parametrize("name", ["features.md", "findings.md", "annotations.md"])
def test_pages_are_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == generated()[name], "run `make docs`"
