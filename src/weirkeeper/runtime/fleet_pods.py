"""Which instances are told to go or are on a host that is not heard of: an address leaves the statuses when its pod begins to end, not when it has ended.

Comes in: the pods of instances (those of fleets, and those of the install's own DaemonSet), followed by every replica. Goes out: `InstanceLeaving`, by the front door. An instance is called as its pod is. What is said
stands for a while after the pod is gone, since the instance's stream may be seen to end later than that.
"""

import asyncio
from collections.abc import Callable, Sequence

from weirkeeper.fleet.place import OF
from weirkeeper.kube.client import Client
from weirkeeper.kube.mirror import Absent, Applied, Back, Deleted, Lost, News
from weirkeeper.kube.resources import KNOWN
from weirkeeper.kube.types import KubeObject, KubeStruct, NodeCondition
from weirkeeper.kube.watch import Gate, Reflector
from weirkeeper.model.observation import InstanceLeaving
from weirkeeper.model.text import Id, Label, Refused, parse
from weirkeeper.runtime.fleet_writer import OwnedMetadata
from weirkeeper.runtime.logging import Log

FORGET = 60.0
PodKey = tuple[str, str]
"""Namespace and name."""


class PodStatus(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What is said of a pod."""

    conditions: tuple[NodeCondition, ...] | None = ()


class FleetPod(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """A pod of a fleet: whether it goes, and whether its host is heard of."""

    metadata: OwnedMetadata
    status: PodStatus = PodStatus()

    @property
    def is_going(self) -> bool:
        """Whether its address is nobody's any more."""
        return bool(self.metadata.deletion_timestamp) or self.is_lost

    @property
    def is_lost(self) -> bool:
        """Whether its host is not heard of: then the node controller takes `Ready` from the pod and leaves it what the kubelet said of its containers
        (Kubernetes, pkg/controller/util/node, MarkPodsNotReady).
        """
        said = {one.type: one.status for one in self.status.conditions or ()}
        return said.get("Ready") == "False" and said.get("ContainersReady") == "True"


class FleetPods:
    """The pods of instances that one label selector names, in a namespace or in all. ``of`` is the load balancer of those that do not say themselves whose they are; ``heeds`` says
    whether a pod in this namespace can be one of this load balancer's.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        selector: str,
        say: Callable[[InstanceLeaving], None],
        *,
        log: Log,
        gate: Gate,
        of: str = "",
        heeds: Callable[[Id, str], bool] = lambda _, __: True,
    ) -> None:
        self._say, self._log, self._of, self._heeds = say, log, of, heeds
        self._leaving: dict[PodKey, InstanceLeaving] = {}
        self._lost = False
        self._reflector = Reflector(
            client, KNOWN["", "Pod"], type=FleetPod, tell=self.told, namespace=namespace, label_selector=selector, gate=gate,
        )  # fmt: skip

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._reflector.run()

    def told(self, news: Sequence[News]) -> None:
        """What the reflector has seen."""
        for one in news:
            match one:
                case Applied():
                    self._seen(one.object)
                case Deleted() | Absent():
                    self._gone((one.ref.namespace, one.ref.name))
                case Lost():
                    self._say_lost(one)
                case Back():
                    self._lost = False

    def _seen(self, pod: KubeObject) -> None:
        name, key = pod.metadata.name, (pod.metadata.namespace, pod.metadata.name)
        load_balancer = parse(Id, pod.annotations.get(OF, self._of))
        going = isinstance(pod, FleetPod) and pod.is_going
        if not going:
            self._forget(key)
        if not going or key in self._leaving or isinstance(load_balancer, Refused):
            return
        if not self._heeds(load_balancer, pod.metadata.namespace):
            return
        self._leaving[key] = one = InstanceLeaving(load_balancer=load_balancer, instance=Label(name))
        self._say(one)

    def _gone(self, key: PodKey) -> None:
        if key in self._leaving:
            asyncio.get_running_loop().call_later(FORGET, self._forget, key)

    def _forget(self, key: PodKey) -> None:
        one = self._leaving.pop(key, None)
        if one is not None:
            self._say(InstanceLeaving(load_balancer=one.load_balancer, instance=one.instance, leaving=False))

    def _say_lost(self, one: Lost) -> None:
        if not self._lost:
            self._lost = True
            self._log.warning("pods of instances cannot be read; addresses leave when streams end", why=one.error)
