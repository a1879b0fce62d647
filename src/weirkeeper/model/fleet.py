"""The instances of a load balancer that we start ourselves: how many, and where.

Comes in with the load balancer's definition. Goes out to whoever makes Kubernetes objects of it. It says nothing of images, names and accounts, which are the
install's matter.
"""

from typing import Literal

from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Id, IpAddress, Label, Name, Sentence
from weirkeeper.model.value import Value

FleetMode = Literal["deployment", "daemonset"]
"""So many instances, each on a host of its own; or one on every host that is chosen."""

FleetExposure = Literal["hostNetwork", "hostPort", "nodePort", "loadBalancer", "clusterIP"]
"""How clients reach instances: on the network of their hosts; on pods' networks, with ports of the hosts led to them; at ports that Kubernetes gives on the hosts
that have an instance; at the addresses that a cloud or another controller gives to a Service of type LoadBalancer; or, from inside of the cluster alone, at the address of a
Service of its own.
"""
ON_HOST_PORTS: frozenset[FleetExposure] = frozenset({"hostNetwork", "hostPort"})
"""Those that take the listeners' ports of their hosts."""

TaintEffect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
"""What a taint does (Kubernetes, core/v1 Taint)."""


class Toleration(Value, frozen=True, kw_only=True):
    """A taint that does not keep instances away (core/v1 Toleration). Without a key every taint, without an effect every one of the key; without a value any."""

    key: Label = Label("")
    value: Label | None = None
    effect: TaintEffect | None = None


class Fleet(Value, frozen=True, kw_only=True):
    """How instances run, and are reached. ``replicas`` counts for a deployment only; ``service_annotations`` are those of the Service in front, where there is one."""

    mode: FleetMode = "deployment"
    exposure: FleetExposure = "hostNetwork"
    replicas: int = 1
    node_selector: tuple[tuple[Label, Label], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    service_annotations: tuple[tuple[Label, Sentence], ...] = ()


class FleetWish(Value, frozen=True, kw_only=True):
    """The fleet of one load balancer, with the ports that its instances listen on: of TCP, and of UDP (``datagram_ports``).

    ``labels`` and ``annotations`` are for all its objects and pods; ``namespace`` is where they live (nothing: where the install has its instances); ``addresses`` are those that a
    Service in front should have.
    """

    load_balancer: Id
    provider: Name
    fleet: Fleet
    ports: tuple[int, ...]
    datagram_ports: tuple[int, ...] = ()
    labels: tuple[tuple[Label, Label], ...] = ()
    annotations: tuple[tuple[Label, Label], ...] = ()
    namespace: Name | None = None
    addresses: tuple[IpAddress, ...] = ()
    origin: Origin
