"""The Ingress controller: its tables, in order.

IngressClass ─ classes ─┬─ class intents (load balancer, listeners, default backend)
Ingress ─ claimed ──────┴─ by host ─ ingress intents
"""

from collections.abc import Sequence

import msgspec

from weirkeeper.controllers.base import Inputs, Intent, Kind
from weirkeeper.controllers.ingress import claim
from weirkeeper.controllers.ingress.annotations.reading import read_options
from weirkeeper.controllers.ingress.claimed import Claimed
from weirkeeper.controllers.ingress.classes import OurClass, built_class, class_intent, class_ref, is_default, our_class
from weirkeeper.controllers.ingress.fleets import (
    Host,
    asked_at,
    common_front,
    crowded,
    host_of,
    own_front,
    together,
    with_fleet,
    with_front,
)
from weirkeeper.controllers.ingress.guards import wishes_guard
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.controllers.ingress.translate import Neighbourhood, ingress_intent
from weirkeeper.controllers.shared.parameters import GROUP, ClassSpec, LoadBalancerClassParameters
from weirkeeper.controllers.shared.workloads import PODS
from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.kube.types import Ingress, IngressClass, Node
from weirkeeper.kube.workloads import APPS, WORKLOADS
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin

Hosts = Index[str, Ref, Host]
EVERY, DEFAULT = "every", "default"
WORKLOAD_KINDS = (
    *(Kind(group=APPS, version="v1", kind=name, type=kind) for name, kind in WORKLOADS.items()),
    PODS,
)
NODES = Kind(group="", version="v1", kind="Node", namespaced=False, type=Node)


class IngressController:
    """Reads Ingresses and their classes."""

    name = "ingress"
    kinds: tuple[Kind, ...] = (
        Kind(group="networking.k8s.io", version="v1", kind="Ingress", type=Ingress),
        Kind(group="networking.k8s.io", version="v1", kind="IngressClass", namespaced=False, type=IngressClass),
        Kind(
            group=GROUP,
            version="v1alpha1",
            kind="LoadBalancerClassParameters",
            namespaced=False,
            type=LoadBalancerClassParameters,
        ),
    )

    def __init__(self, settings: IngressSettings) -> None:
        self.settings = settings
        if settings.reads_nodes:
            self.kinds = (*self.kinds, NODES)
        if settings.workloads:
            self.kinds = (*self.kinds, *WORKLOAD_KINDS)

    def declare(self, graph: Graph, inputs: Inputs) -> tuple[Table[Ref, Intent], ...]:
        """Declare the tables; the last two are the intents of classes and of Ingresses."""
        settings = self.settings
        every = graph.index("ingress.every_class", inputs.of(IngressClass), _class_groups)
        own = graph.derive(
            "ingress.own_classes",
            inputs.of(IngressClass),
            lambda read, _, found: _with_fleet(our_class(read, inputs, found, settings), settings),
        )
        classes = graph.union("ingress.classes", (own, self._builtin(graph, every)))
        claims = _Claims(inputs, every, classes, self._builtin_ref(), settings)
        claimed = graph.derive("ingress.claimed", inputs.of(Ingress), claims.claimed)
        near = Neighbourhood(
            wide=graph.index(
                "ingress.wide", claimed, lambda _, c: c.hosts() if c.options.canary or c.options.regex else ()
            ),
            mains=graph.index("ingress.mains", claimed, lambda _, c: () if c.options.canary else c.hosts()),
            guarded=graph.index("ingress.guarded", claimed, lambda _, c: c.hosts() if wishes_guard(c) else ()),
        )
        means = _Means(inputs, settings, near, self._hosts(graph, inputs))
        return (
            graph.derive("ingress.class_intents", classes, lambda read, _, ours: means.of_class(read, ours)),
            graph.derive("ingress.intents", claimed, lambda read, _, found: means.of_ingress(read, found)),
            graph.group(
                "ingress.common_fronts",
                graph.index("ingress.together", claimed, lambda _, found: together(found)),
                lambda read, _, members: means.of_several(read, [found for _, found in members]),
            ),
        )

    def _hosts(self, graph: Graph, inputs: Inputs) -> Hosts | None:
        """The nodes that may run instances, where we start any."""
        if not self.settings.fleets:
            return None
        hosts = graph.derive("ingress.hosts", inputs.of(Node), lambda _, __, node: host_of(node))
        return graph.index("ingress.every_host", hosts, lambda _, __: (EVERY,))

    def _builtin_ref(self) -> Ref | None:
        return None if self.settings.implicit_class is None else class_ref(self.settings.implicit_class)

    def _builtin(self, graph: Graph, every: Index[str, Ref, IngressClass]) -> Table[Ref, OurClass]:
        """The built-in class: there while no IngressClass object is."""
        builtin = graph.source("ingress.builtin")
        ref = self._builtin_ref()
        if ref is not None:
            graph.put(builtin, ref, built_class(ref.name, ClassSpec(), Origin(ref=ref)))
        return graph.derive(
            "ingress.builtin_class", builtin, lambda read, _, c: None if read.lookup(every, EVERY) else c
        )


