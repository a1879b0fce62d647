"""Where a backend of an Ingress leads: to a Service, or straight to workloads.

Comes in: a backend as the Ingress writes it. Goes out: a forward, or 503 with what is wrong. Workloads are named by ``backend.resource`` (apiGroup ``apps``), or as Rancher 2 did:
the annotation ``field.cattle.io/ingressState`` says which workloads stand behind a Service whose name is made of the path (rancher/rancher, pkg/controllers/user/ingress).
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence

import msgspec

from weirkeeper.controllers.ingress.scope import UNAVAILABLE, Scope, Way
from weirkeeper.controllers.shared.reach import NoBackend
from weirkeeper.controllers.shared.report import error, warning
from weirkeeper.controllers.shared.workloads import workload_backend
from weirkeeper.kube.types import IngressBackend, IngressServiceBackend, TypedLocalReference
from weirkeeper.kube.workloads import APPS, WORKLOADS
from weirkeeper.model.endpoint import PodsOf
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Label, Name, Refused, parse, shown

RANCHER = "field.cattle.io/ingressState"
BIGGEST = 262_144
"""Annotations of an object are no larger than this together (Kubernetes, ValidateAnnotations)."""
MOST = 100
"""So many workloads may stand behind one path."""
KINDS = {kind.lower(): kind for kind in WORKLOADS}


def forward(scope: Scope, wished: IngressBackend, path: str) -> Way:
    """Where a backend leads; 503 where it leads nowhere."""
    service, resource = wished.service, wished.resource
    if service is not None:
        named = _behind(scope).get(service.name)
        if not named or (not _serves_workloads(scope) and scope.has_service(service.name)):
            return scope.forward(service, f"{path}.service")
        return scope.once((named, service.port), lambda: _workloads(scope, _by_ids(scope, named, service), path))
    if resource is None or (resource.api_group or "") != APPS or resource.kind not in WORKLOADS:
        kind = resource.kind if resource else "nothing"
        text = f"a backend of kind {kind[:60]!r} is not served; its requests are answered 503"
        remedy = "name a Service, or a Deployment, StatefulSet or DaemonSet of the apiGroup apps"
        scope.tell(error(Reason.UNSUPPORTED_BACKEND, scope.at(path), text, remedy, Effect.DEGRADED))
        return UNAVAILABLE, None
    return scope.once(resource, lambda: _workloads(scope, [_by_resource(scope, resource)], f"{path}.resource"))


def _workloads(scope: Scope, named: Sequence[PodsOf | NoBackend], path: str) -> Way:
    refused = _refused(scope)
    if refused is not None:
        _tell(scope, refused, path, "requests are answered 503")
        return UNAVAILABLE, None
    made = workload_backend(scope.read, scope.inputs, [one for one in named if isinstance(one, PodsOf)])
    then = "requests are answered 503" if made.backend is None else "the other workloads serve"
    for problem in (*(one for one in named if isinstance(one, NoBackend)), *made.problems):
        _tell(scope, problem, path, then)
    return (UNAVAILABLE, None) if made.backend is None else scope.way(made.backend, made.wish)


def _tell(scope: Scope, problem: NoBackend, path: str, then: str) -> None:
    text = f"{problem.why}; {then}"
    scope.tell(error(problem.reason, scope.at(path), text, problem.remedy, Effect.DEGRADED))


def _serves_workloads(scope: Scope) -> bool:
    return _refused(scope) is None


def _refused(scope: Scope) -> NoBackend | None:
    """Why workloads are no backends here."""
    if not scope.settings.workloads:
        why = "a workload is named, but this install does not read workloads"
        remedy = "add the component workloads to the install (docs/backends.md), or name a Service"
        return NoBackend(reason=Reason.BACKENDS_NOT_READ, why=why, remedy=remedy)
    if scope.reach.mode != "pods":
        why = f"a workload is reached by its pods alone, but the class sends requests elsewhere (endpointMode: {scope.reach.mode})"
        remedy = "name a Service, or use a class that sends requests to pods"
        return NoBackend(reason=Reason.MODE_CANNOT_SERVE, why=why, remedy=remedy)
    return None


def _by_resource(scope: Scope, wished: TypedLocalReference) -> PodsOf:
    ref = _ref(scope, wished.kind, scope.ref.namespace, wished.name)
    ports = {one.workload: one for one in scope.options.workload_ports}
    port = ports.get(wished.name) or ports.get("")
    return PodsOf(workload=ref) if port is None else PodsOf(workload=ref, port_name=port.name, port=port.number)


def _by_ids(scope: Scope, ids: str, service: IngressServiceBackend) -> list[PodsOf | NoBackend]:
    """Rancher's ids: KIND:NAMESPACE:NAME, several of them with / between."""
    texts = [one for one in dict.fromkeys(ids.split("/")) if one]
    found = [_by_id(scope, one, service) for one in texts[:MOST]]
    if len(texts) > MOST:
        why = f"more than {MOST} workloads are behind one path; the rest is left out"
        found.append(NoBackend(reason=Reason.TOO_LARGE, why=why, remedy="name fewer"))
    return found


