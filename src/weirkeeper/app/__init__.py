"""Builds the programs from their settings: the only package that names concrete plugins and knows all other parts.

`plugins` finds controllers and providers, `ring` is what every program has, `folder` serves a folder of manifests (`weir up`) and `cluster` serves
a Kubernetes cluster (`weir run`); neither is imported for the other.
"""

from weirkeeper.app.plugins import CONTROLLERS as CONTROLLERS
from weirkeeper.app.plugins import PROVIDERS as PROVIDERS
from weirkeeper.app.plugins import Plugins as Plugins
from weirkeeper.app.plugins import known_plugins as known_plugins
from weirkeeper.app.plugins import plugin as plugin
from weirkeeper.app.plugins import plugins as plugins
from weirkeeper.app.ring import today as today
