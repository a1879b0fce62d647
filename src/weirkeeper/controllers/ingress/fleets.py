"""Load balancers whose instances we start: for a class, or for one Ingress alone.

Comes in: what the class's owner chose (``fleet``), the annotations ``scale`` and ``load-balancer``, and the nodes. Goes out: the class with its ``Fleet``; for an
Ingress with a load balancer of its own, that load balancer in the shape of its class; and what is wrong with the wish. Nothing here knows what a pod is.

A canary is never given one of its own: it belongs to the Ingress that it is the canary of. Where that one is to have an own load balancer, both say the same word.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from weirkeeper.controllers.base import Intent
from weirkeeper.controllers.ingress.annotations.options import Options
from weirkeeper.controllers.ingress.annotations.reading import NGINX
from weirkeeper.controllers.ingress.annotations.reading import OWN as OWN_PREFIX
from weirkeeper.controllers.ingress.claimed import Claimed
from weirkeeper.controllers.ingress.classes import OurClass
from weirkeeper.controllers.ingress.settings import IngressSettings
from weirkeeper.controllers.shared.fleet_choice import fleet_of
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.parameters import GROUP, ClassSpec, Ports
from weirkeeper.controllers.shared.report import field, warning
from weirkeeper.kube.types import Ingress, Node, NodeTaint
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.fleet import Fleet, Toleration
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import shown
from weirkeeper.model.value import Value

OWN, SHARED = "own", "shared"
REPELLING = ("NoSchedule", "NoExecute")


class Host(Value, frozen=True, kw_only=True):
    """A node that could run an instance: its labels, and the taints that keep pods away."""

    labels: Mapping[str, str]
    taints: tuple[NodeTaint, ...] = ()


def host_of(node: Node) -> Host | None:
    """The node as a host, or nothing where no new pod would be put there."""
    conditions = (node.status.conditions if node.status is not None else None) or ()
    ready = any(one.type == "Ready" and one.status == "True" for one in conditions)
    if node.spec.unschedulable or not ready:
        return None
    taints = tuple(taint for taint in node.spec.taints or () if taint.effect in REPELLING)
    return Host(labels=node.metadata.labels or {}, taints=taints)


def with_fleet(ours: OurClass, settings: IngressSettings) -> OurClass:
    """The class with the fleet that its parameters wish for the class itself, and with what is wrong with them."""
    choice = ours.spec.fleet
    if choice is None:
        return ours
    if not settings.fleets:
        text = "spec.fleet of its parameters does nothing: this install starts no instances"
        told: tuple[Finding, ...] = (_no_fleet(ours.origin, text),)
        return msgspec.structs.replace(ours, findings=(*ours.findings, *told))
    fleet, told = fleet_of(choice, ours.origin)
    own = fleet if choice.granularity != "ingress" else None
    return msgspec.structs.replace(ours, fleet=own, findings=(*ours.findings, *told))


def own_front(
    ours: OurClass, ingress: Ingress, options: Options, settings: IngressSettings
) -> tuple[OurClass, tuple[Finding, ...]]:
    """The class that serves an Ingress: its own load balancer in the shape of the class where that is wished, else the class as it is."""
    choice, word_of = ours.spec.fleet, options.load_balancer or ""
    asked = options.scale is not None or word_of not in ("", SHARED)
    by_class = choice is not None and choice.granularity == "ingress"
    if word_of == SHARED:
        told = (_contradiction(ingress),) if options.scale is not None else ()
        return ours, (*told, *_ports_of_others(ingress, options))
    if not (asked or by_class) or (options.canary and word_of in ("", OWN)):
        return ours, _ports_of_others(ingress, options)
    if not settings.fleets:
        text = "it wishes for a load balancer of its own, but this install starts no instances; that of its class serves it"
        told = (_no_fleet(_asking(ingress), text),) if asked else ()
        return ours, (*told, *_ports_of_others(ingress, options))
    fleet = fleet_of(choice, ours.origin)[0] if choice is not None else Fleet()
    if options.scale is not None:
        fleet = msgspec.structs.replace(fleet, mode="deployment", replicas=options.scale)
    shared_as = "" if word_of == OWN else word_of
    last = ("group", shared_as) if shared_as else (ingress.metadata.name,)
    own = msgspec.structs.replace(
        ours,
        load_balancer=id_of("ingress", ours.name, place(ingress.ref), *last),
        spec=ours.spec if shared_as else _with_ports(ours.spec, options),
        own=True,
        together=shared_as,
        origin=ingress.origin(),
        fleet=fleet,
        findings=(),
    )
    return own, _ports_of_others(ingress, options) if shared_as else ()


def together(claimed: Claimed) -> tuple[Ref, ...]:
    """What the load balancer is called that an Ingress shares with others of its namespace, as an object; nothing where it shares none."""
    if not claimed.ours.together:
        return ()
    ref, name = claimed.ingress.ref, f"{claimed.ours.name}/{claimed.ours.together}"
    return (Ref(cluster=ref.cluster, group=GROUP, kind="LoadBalancerGroup", namespace=ref.namespace, name=name),)


def common_front(members: Sequence[Claimed]) -> tuple[OurClass, Origin]:
    """The front of Ingresses that share one, and where its number of instances is wished: as many as the one that wishes for the most, in the name of the oldest."""
    first = min(members, key=lambda one: (one.ingress.metadata.creation_timestamp or "9999", one.ingress.ref))
    most = max(members, key=lambda one: (one.options.scale or 0, one is first))
    front = msgspec.structs.replace(first.ours, fleet=most.ours.fleet)
    return front, _asking(most.ingress)


def with_front(intent: Intent, front: Intent) -> Intent:
    """The intent of an Ingress that defines its load balancer; what is to be said of the class is said of the class."""
    return msgspec.structs.replace(
        intent,
        defines=front.defines,
        listeners=(*front.listeners, *intent.listeners),
        routes=(*intent.routes, *front.routes),
        backends=(*intent.backends, *front.backends),
        endpoint_sets=(*intent.endpoint_sets, *front.endpoint_sets),
        certificates=(*intent.certificates, *front.certificates),
    )


def crowded(fleet: Fleet, hosts: Iterable[Host], at: Origin) -> tuple[Finding, ...]:
    """What to say where more instances are wished than there are hosts for them."""
    count = sum(_takes(host, fleet) for host in hosts)
    wished = fleet.replicas if fleet.mode == "deployment" else min(1, fleet.replicas)
    if wished <= count:
        return ()
    text = f"{wished} instances are wished, each on a host of its own; {count} hosts may run one"
    remedy = "ask for fewer, add nodes, or widen spec.fleet in the parameters of the class"
    return (warning(Reason.TOO_FEW_HOSTS, at, text, remedy, Effect.DEGRADED),)


def asked_at(ours: OurClass, ingress: Ingress) -> Origin:
    """Where the number of instances is wished."""
    return _asking(ingress) if ours.own else ours.origin


def _takes(host: Host, fleet: Fleet) -> bool:
    if any(host.labels.get(key) != value for key, value in fleet.node_selector):
        return False
    return all(any(_tolerates(one, taint) for one in fleet.tolerations) for taint in host.taints)


def _tolerates(one: Toleration, taint: NodeTaint) -> bool:
    """Kubernetes, core/v1 Toleration: an empty key with no value matches every taint, an empty effect every effect."""
    if one.effect is not None and one.effect != taint.effect:
        return False
    return (one.key in ("", taint.key)) and (one.value is None or one.value == taint.value)


def _with_ports(spec: ClassSpec, options: Options) -> ClassSpec:
    plain = spec.ports.http if options.http_port is None else options.http_port
    secure = spec.ports.https if options.https_port is None else options.https_port
    return msgspec.structs.replace(spec, ports=Ports(http=plain if options.allow_http else 0, https=secure))


def _ports_of_others(ingress: Ingress, options: Options) -> tuple[Finding, ...]:
    """What to say where ports are wished of a load balancer that others share."""
    wished = [key for key, port in (("http-port", options.http_port), ("https-port", options.https_port)) if port]
    text = "the load balancer of this Ingress is shared with others; its ports are those of the class"
    remedy = "set weirkeeper.io/load-balancer: own, or the ports of the class"
    return tuple(
        warning(Reason.ANNOTATION_WITHOUT_EFFECT, _said(ingress, key, key.replace("-", ".")), text, remedy)
        for key in wished
    )


def _asking(ingress: Ingress) -> Origin:
    return _said(ingress, "scale", "scale", "load-balancer")


def _said(ingress: Ingress, name: str, bare: str, *more: str) -> Origin:
    """Where an annotation stands: under our prefix, under that of ingress-nginx, or without one."""
    keys = (f"{OWN_PREFIX}{name}", f"{NGINX}{name}", bare, *(f"{OWN_PREFIX}{one}" for one in more))
    used = next((key for key in keys if key in ingress.annotations), "")
    return ingress.origin(field(f"metadata.annotations[{used}]")) if used else ingress.origin()


def _contradiction(ingress: Ingress) -> Finding:
    text = f"scale is for a load balancer of its own, and load-balancer is {shown('shared')}; the latter holds"
    return warning(Reason.ANNOTATION_CONFLICT, _asking(ingress), text, "take one of the two out")


def _no_fleet(at: Origin, text: str) -> Finding:
    remedy = "add the component fleet to the install (docs/fleet.md), or take the wish out"
    return warning(Reason.NO_FLEET, at, text, remedy, Effect.DEGRADED)
