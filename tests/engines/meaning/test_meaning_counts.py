"""The numbers of docs/engines.md are those of the code."""

from pathlib import Path

from meaning_engines import RIGS
from meaning_spellings import spellings
from test_meaning_pairs import CONTROLLERS, rows
from test_meaning_table import PLACES

PAGE = Path(__file__).parents[3] / "docs" / "engines.md"


def lines() -> list[str]:
    """What the page must say."""
    total = sum(len(one.rows) for one in PLACES)
    claimed = {name: sum(len([r for r in one.rows if name not in r.but]) for one in PLACES if not one.lacking(rig.provider.capabilities)) for name, rig in RIGS.items()}
    return [
        *(f"| {controller} | " + " | ".join(str(len(rows(controller))) for _ in RIGS) + " |" for controller in CONTROLLERS),
        f"{total} requests to {len(PLACES)} places: who answers,",
        "| requests | " + " | ".join(str(claimed[name]) for name in RIGS) + " |",
        f"{len(list(spellings())):,} ways to write a path,",
    ]


def test_the_page_says_the_numbers():
    page = PAGE.read_text()
    assert "| | " + " | ".join(RIGS) + " |" in page
    assert [line for line in lines() if line not in page] == []
