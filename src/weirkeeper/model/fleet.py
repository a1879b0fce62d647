"""The instances of a load balancer that we start ourselves: how many, and where.

Comes in with the load balancer's definition. Goes out to whoever makes Kubernetes objects of it. It says nothing of images, names and accounts, which are the
install's matter.
"""

from typing import Literal

from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id, Label, Name
from weirkeeper.model.value import Value

FleetMode = Literal["deployment", "daemonset"]
"""So many instances, each on a host of its own; or one on every host that is chosen."""

TaintEffect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
"""What a taint does (Kubernetes, core/v1 Taint)."""


class Toleration(Value, frozen=True, kw_only=True):
    """A taint that does not keep instances away (core/v1 Toleration). Without a key every taint, without an effect every one of the key; without a value any."""

    key: Label = Label("")
    value: Label | None = None
    effect: TaintEffect | None = None


class Fleet(Value, frozen=True, kw_only=True):
    """How instances run: on the network of their hosts, so that a host's address is an instance's. ``replicas`` counts for a deployment only."""

    mode: FleetMode = "deployment"
    replicas: int = 1
    node_selector: tuple[tuple[Label, Label], ...] = ()
    tolerations: tuple[Toleration, ...] = ()


class FleetWish(Value, frozen=True, kw_only=True):
    """The fleet of one load balancer, with the ports that its instances listen on."""

    load_balancer: Id
    provider: Name
    fleet: Fleet
    ports: tuple[int, ...]
    origin: Origin
