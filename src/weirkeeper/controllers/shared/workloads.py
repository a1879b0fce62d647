"""Workloads as backends, without a Service: their pods are the members. So are pods that an object selects by their labels.

Comes in: the workloads that an object names, each with a port. Goes out: a ``Backend`` with the wish for its members and what is wrong with single workloads; and, from
pods, the members. A pod is a workload's when the workload controls it, whatever its labels are.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from weirkeeper.controllers.base import Inputs, Kind
from weirkeeper.controllers.shared.addresses import refused_address
from weirkeeper.controllers.shared.ids import id_of, place
from weirkeeper.controllers.shared.reach import NoBackend
from weirkeeper.controllers.shared.secrets import known_absent
from weirkeeper.flow import Graph, Index, Read, Table
from weirkeeper.kube.workloads import WORKLOADS, Pod, PodSelection, Workload, selection, workload_of
from weirkeeper.model.backend import Backend, FromEndpointSet
from weirkeeper.model.endpoint import Endpoint, EndpointSetWish, EndpointState, PodsOf, PodsWith
from weirkeeper.model.finding import Reason
from weirkeeper.model.ids import Part, Ref
from weirkeeper.model.text import IpAddress, Label, Refused, parse, shown

PODS = Kind(group="", version="v1", kind="Pod", type=Pod, packed=True)


class Labelled(NamedTuple):
    """Pods of a namespace with a label."""

    cluster: str
    namespace: str
    key: str
    value: str


class Pods(NamedTuple):
    """Pods by the workload that controls them, and by each of their labels."""

    by_workload: Index[Ref, Ref, Pod]
    by_label: Index[Labelled, Ref, Pod]


class WorkloadBackend(msgspec.Struct, frozen=True, kw_only=True):
    """A backend with the wish for its members, none where every workload is missing; ``problems`` are single workloads that are left out."""

    backend: Backend | None = None
    wish: EndpointSetWish | None = None
    problems: tuple[NoBackend, ...] = ()


def workload_backend(read: Read, inputs: Inputs, named: Sequence[PodsOf]) -> WorkloadBackend:
    """One backend of all these workloads. Of one that is not known yet nothing is said, and it has no members yet."""
    problems, kept, origins = list[NoBackend](), list[PodsOf](), []
    named = sorted(named, key=_text)
    for one in named:
        workload = read.get(inputs.of(WORKLOADS[one.workload.kind]), one.workload)
        if workload is None:
            found = _without(read, inputs, one)
        else:
            found = _with_port(one, workload)
            origins.append(workload.origin())
        if isinstance(found, NoBackend):
            problems.append(found)
        else:
            kept.append(found)
    if not kept:
        return WorkloadBackend(problems=tuple(problems))
    first = named[0].workload
    name = id_of(place(first), "workloads", *map(_text, named))
    wish = EndpointSetWish(id=name, service=first, port_name=Label(""), workloads=tuple(kept))
    backend = Backend(id=name, source=FromEndpointSet(id=name), origins=tuple(origins))
    return WorkloadBackend(backend=backend, wish=wish, problems=tuple(problems))


def declare_pods(graph: Graph, inputs: Inputs) -> Pods | None:
    """The pods, where pods are read."""
    if not inputs.reads(Pod):
        return None
    found = inputs.of(Pod)
    return Pods(graph.index("pods_by_workload", found, _controller), graph.index("pods_by_label", found, _labels))


def declare_selections(
    graph: Graph, inputs: Inputs, wishes: Table[Part, EndpointSetWish]
) -> Table[PodSelection, bool] | None:
    """Which pods have to be known for the wishes, where pods are read."""
    if not inputs.reads(Pod):
        return None

    def wanted(read: Read, _: Part, wish: EndpointSetWish) -> Iterator[tuple[PodSelection, bool]]:
        refs = dict.fromkeys(one.workload for one in wish.workloads)
        found = ((ref, read.get(inputs.of(WORKLOADS[ref.kind]), ref)) for ref in refs)
        chosen = [selection(ref, workload) for ref, workload in found if workload is not None]
        if wish.pods is not None:
            chosen.append(_selected(wish.service, wish.pods))
        return iter(dict.fromkeys((one for one in chosen if one is not None), True).items())

    return graph.spread("pod_selections", wishes, wanted)


def pod_endpoints(read: Read, pods: Pods | None, wish: EndpointSetWish, *, allow_local: bool) -> Iterator[Endpoint]:
    """The members that are pods, each address and port once."""
    seen = set[tuple[str, int]]()
    for pod, port in () if pods is None else _wished(read, pods, wish):
        member = _member(pod, port, allow_local=allow_local)
        if member is not None and (member.address, member.port) not in seen:
            seen.add((member.address, member.port))
            yield member


def _wished(read: Read, pods: Pods, wish: EndpointSetWish) -> Iterator[tuple[Pod, int]]:
    """The pods that are meant, each with its port, 0 where it has none."""
    for one in wish.workloads:
        yield from ((pod, _port(pod, one)) for _, pod in read.lookup(pods.by_workload, one.workload))
    if wish.pods is not None:
        wanted, home = dict(wish.pods.labels), wish.service
        for _, pod in read.lookup(pods.by_label, Labelled(home.cluster, home.namespace, *wish.pods.labels[0])):
            if wanted.items() <= (pod.metadata.labels or {}).items():
                yield pod, wish.pods.port


def _port(pod: Pod, wished: PodsOf) -> int:
    return wished.port or next((p.container_port for p in pod.spec.tcp_ports() if p.name == wished.port_name), 0)


def _labels(ref: Ref, pod: Pod) -> tuple[Labelled, ...]:
    return tuple(Labelled(ref.cluster, ref.namespace, *label) for label in (pod.metadata.labels or {}).items())


def _selected(home: Ref, wished: PodsWith) -> PodSelection:
    text = ",".join(f"{key}={value}" for key, value in wished.labels)
    return PodSelection(home.cluster, home.namespace, text)


def _controller(ref: Ref, pod: Pod) -> tuple[Ref, ...]:
    owner = workload_of(ref, pod)
    return () if owner is None else (owner,)


def _member(pod: Pod, port: int, *, allow_local: bool) -> Endpoint | None:
    text = pod.status.pod_i_p or next((one.ip for one in pod.status.pod_i_ps or ()), "")
    address = parse(IpAddress, text)
    if pod.has_ended or not port or isinstance(address, Refused) or refused_address(text, local=allow_local):
        return None
    node = parse(Label, pod.spec.node_name)
    return Endpoint(
        address=address, port=port, state=_state(pod), node=Label("") if isinstance(node, Refused) else node
    )


def _state(pod: Pod) -> EndpointState:
    """As the EndpointSlice controller has it: a pod that is being deleted serves on while its probes hold."""
    if not pod.is_ready:
        return EndpointState.NOT_READY
    return EndpointState.SERVING if pod.metadata.deletion_timestamp else EndpointState.READY


def _with_port(wished: PodsOf, workload: Workload) -> PodsOf | NoBackend:
    """The same with a port that is settled: a number, or a name that its pods have."""
    ports = tuple(dict.fromkeys(workload.spec.template.spec.tcp_ports()))
    if wished.port:
        return wished
    if wished.port_name:
        return (
            wished if any(port.name == wished.port_name for port in ports) else _no_port(wished, _ports_said(workload))
        )
    if len(ports) != 1:
        return _no_port(wished, _ports_said(workload))
    name = parse(Label, ports[0].name)
    if not isinstance(name, Refused) and name:
        return msgspec.structs.replace(wished, port_name=name)
    return msgspec.structs.replace(wished, port=ports[0].container_port)


def _ports_said(workload: Workload) -> tuple[str, ...]:
    """The TCP ports of its containers, for a person."""
    ports = workload.spec.template.spec.tcp_ports()
    return tuple(f"{port.container_port} ({port.name})" if port.name else str(port.container_port) for port in ports)


def _without(read: Read, inputs: Inputs, wished: PodsOf) -> PodsOf | NoBackend:
    """What to say of a workload that is not at hand: it cannot be read, or it is not there; where it may still come, nothing."""
    ref = wished.workload
    refused = read.get(inputs.unread, ref)
    if refused is not None:
        return NoBackend(reason=Reason.NOT_LISTED, why=refused.for_user, remedy=refused.remedy)
    if not known_absent(read, inputs, ref):
        return wished
    return NoBackend(
        reason=Reason.WORKLOAD_NOT_FOUND,
        why=f"there is no {ref.kind} {shown(ref.name)} in the namespace {shown(ref.namespace)}",
        remedy="create it, or name one that exists",
    )


def _no_port(wished: PodsOf, said: Iterable[str]) -> NoBackend:
    ref, known = wished.workload, ", ".join(list(said)[:8])
    if wished.port_name:
        why = f"no container of the {ref.kind} {shown(ref.name)} has a TCP port named {shown(wished.port_name)}"
    else:
        why = f"the containers of the {ref.kind} {shown(ref.name)} do not name exactly one TCP port"
    remedy = f"say the port in the annotation weirkeeper.io/workload-port; there are: {known or 'none'}"
    return NoBackend(reason=Reason.PORT_NOT_FOUND, why=why, remedy=remedy)


def _text(one: PodsOf) -> str:
    ref = one.workload
    return f"{ref.kind}:{ref.namespace}:{ref.name}:{one.port_name or one.port}"
