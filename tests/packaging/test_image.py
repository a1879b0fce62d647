"""The image of the control plane: everything that its build needs is copied, and, where buildah is there, it is built and run.

The base is a small Debian made here: a machine without a registry of images builds it too.
"""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "Containerfile"
BASE = "localhost/base:test"
IMAGE = "localhost/weirkeeper:test"
SHARED = ("/etc/ssl/certs", "/etc/pip.conf")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("image")]


def test_what_the_wheel_is_made_of_is_copied():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["project"]["readme"], *wheel["packages"], *wheel["force-include"]}
    copied = {name for words in re.findall(r"^COPY (?!--from)(.+) \S+$", FILE.read_text(), re.MULTILINE) for name in words.split()}
    assert [one for one in needed if not any(one == name or one.startswith(f"{name}/") for name in copied)] == []
    assert [name for name in copied if not (ROOT / name).exists()] == []


if shutil.which("buildah") and shutil.which("debootstrap"):

    def test_the_image_is_built_and_runs_as_nobody(tmp_path):
        said = Build(tmp_path)
        try:
            said("commit", "--quiet", debian(said, tmp_path), BASE)
            shared = [f"--volume={path}:{path}:ro" for path in SHARED if os.path.exists(path)]
            said("bud", "--build-arg", f"BASE={BASE}", *shared, "-f", str(FILE), "-t", IMAGE, str(ROOT))
            container = said("from", IMAGE)
            assert said("run", container, "--", "weir", "--version").startswith("weir ")
            assert said("run", container, "--", "id", "-u") == "65532"
            assert 'ENTRYPOINT ["weir"]' in FILE.read_text()
        finally:
            said("rm", "--all")


class Build:
    """buildah, with a store of its own."""

    def __init__(self, home):
        self.command = ["buildah", "--root", f"{home}/store", "--runroot", f"{home}/run", "--storage-driver", "vfs"]

    def __call__(self, *arguments):
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
        done = subprocess.run([*self.command, *arguments], capture_output=True, text=True, timeout=900, check=False, env=environment)
        assert done.returncode == 0, f"{arguments}: {done.stderr[-3000:]}"
        return done.stdout.strip()


def debian(said, home):
    """A container with a small Debian that has Python."""
    root = home / "root"
    sources = "\n".join(path.read_text() for path in [*Path("/etc/apt").rglob("*.sources"), *Path("/etc/apt").rglob("*.list")])
    mirror = re.findall(r"https?://\S+/debian/?(?=\s|$)", sources)
    command = ["debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm", str(root), *mirror[:1]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    container = said("from", "scratch")
    at = said("mount", container)
    subprocess.run(["cp", "-a", f"{root}/.", at], check=True)
    said("umount", container)
    return container
