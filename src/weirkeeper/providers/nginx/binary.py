"""Where the program and its modules lie: as the environment says, else where Debian puts them."""

import os
import shutil
from pathlib import Path

MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/etc/nginx/modules")
LUA = "ngx_http_lua_module.so"


def nginx_binary() -> Path | None:
    """The program; None where there is none."""
    found = os.environ.get("WEIRKEEPER_NGINX") or shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    return Path(found) if found else None


def streams(folder: str) -> bool:
    """Whether the stream module lies among the modules of that folder."""
    return Path(folder, "ngx_stream_module.so").exists()


def modules() -> str | None:
    """The folder of the modules; None where the Lua module is not installed."""
    asked = os.environ.get("WEIRKEEPER_NGINX_MODULES")
    places = (asked,) if asked else MODULES
    return next((place for place in places if Path(place, LUA).exists()), None)
