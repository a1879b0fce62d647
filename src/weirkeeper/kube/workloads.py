"""Workloads and their pods, as far as we read them: which pods are whose, where they are, whether they are ready, and which ports their containers name.

Comes in: JSON or YAML of a Deployment, StatefulSet, DaemonSet or Pod. Goes out: small frozen structs. Nothing of what runs in a container is kept.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from weirkeeper.kube.selectors import LabelSelector, selector_text
from weirkeeper.kube.types import KubeObject, KubeStruct, Metadata, NodeCondition
from weirkeeper.model.ids import Ref

APPS = "apps"
TEMPLATE_HASH = "pod-template-hash"
"""The label that a Deployment puts on its ReplicaSets and their pods; the ReplicaSet is called DEPLOYMENT-HASH (apps/v1, DefaultDeploymentUniqueLabelKey)."""


class OwnerReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Whose an object is; one of them may control it."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class PodMetadata(Metadata, frozen=True, kw_only=True, rename="camel"):
    """Metadata with owners, and whether the object is being deleted."""

    owner_references: tuple[OwnerReference, ...] | None = ()
    deletion_timestamp: str | None = None


class ContainerPort(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A port that a container says it has."""

    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"


class Container(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A container: its ports."""

    ports: tuple[ContainerPort, ...] | None = ()


class PodSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What runs, and where."""

    containers: tuple[Container, ...] | None = ()
    node_name: str = ""

    def tcp_ports(self) -> Iterator[ContainerPort]:
        """The TCP ports of all containers."""
        for container in self.containers or ():
            yield from (port for port in container.ports or () if (port.protocol or "TCP") == "TCP")


class PodIp(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One address of a pod."""

    ip: str = ""


class PodStatus(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """How a pod is, and where it is reached."""

    phase: str = ""
    conditions: tuple[NodeCondition, ...] | None = ()
    pod_i_p: str = msgspec.field(default="", name="podIP")
    pod_i_ps: tuple[PodIp, ...] | None = msgspec.field(default=(), name="podIPs")


class Pod(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """v1 Pod."""

    metadata: PodMetadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def is_ready(self) -> bool:
        """Whether its readiness probes hold."""
        return any(one.type == "Ready" and one.status == "True" for one in self.status.conditions or ())

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more: its address may be another pod's."""
        return self.status.phase in ("Succeeded", "Failed")


class PodTemplate(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What the pods of a workload are like."""

    spec: PodSpec = PodSpec()


class WorkloadSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Which pods are a workload's, and what they are like."""

    selector: LabelSelector = LabelSelector()
    template: PodTemplate = PodTemplate()


class Workload(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """What keeps pods running; base of the three kinds that a backend may name."""

    spec: WorkloadSpec = WorkloadSpec()


class Deployment(Workload, frozen=True, kw_only=True, rename="camel"):
    """apps/v1 Deployment."""


class StatefulSet(Workload, frozen=True, kw_only=True, rename="camel"):
    """apps/v1 StatefulSet."""


class DaemonSet(Workload, frozen=True, kw_only=True, rename="camel"):
    """apps/v1 DaemonSet."""


WORKLOADS: dict[str, type[Workload]] = {one.__name__: one for one in (Deployment, StatefulSet, DaemonSet)}
"""The kinds that a backend may name."""


class PodSelection(NamedTuple):
    """Pods of one namespace, by labels: what is watched for a workload."""

    cluster: str
    namespace: str
    selector: str


def workload_of(ref: Ref, pod: Pod) -> Ref | None:
    """The workload that controls a pod, where it is one of ours; a Deployment does so by a ReplicaSet."""
    for owner in pod.metadata.owner_references or ():
        if owner.controller and owner.api_version.partition("/")[0] == APPS:
            kind, name = owner.kind, owner.name
            if kind == "ReplicaSet":
                suffix = "-" + (pod.metadata.labels or {}).get(TEMPLATE_HASH, "")
                kind, name = "Deployment", name.removesuffix(suffix) if name.endswith(suffix) else ""
            if kind in WORKLOADS and name:
                return Ref(cluster=ref.cluster, group=APPS, kind=kind, namespace=ref.namespace, name=name)
    return None


def selection(ref: Ref, workload: Workload) -> PodSelection | None:
    """What to watch for a workload's pods; nothing where it selects none, or by a condition that nobody knows."""
    text = selector_text(workload.spec.selector)
    return PodSelection(ref.cluster, ref.namespace, text) if text else None
