"""The options of an Envoy on this machine, as numbers. Pure but for the size of this machine, which is an argument.

Comes in: the option strings of the installation. Goes out: ``ProcessLimits``. What is written wrong refuses the start and says what to change: an
installation's own settings are no tenant's.
"""

from collections.abc import Mapping

from weirkeeper.errors import StartRefused
from weirkeeper.model.value import Value

LARGEST = 1 << 50


class ProcessLimits(Value, frozen=True, kw_only=True):
    """What one Envoy may use: memory, client connections, and bytes for its log (twice that with the one kept from before)."""

    heap_bytes: int
    connections: int = 50_000
    log_bytes: int = 64 << 20


OPTIONS = {"max-heap-bytes": "heap_bytes", "max-connections": "connections", "max-log-bytes": "log_bytes"}


def process_limits(options: Mapping[str, str], memory: int) -> ProcessLimits:
    """The limits; those that are not set depend on the machine's memory or are constants."""
    found = {"heap_bytes": memory * 4 // 5}
    for name, text in options.items():
        if name not in OPTIONS:
            raise StartRefused(f"the engine option {name!r} is not known; known are: {', '.join(sorted(OPTIONS))}")
        found[OPTIONS[name]] = _positive(name, text)
    return ProcessLimits(**found)


def _positive(name: str, text: str) -> int:
    digits = text.strip()
    number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 17 else 0
    if not 0 < number <= LARGEST:
        raise StartRefused(f"the engine option {name} must be a whole number above 0, not {text!r}")
    return number
