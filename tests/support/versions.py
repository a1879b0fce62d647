"""Other versions of the product, to be run beside this one.

In: a folder. Out: places for PYTHONPATH. The version before is that of the commit that WEIR_PREVIOUS names, else of ten commits ago; where no history is at hand, it is
this one again. Each brings its own list of plugins: that of the installed one may name what another does not have.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]


def previous(folder: Path) -> Path:
    """The sources of the version before."""
    named = os.environ.get("WEIR_PREVIOUS", "HEAD~10")
    archived = subprocess.run(
        ["git", "-C", ROOT, "archive", named, "src", "pyproject.toml"], capture_output=True, check=False
    )
    if archived.returncode == 0:
        with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as files:
            files.extractall(folder, filter="data")
        declare(folder)
    else:
        assert "WEIR_PREVIOUS" not in os.environ, archived.stderr.decode()
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "src"


def declare(folder: Path) -> None:
    """Write down what the project in this folder declares, where Python looks for what is installed."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    groups = {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in many.items())
        for group, many in groups.items()
    ]
    _installed(folder / "src", project["version"], "\n".join(lines))


def _installed(folder: Path, version: str, entry_points: str) -> None:
    said = folder / f"weirkeeper-{version}.dist-info"
    said.mkdir(exist_ok=True)
    (said / "METADATA").write_text(f"Metadata-Version: 2.1\nName: weirkeeper\nVersion: {version}\n")
    (said / "entry_points.txt").write_text(entry_points)


def called(folder: Path, version: str) -> Path:
    """These sources, under another version."""
    shutil.copytree(ROOT / "src" / "weirkeeper", folder / "weirkeeper", ignore=shutil.ignore_patterns("__pycache__"))
    _installed(folder, version, distribution("weirkeeper").read_text("entry_points.txt") or "")
    return folder


if __name__ == "__main__":
    declare(Path(sys.argv[1]))
