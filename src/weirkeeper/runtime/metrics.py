"""A few numbers about the program itself: counters, which only rise.

Comes in: names with labels. Goes out: all of them as values, and as the text that Prometheus reads. Labels come from a fixed, small set (worker names,
providers, severities): never a host, never an object.
"""

from collections.abc import Iterator
from typing import NamedTuple


class Sample(NamedTuple):
    """One number."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Metrics:
    """All numbers of one program."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Raise a counter."""
        key = (name, tuple(sorted(labels.items())))
        self._counters[key] = self._counters.get(key, 0) + by

    def samples(self) -> Iterator[Sample]:
        """Every number, in a fixed order."""
        for key in sorted(self._counters):
            yield Sample(f"{key[0]}_total", key[1], self._counters[key])

    def text(self) -> str:
        """The numbers in Prometheus' text format."""
        return "".join(f"weirkeeper_{s.name}{_labels(s.labels)} {s.value:g}\n" for s in self.samples())


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{key}="{value}"' for key, value in labels) + "}" if labels else ""