def _class_groups(_: Ref, found: IngressClass) -> tuple[str, ...]:
    return (EVERY, DEFAULT) if is_default(found) else (EVERY,)


def _with_fleet(ours: OurClass | None, settings: IngressSettings) -> OurClass | None:
    return None if ours is None else with_fleet(ours, settings)


class _Means:
    """What classes and Ingresses mean."""

    def __init__(self, inputs: Inputs, settings: IngressSettings, near: Neighbourhood, hosts: Hosts | None) -> None:
        self._inputs, self._settings, self._near, self._hosts = inputs, settings, near, hosts

    def of_class(self, read: Read, ours: OurClass) -> Intent:
        """The load balancer of a class."""
        return self._counted(read, ours, ours.origin, class_intent(read, self._inputs, ours, self._settings))

    def of_ingress(self, read: Read, found: Claimed) -> Intent:
        """The part of an Ingress, with its load balancer where it has one of its own."""
        intent = ingress_intent(read, self._inputs, self._settings, self._near, found)
        if not found.ours.own or found.ours.together:
            return intent
        front = class_intent(read, self._inputs, found.ours, self._settings)
        return self._counted(read, found.ours, asked_at(found.ours, found.ingress), with_front(intent, front))

    def of_several(self, read: Read, members: Sequence[Claimed]) -> Intent:
        """The load balancer that several Ingresses share."""
        front, at = common_front(members)
        return self._counted(read, front, at, class_intent(read, self._inputs, front, self._settings))

    def _counted(self, read: Read, ours: OurClass, at: Origin, intent: Intent) -> Intent:
        if ours.fleet is None or self._hosts is None:
            return intent
        told = crowded(ours.fleet, (host for _, host in read.lookup(self._hosts, EVERY)), at)
        return msgspec.structs.replace(intent, findings=(*intent.findings, *told)) if told else intent


class _Claims:
    """Whose an Ingress is, read from the tables of classes."""

    def __init__(
        self,
        inputs: Inputs,
        every: Index[str, Ref, IngressClass],
        classes: Table[Ref, OurClass],
        builtin: Ref | None,
        settings: IngressSettings,
    ) -> None:
        self.objects = inputs.of(IngressClass)
        self.every = every
        self.classes = classes
        self.builtin = builtin
        self.settings = settings

    def claimed(self, read: Read, _: Ref, ingress: Ingress) -> Claimed | None:
        """The Ingress with its class and options, or nothing when it is not ours."""
        named = claim.wanted(ingress)
        builtin = None if self.builtin is None else read.get(self.classes, self.builtin)
        if builtin is not None and not read.contains(self.objects, builtin.origin.ref):
            options = read_options(ingress)
            front, more = own_front(builtin, ingress, options, self.settings)
            told = () if named.name == builtin.name else claim.served_without_class(ingress, named, builtin)
            return Claimed(ingress=ingress, ours=front, options=options, findings=(*told, *more))
        defaults = () if named.name else read.lookup(self.every, DEFAULT)
        ref = class_ref(named.name) if named.name else claim.default_class(defaults)
        told = claim.several_defaults(ingress, defaults)
        ours = None if ref is None else read.get(self.classes, ref)
        if ours is None:
            return None
        options = read_options(ingress)
        front, more = own_front(ours, ingress, options, self.settings)
        return Claimed(ingress=ingress, ours=front, options=options, findings=(*told, *more))
