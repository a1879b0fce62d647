"""Envoy: fed by delta xDS with a scope for each host. Reading order: `capabilities.py`, `provider.py`, `translate/`, `engine.py`."""

from weirkeeper.providers.envoy.options import EnvoyOptions
from weirkeeper.providers.envoy.provider import EnvoyProvider

PROVIDER = EnvoyProvider()

__all__ = ["PROVIDER", "EnvoyOptions", "EnvoyProvider"]
