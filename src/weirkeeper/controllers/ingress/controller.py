"""The Ingress controller: its tables, in order.

IngressClass ─ classes ─┬─ class intents (load balancer, listeners, default backend)
Ingress ─ claimed ──────┴─ by host ─ ingress intents
"""

from weirkeeper.controllers.base import Inputs, Intent, Kind
from weirkeeper.controllers.ingress import claim
from weirkeeper.controllers.ingress.annotations.reading import read_options
from weirkeeper.controllers.ingress.claimed import Claimed
from weirkeeper.controllers.ingress.classes import OurClass, built_class, class_intent, class_ref, is_default, our_class
from weirkeeper.controllers.ingress.guards import wishes_guard
from weirkeeper.controllers.ingress.parameters import GROUP, ClassSpec, LoadBalancerClassParameters
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.controllers.ingress.translate import Neighbourhood, ingress_intent
from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.kube.types import Ingress, IngressClass
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin

EVERY, DEFAULT = "every", "default"


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

    def declare(self, graph: Graph, inputs: Inputs) -> tuple[Table[Ref, Intent], ...]:
        """Declare the tables; the last two are the intents of classes and of Ingresses."""
        settings = self.settings
        every = graph.index("ingress.every_class", inputs.of(IngressClass), _class_groups)
        own = graph.derive(
            "ingress.own_classes",
            inputs.of(IngressClass),
            lambda read, _, found: our_class(read, inputs, found, settings),
        )
        classes = graph.union("ingress.classes", (own, self._builtin(graph, every)))
        claims = _Claims(inputs, every, classes, self._builtin_ref())
        claimed = graph.derive("ingress.claimed", inputs.of(Ingress), claims.claimed)
        near = Neighbourhood(
            wide=graph.index(
                "ingress.wide", claimed, lambda _, c: c.hosts() if c.options.canary or c.options.regex else ()
            ),
            mains=graph.index("ingress.mains", claimed, lambda _, c: () if c.options.canary else c.hosts()),
            guarded=graph.index("ingress.guarded", claimed, lambda _, c: c.hosts() if wishes_guard(c) else ()),
        )
        return (
            graph.derive("ingress.class_intents", classes, lambda read, _, c: class_intent(read, inputs, c, settings)),
            graph.derive(
                "ingress.intents", claimed, lambda read, _, c: ingress_intent(read, inputs, settings, near, c)
            ),
        )

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


class _Claims:
    """Whose an Ingress is, read from the tables of classes."""

    def __init__(
        self,
        inputs: Inputs,
        every: Index[str, Ref, IngressClass],
        classes: Table[Ref, OurClass],
        builtin: Ref | None,
    ) -> None:
        self.objects = inputs.of(IngressClass)
        self.every = every
        self.classes = classes
        self.builtin = builtin

    def claimed(self, read: Read, _: Ref, ingress: Ingress) -> Claimed | None:
        """The Ingress with its class and options, or nothing when it is not ours."""
        named = claim.wanted(ingress)
        builtin = None if self.builtin is None else read.get(self.classes, self.builtin)
        if builtin is not None and not read.contains(self.objects, builtin.origin.ref):
            options = read_options(ingress)
            return Claimed(
                ingress=ingress,
                ours=builtin,
                options=options,
                findings=() if named.name == builtin.name else claim.served_without_class(ingress, named, builtin),
            )
        defaults = () if named.name else read.lookup(self.every, DEFAULT)
        ref = class_ref(named.name) if named.name else claim.default_class(defaults)
        told = claim.several_defaults(ingress, defaults)
        ours = None if ref is None else read.get(self.classes, ref)
        return (
            None if ours is None else Claimed(ingress=ingress, ours=ours, options=read_options(ingress), findings=told)
        )