def _by_id(scope: Scope, text: str, service: IngressServiceBackend) -> PodsOf | NoBackend:
    kind, _, place = text.partition(":")
    namespace, _, name = place.partition(":")
    if kind not in KINDS or any(isinstance(parse(Name, one), Refused) for one in (namespace, name)):
        why = f"{shown(text)} names no Deployment, StatefulSet or DaemonSet"
        return NoBackend(reason=Reason.UNSUPPORTED_BACKEND, why=why, remedy="write deployment:NAMESPACE:NAME")
    if namespace != scope.ref.namespace and not scope.ours.spec.allow_cross_namespace:
        why = f"{shown(text)} is a workload of another namespace, and this class allows only the Ingress's own"
        return NoBackend(reason=Reason.CROSS_NAMESPACE, why=why, remedy="name a workload of this namespace")
    port_name = parse(Label, service.port.name)
    return PodsOf(
        workload=_ref(scope, KINDS[kind], namespace, name),
        port_name=Label("") if isinstance(port_name, Refused) else port_name,
        port=service.port.number,
    )


def _ref(scope: Scope, kind: str, namespace: str, name: str) -> Ref:
    return Ref(cluster=scope.ref.cluster, group=APPS, kind=kind, namespace=namespace, name=name)


def _behind(scope: Scope) -> Mapping[str, str]:
    """The workloads behind each Service's name, as Rancher keeps them on the Ingress; read once for an Ingress."""
    text = scope.ingress.annotations.get(RANCHER, "")
    if not text:
        return {}
    if scope.behind is None:
        scope.behind = _state(text)
        if scope.behind is None:
            at = scope.at(f"metadata.annotations[{RANCHER}]")
            why = "is not a mapping of paths to workloads as Rancher writes it; it is ignored"
            scope.tell(
                warning(Reason.INVALID_ANNOTATION, at, f"{RANCHER} {why}", "let Rancher write it, or take it out")
            )
            scope.behind = {}
    return scope.behind


def _state(text: str) -> dict[str, str] | None:
    try:
        said = msgspec.json.decode(text, type=dict[str, str]) if len(text) <= BIGGEST else None
        return None if said is None else {_service_name(key): ids for key, ids in said.items()}
    except (msgspec.DecodeError, binascii.Error, ValueError):
        return None


def _service_name(key: str) -> str:
    """The Service of a path: the key is base64 of INGRESS/NAMESPACE/HOST/PATH/PORT, the name its digest."""
    decoded = base64.b64decode(key, altchars=b"-_", validate=True)
    return f"ingress-{hashlib.md5(decoded, usedforsecurity=False).hexdigest()}"
