"""Other versions of the product, to be run beside this one.

In: a folder. Out: places for PYTHONPATH. The version before is that of the commit that WEIR_PREVIOUS names, else of ten commits ago; where no history is at hand, it is
this one again.
"""

import io
import os
import shutil
import subprocess
import tarfile
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).parents[2]


def previous(folder: Path) -> Path:
    """The sources of the version before."""
    named = os.environ.get("WEIR_PREVIOUS", "HEAD~10")
    archived = subprocess.run(["git", "-C", ROOT, "archive", named, "src"], capture_output=True, check=False)
    if archived.returncode == 0:
        with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as files:
            files.extractall(folder, filter="data")
    else:
        assert "WEIR_PREVIOUS" not in os.environ, archived.stderr.decode()
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "src"


def called(folder: Path, version: str) -> Path:
    """These sources, under another version."""
    shutil.copytree(ROOT / "src" / "weirkeeper", folder / "weirkeeper", ignore=shutil.ignore_patterns("__pycache__"))
    said = folder / f"weirkeeper-{version}.dist-info"
    said.mkdir()
    (said / "METADATA").write_text(f"Metadata-Version: 2.1\nName: weirkeeper\nVersion: {version}\n")
    (said / "entry_points.txt").write_text(distribution("weirkeeper").read_text("entry_points.txt") or "")
    return folder
