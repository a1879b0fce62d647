"""Gateway API as upstream publishes it: the Go module of the release, never altered."""

import json
import os
import shutil
import subprocess
from pathlib import Path

RELEASE = "sigs.k8s.io/gateway-api@v1.6.3"


def release() -> Path:
    """The folder of the module, read by way of Go."""
    lab = Path(os.environ.get("KUBELAB_BIN", Path.home() / ".cache" / "kubelab" / "bin"))
    go = shutil.which("go") or str(lab / "go" / "bin" / "go")
    said = subprocess.run(
        [go, "mod", "download", "-json", RELEASE], capture_output=True, text=True, check=True, timeout=120, cwd="/"
    )
    return Path(json.loads(said.stdout)["Dir"])
