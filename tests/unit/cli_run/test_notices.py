"""What `/readyz` notes: parts of the program and numbers, never objects."""

import time
from types import SimpleNamespace

from weirkeeper.app.notices import SLOW_SETTLE, notices


def said(**amiss):
    """What is noted where all is well but for this."""
    well = {
        "rejected": lambda: 0, "down": lambda: 0, "lost": lambda: 0, "certificate_end": lambda: time.time() + 900, "certificate_seconds": 1000,
        "leader": lambda: True, "instances": lambda: "",
    }  # fmt: skip
    intake = SimpleNamespace(settling_for=amiss.pop("settling_for", 0.0))
    return {name: why for name, ask in notices(intake, **{**well, **amiss}).items() if (why := ask())}


def test_nothing_is_noted_while_all_is_well():
    assert said() == {}
    assert said(certificate_end=lambda: 0.0) == {}


def test_each_trouble_is_noted_under_the_name_of_its_part():
    assert list(said(settling_for=SLOW_SETTLE + 1)) == ["controller"]
    assert list(said(leader=lambda: False)) == ["leadership"]
    assert said(lost=lambda: 2) == {"watches": "2 kinds cannot be watched"}
    assert said(instances=lambda: "1 lacks") == {"instances": "1 lacks"}
    assert said(rejected=lambda: 3) == {"items": "engines refuse 3 items"}
    assert said(down=lambda: 2) == {"engines": "2 engines do not serve"}


def test_a_certificate_that_should_have_been_renewed_is_noted():
    assert said(certificate_end=lambda: time.time() + 260) == {}
    assert "4 minutes" in said(certificate_end=lambda: time.time() + 240)["certificates"]
    assert "0 minutes" in said(certificate_end=lambda: time.time() - 5)["certificates"]
