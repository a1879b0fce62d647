"""A whole migration: from a settled program to manifests and a report.

Comes in: a reconciler that has seen the objects. Goes out: a ``Migration``. Services and classes that are missing are put beside the objects first (``stand_ins``), and the program settles
once more; what Ingresses mean comes from its tables.
"""

from collections.abc import Iterator
from typing import Any

from weirkeeper.controllers.gateway.settings import GatewaySettings
from weirkeeper.controllers.shared.parameters import GROUP as PARAMETERS_GROUP
from weirkeeper.feeds.base import Seen
from weirkeeper.kube.types import Ingress, IngressClass, KubeObject, Service
from weirkeeper.migrate import stand_ins
from weirkeeper.migrate.backends import V1, Backends
from weirkeeper.migrate.choices import Choices, Per
from weirkeeper.migrate.names import Names
from weirkeeper.migrate.notes import Aspect, Notes, Outcome
from weirkeeper.migrate.objects import FrontObjects
from weirkeeper.migrate.report import Made, Report, entries
from weirkeeper.migrate.source import Front, fronts
from weirkeeper.model.ids import Ref
from weirkeeper.model.value import Value
from weirkeeper.reconcile import Reconciler

Json = dict[str, Any]
CONTROLLER = GatewaySettings().controller


class Migration(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The manifests in the order of applying, and what is to be said of them."""

    manifests: tuple[Json, ...] = ()
    report: Report = Report()


def migrated(reconciler: Reconciler, choices: Choices) -> Migration:
    """The migration of every Ingress that the program has seen."""
    notes, names = Notes(), Names()
    _complete(reconciler, notes)
    program, graph = reconciler.program, reconciler.graph
    services, ingresses = graph.rows(program.inputs.of(Service)), graph.rows(program.inputs.of(Ingress))
    manifests: list[Json] = []
    made: dict[Ref, dict[str, None]] = {}
    for whole in fronts(program):
        gateway_class = choices.gateway_class or _class_name(whole)
        if not choices.gateway_class and not any(
            one["kind"] == "GatewayClass" and one["metadata"]["name"] == gateway_class for one in manifests
        ):
            manifests.append(_gateway_class(reconciler, whole, gateway_class))
        for front in _parts(whole, choices):
            objects = FrontObjects(front, choices, Backends(front, services, names, notes), names, notes)
            manifests += objects.all(gateway_class)
            for ref, written in objects.made.items():
                made.setdefault(ref, {}).update(written)
        _tell_class(reconciler, whole, notes)
    findings = [one for many in graph.rows(program.findings).values() for one in many]
    claimed = set(graph.rows(program.intents))
    unclaimed = {
        ref: f"its class {one.spec.ingress_class_name or '(none)'} belongs to another controller, or there is none"
        for ref, one in ingresses.items()
        if ref not in claimed
    }
    return Migration(
        manifests=tuple(manifests),
        report=Report(
            made=tuple(Made(object=ref, manifests=tuple(written)) for ref, written in sorted(made.items())),
            entries=tuple(entries(ingresses, findings, notes.all(), unclaimed)),
        ),
    )


def _complete(reconciler: Reconciler, notes: Notes) -> None:
    """Puts beside the objects what they need and is not there."""
    graph, inputs = reconciler.graph, reconciler.program.inputs
    ingresses = [one for _, one in sorted(graph.rows(inputs.of(Ingress)).items())]
    absent: list[KubeObject] = [*stand_ins.classes(ingresses, graph.rows(inputs.of(IngressClass)).values())]
    absent += stand_ins.services(ingresses, graph.rows(inputs.of(Service)), notes)
    if absent:
        reconciler.receive(Seen(ref=one.ref, object=one) for one in absent)
        reconciler.settle()


def _parts(whole: Front, choices: Choices) -> list[Front]:
    return [whole] if choices.per is Per.CLASS else [whole.within(namespace) for namespace in whole.namespaces]


def _class_name(front: Front) -> str:
    return front.load_balancer.class_name or front.name


def _gateway_class(reconciler: Reconciler, front: Front, name: str) -> Json:
    """A class of ours with the parameters that the Ingress class has."""
    found = _ingress_class(reconciler, front)
    wished = found.spec.parameters if found is not None else None
    ours = wished is not None and wished.api_group == PARAMETERS_GROUP
    reference = (
        {"parametersRef": {"group": wished.api_group, "kind": wished.kind, "name": wished.name}}
        if ours and wished is not None
        else {}
    )
    return {
        "apiVersion": V1,
        "kind": "GatewayClass",
        "metadata": {"name": name},
        "spec": {"controllerName": CONTROLLER, **reference},
    }


def _ingress_class(reconciler: Reconciler, front: Front) -> IngressClass | None:
    classes = reconciler.graph.rows(reconciler.program.inputs.of(IngressClass)).values()
    return next((one for one in classes if one.metadata.name == front.load_balancer.class_name), None)


def _tell_class(reconciler: Reconciler, front: Front, notes: Notes) -> None:
    """What a class wishes for all of its Ingresses and no field of a Gateway says."""
    found = _ingress_class(reconciler, front)
    if found is not None:
        for aspect, why in _lost_of_class(front):
            notes.tell([found.ref], aspect, Outcome.LOST, why=why)


def _lost_of_class(front: Front) -> Iterator[tuple[Aspect, str]]:
    if front.load_balancer.defaults.response_headers is not None:
        yield (
            Aspect.RESPONSE_HEADERS,
            "hsts of its parameters holds for Ingresses; set the header by a ResponseHeaderModifier where it is wished",
        )
