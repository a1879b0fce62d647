"""`weir explain` reads a path as the engines do: both are held to the same reference."""

from meaning_reading import Path, read
from meaning_spellings import spellings

from weirkeeper.compose.explain.request import normalised
from weirkeeper.model.listener import HttpOptions


def test_it_reads_each_spelling_as_the_engines_do():
    targets = [target for target in spellings() if target.startswith("/") and "#" not in target and len(target) < 5000]
    assert len(targets) > 500
    bad = {}
    for target in targets:
        wished, got = read(target.encode("latin-1")), normalised(target.partition("?")[0], HttpOptions())
        right = got == wished.path if isinstance(wished, Path) else not isinstance(got, str) or "?" in target
        if not right:
            bad[target] = (wished, got)
    assert bad == {}
