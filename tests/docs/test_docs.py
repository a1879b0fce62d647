"""Documentation that cannot lie: links lead somewhere, and what a console block shows is what the commands print."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWING = [page for page in PAGES if BLOCK.findall(page.read_text())]
SKIPPED = "…"

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made on the web."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in found}


@pages
def test_links_lead_somewhere(page):
    for link in LINK.findall(page.read_text()):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target), link


@pages
def test_named_code_is_where_the_link_says(page):
    for text, path in re.findall(r"\[`([^`]+)`\]\(([^)\s]+\.py)\)", page.read_text()):
        if text.isascii() and "/" not in text and not text.endswith(".py"):
            source = (page.parent / path).read_text()
            for name in text.split("."):
                assert re.search(rf"^\s*(async def|def|class) {name}\b", source, re.MULTILINE), (text, path)


@pages
def test_pages_know_no_machine(page):
    assert not re.search(r"(?<![\w.])/(work|root|home)/|\bissue [0-9]|#[0-9]+\b", page.read_text())


def test_some_pages_show_commands():
    assert {page.name for page in SHOWING} >= {"README.md", "quickstart.md"}


@pytest.mark.parametrize("page", SHOWING, ids=lambda page: page.name)
def test_console_blocks_show_what_is_printed(page, tmp_path):
    ignored = shutil.ignore_patterns("tls.yaml", "ca.crt")
    shutil.copytree(ROOT / "examples" / "shop", tmp_path / "examples" / "shop", ignore=ignored)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    for block in BLOCK.findall(page.read_text()):
        for command, shown in steps(block):
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
            )
            assert "Traceback" not in done.stderr, done.stderr
            assert as_shown(shown).fullmatch(done.stdout), f"$ {command}\n{done.stdout}{done.stderr}"


def steps(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what is shown below it."""
    found = re.split(r"^\$ ", block, flags=re.MULTILINE)
    return [(one.partition("\n")[0], one.partition("\n")[2]) for one in found if one]


def as_shown(shown: str) -> re.Pattern[str]:
    """What is shown, to the letter; a line of `…` alone stands for any lines, or none."""
    lines = shown.splitlines(keepends=True)
    return re.compile("".join("(?:.*\n)*?" if line.strip() == SKIPPED else re.escape(line) for line in lines))
