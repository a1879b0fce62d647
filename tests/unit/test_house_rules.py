"""Rules of the house that no linter knows: how expressions are matched, where exceptions end, what the repository speaks of."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "weirkeeper").rglob("*.py"))
SUPERVISE = ROOT / "src" / "weirkeeper" / "runtime" / "supervise.py"
BANNED_NAMES = {"manager", "helper", "helpers", "util", "utils", "common", "misc", "info", "handle", "data", "do"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(params=SOURCES, ids=name_of, scope="module")
def source(request: pytest.FixtureRequest) -> tuple[Path, ast.Module]:
    return request.param, ast.parse(request.param.read_text())


def test_expressions_are_matched_whole(source: tuple[Path, ast.Module]) -> None:
    """`match` and `search` let through what stands behind: `fullmatch` only."""
    found = [
        node.lineno
        for node in ast.walk(source[1])
        if isinstance(node, ast.Attribute)
        and node.attr in {"match", "search"}
        and isinstance(node.value, ast.Name)
        and node.value.id in {"re", "re2"}
    ]
    assert found == []


def test_broad_except_lives_in_one_module(source: tuple[Path, ast.Module]) -> None:
    """One that raises again at its end only cleans up: it catches nothing."""
    broad = [
        node.lineno
        for node in ast.walk(source[1])
        if isinstance(node, ast.ExceptHandler) and _broad(node.type) and not _raises_again(node)
    ]
    assert broad == [] or source[0] == SUPERVISE


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _broad(caught: ast.expr | None) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(one is None or (isinstance(one, ast.Name) and one.id in {"Exception", "BaseException"}) for one in names)


def test_every_module_says_why_it_exists(source: tuple[Path, ast.Module]) -> None:
    assert len(ast.get_docstring(source[1]) or "") > 15


def test_names_say_something(source: tuple[Path, ast.Module]) -> None:
    named = [node.name.lower().strip("_") for node in ast.walk(source[1]) if isinstance(node, ast.ClassDef)]
    assert source[0].stem not in BANNED_NAMES
    assert [name for name in named if name in BANNED_NAMES - {"handle"} or name.endswith(("manager", "helper", "utils"))] == []


def test_nothing_is_random_or_timed_in_the_core(source: tuple[Path, ast.Module]) -> None:
    pure = {"model", "flow", "compose", "controllers"}
    if source[0].relative_to(ROOT / "src" / "weirkeeper").parts[0] not in pure:
        return
    imported = {
        (alias.name if isinstance(node, ast.Import) else node.module or "").partition(".")[0]
        for node in ast.walk(source[1])
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported & {"random", "time", "os", "socket", "asyncio", "subprocess"} == set()
