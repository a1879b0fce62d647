"""Where the HAProxy binary lies: where ``WEIRKEEPER_HAPROXY`` says, else on the path, else where distributions put it. In: the environment. Out: a path, or None."""

import os
import shutil
from pathlib import Path

OFTEN = "/usr/sbin:/usr/local/sbin:/sbin"


def haproxy_binary() -> Path | None:
    """The HAProxy binary, or None where there is none."""
    if named := os.environ.get("WEIRKEEPER_HAPROXY"):
        return Path(named)
    found = shutil.which("haproxy") or shutil.which("haproxy", path=OFTEN)
    return Path(found) if found else None
