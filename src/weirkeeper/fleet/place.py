"""What an install gives its fleets: where their objects live, what they are called, and which programs they run.

Comes in: settings of the install, ids of load balancers. Goes out: names and labels. A name is made of the install and the load balancer's id, so it is the same
for every replica at every time, and no two load balancers share one.
"""

import hashlib
import re
from collections.abc import Iterable

from weirkeeper.model.fleet import FleetWish
from weirkeeper.model.text import Id, Label, Name
from weirkeeper.model.value import Value

INSTALL = "weirkeeper.io/install"
LOAD_BALANCER = "weirkeeper.io/load-balancer"
OF = "weirkeeper.io/load-balancer-id"
"""The annotation with the whole id."""
LONGEST_NAME = 52
"""A Deployment's pods add 17 characters to its name, and a host name has 63 at most."""


class FleetPlace(Value, frozen=True, kw_only=True):
    """``namespace`` is that of the instances, ``control_plane`` the name of the Service that they turn to. ``image`` has the `weir` command,
    ``envoy_image`` Envoy, ``haproxy_image`` HAProxy and a shell, ``nginx_image`` NGINX with Lua and a shell; ``audience`` is that of the instances' tokens. ``drain_seconds`` is the longest time that one may drain.
    """

    install: Name
    namespace: Name
    control_plane: str
    image: str
    envoy_image: str
    haproxy_image: str = "haproxy:2.6"
    nginx_image: str = "weirkeeper/nginx:0.1.0"
    audience: str
    streams_port: int
    exchange_port: int
    drain_seconds: int = 30


def fleet_name(place: FleetPlace, load_balancer: Id) -> str:
    """What the objects of a load balancer's fleet are called, and its service account."""
    digest = _digest(load_balancer)
    told = re.sub(r"[^a-z0-9]+", "-", "-".join(load_balancer.split("/")[1:][-2:]).lower())
    room = LONGEST_NAME - len(digest) - 1
    return f"{f'{place.install}-{told}'.replace('.', '-')[:room].rstrip('-')}-{digest}"


def home(place: FleetPlace, wish: FleetWish) -> Name:
    """The namespace of the fleet's objects."""
    return wish.namespace or place.namespace


def may_live(place: FleetPlace, load_balancer: Id, namespace: str) -> bool:
    """Whether objects of this load balancer's fleet may be in a namespace: that of the install's instances, or that of its Gateway. What is elsewhere says nothing of it."""
    return namespace == place.namespace or load_balancer.split("/")[:-1] == ["gateway", namespace]


def authority(place: FleetPlace, wish: FleetWish) -> str:
    """The ConfigMap with what the fleet's pods have to trust: the install's, or a copy beside them."""
    beside = home(place, wish) != place.namespace
    return fleet_name(place, wish.load_balancer) if beside else f"{place.install}-authority"


def marks(place: FleetPlace, load_balancer: Id) -> dict[str, str]:
    """The labels by which the objects of a fleet are known: what lacks them is nobody's of ours."""
    return {INSTALL: place.install, LOAD_BALANCER: _digest(load_balancer)}


def text_of(pairs: Iterable[tuple[Label, Label]]) -> dict[str, str]:
    """Labels or annotations as the API takes them."""
    return {str(key): str(text) for key, text in pairs}


def _digest(load_balancer: Id) -> str:
    return hashlib.sha256(load_balancer.encode()).hexdigest()[:20]
