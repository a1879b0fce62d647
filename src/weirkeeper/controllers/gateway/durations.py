"""Durations as Gateway API writes them (GEP-2257): ``1h30m``, ``500ms``. Text in, milliseconds out, or nothing where it is none."""

import re

from weirkeeper.model.value import Milliseconds

_WHOLE = re.compile(r"(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}", re.ASCII)
_PART = re.compile(r"([0-9]{1,5})(ms|h|m|s)", re.ASCII)
_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def milliseconds(text: str | None) -> Milliseconds | None:
    """The duration; nothing where there is none, or it is none."""
    if not text or _WHOLE.fullmatch(text) is None:
        return None
    return Milliseconds(sum(int(amount) * _UNITS[unit] for amount, unit in _PART.findall(text)))
