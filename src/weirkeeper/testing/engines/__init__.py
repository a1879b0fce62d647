"""Real engines for tests and benchmarks: a running Envoy with its admin interface, and where Caddy and Traefik lie.

    async with running_envoy(bootstrap) as envoy:      # or `with envoy_process(bootstrap) as envoy:`
        await envoy.admin.stats("cluster.")

The bootstrap is a dict and needs no `admin`: one on a Unix socket is added. Ports are yours to choose (`testing.ports`).
"""

from weirkeeper.testing.engines.admin import Admin
from weirkeeper.testing.engines.binaries import EngineMissing, caddy_binary, envoy_binary, traefik_binary
from weirkeeper.testing.engines.envoy import Envoy, EnvoyEnded, envoy_process, running_envoy, with_admin
from weirkeeper.testing.engines.usage import Usage, usage_of

__all__ = [
    "Admin",
    "EngineMissing",
    "Envoy",
    "EnvoyEnded",
    "Usage",
    "caddy_binary",
    "envoy_binary",
    "envoy_process",
    "running_envoy",
    "traefik_binary",
    "usage_of",
    "with_admin",
]
