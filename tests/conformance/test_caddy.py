"""The example provider, as its users have it: installed into an environment of its own, found by entry point, proven on a real Caddy."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from weirkeeper.testing.engines import caddy_binary

EXAMPLE = Path(__file__).parents[2] / "examples" / "provider_caddy"
MODULE = EXAMPLE / "weirkeeper_caddy.py"
PROVEN = (
    "an-exact-host-is-served--another-one-is-not",
    "a-prefix-is-a-prefix-of-segments",
    "endpoints-come-and-go",
    "a-removed-object-is-served-no-more",
)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the example installed (`pip install`, no index asked) that sees this one's packages."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, system_site_packages=False)
    packages = next((folder / "lib").glob("python*/site-packages"))
    (packages / "this-environment.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    )
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*command, *offline, str(EXAMPLE)], check=True)
    return folder / "bin" / "python"


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WEIRKEEPER_CADDY": str(caddy_binary())}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        [str(python), *arguments], check=False, cwd=python.parent, env=environment, capture_output=True, text=True, timeout=120
    )


def test_it_is_under_100_lines():
    text = MODULE.read_text()
    assert len(text.splitlines()) < 100
    assert max(len(line) for line in text.splitlines()) <= 150, "lines are not made long to be few"
    assert not any(isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"exec", "eval"} for node in ast.walk(ast.parse(text)))


def test_it_is_found_by_entry_point(python):
    code = (
        "import json; from weirkeeper.app import known_plugins, plugin, PROVIDERS; "
        "print(json.dumps([known_plugins(PROVIDERS), plugin(PROVIDERS, 'caddy').name]))"
    )
    told = run(python, "-c", code)
    assert told.returncode == 0, told.stderr
    names, name = json.loads(told.stdout)
    assert "caddy" in names
    assert name == "caddy"


@pytest.mark.slow
def test_it_passes_the_suite(python, tmp_path):
    """Exact host, prefix path, endpoint update and removal by traffic through a real Caddy; the inverse for the rest."""
    report = tmp_path / "report.xml"
    tests = EXAMPLE / "tests" / "test_caddy.py"
    told = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-c", os.devnull,
        f"--junit-xml={report}", f"--basetemp={tmp_path / 'base'}", str(tests),
    )  # fmt: skip
    assert told.returncode == 0, told.stdout[-4000:] + told.stderr[-2000:]
    text = report.read_text()
    assert 'failures="0"' in text
    assert 'skipped="0"' in text
    for slug in PROVEN:
        assert f"test_scenario[{slug}]" in text
