"""What a migration needs of a cluster, read once.

Comes in: which cluster. Goes out: a program that has seen its Ingresses, classes and Services, and by name those Secrets and ConfigMaps that they read. Certificates are left where they
are: to name their Secret is all that a listener needs.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from weirkeeper.cli.offline import refused
from weirkeeper.controllers.shared.parameters import GROUP, LoadBalancerClassParameters
from weirkeeper.feeds.base import Cause, Seen, Synced
from weirkeeper.kube.client import Client
from weirkeeper.kube.errors import AccessRefused, ApiFailure, Forbidden, NotFound
from weirkeeper.kube.find import find_access
from weirkeeper.kube.resources import KNOWN, Resource
from weirkeeper.kube.types import ConfigMap, Ingress, IngressClass, KubeObject, Secret, Service
from weirkeeper.model.ids import Ref
from weirkeeper.reconcile import Reconciler

PARAMETERS = Resource(GROUP, "v1alpha1", "loadbalancerclassparameters", "LoadBalancerClassParameters", namespaced=False)
LISTED: tuple[tuple[Resource, type[KubeObject]], ...] = (
    (KNOWN["networking.k8s.io", "Ingress"], Ingress),
    (KNOWN["networking.k8s.io", "IngressClass"], IngressClass),
    (KNOWN["", "Service"], Service),
    (PARAMETERS, LoadBalancerClassParameters),
)
BY_NAME: tuple[tuple[Resource, type[KubeObject]], ...] = (
    (KNOWN["", "ConfigMap"], ConfigMap),
    (KNOWN["", "Secret"], Secret),
)
ROUNDS = 4
"""What is read may name more; so often at most it is looked again."""
SECONDS = 60.0


def read_cluster(reconciler: Reconciler, kubeconfig: Path | None, context: str) -> None:
    """Let the program see what the cluster has; what cannot be read ends the command."""
    try:
        asyncio.run(_read(reconciler, kubeconfig, context))
    except AccessRefused as why:
        refused("migrate", str(why))
    except ApiFailure as why:
        refused("migrate", f"the cluster does not say what it has: {why}")


async def _read(reconciler: Reconciler, kubeconfig: Path | None, context: str) -> None:
    async with Client(find_access(kubeconfig, context or None), timeout=SECONDS) as client:
        for resource, kind in LISTED:
            await _list(client, reconciler, resource, kind)
        reconciler.receive([Synced(feed="cluster", kinds=tuple(resource.kind for resource, _ in LISTED))])
        reconciler.settle()
        asked: set[Ref] = set()
        for _ in range(ROUNDS):
            wished = [
                (resource, kind, ref)
                for resource, kind in BY_NAME
                for ref in _wanted(reconciler, kind)
                if ref not in asked
            ]
            asked |= {ref for *_, ref in wished}
            for resource, kind, ref in wished:
                await _get(client, reconciler, resource, kind, ref)
            if not wished:
                return
            reconciler.settle()


async def _list(client: Client, reconciler: Reconciler, resource: Resource, kind: type[KubeObject]) -> None:
    try:
        async for page in client.pages(resource, type=kind):
            reconciler.receive(
                Seen(ref=one.object.ref, object=one.object) for one in page.items if one.object is not None
            )
    except NotFound:
        if resource is not PARAMETERS:
            raise


def _wanted(reconciler: Reconciler, kind: type[KubeObject]) -> Iterator[Ref]:
    """What somebody reads, certificates left out."""
    graph, program = reconciler.graph, reconciler.program
    shown = {wish.secret for intent in graph.rows(program.intents).values() for wish in intent.certificates}
    return (ref for ref in sorted(graph.wanted(program.inputs.of(kind))) if ref not in shown)


async def _get(client: Client, reconciler: Reconciler, resource: Resource, kind: type[KubeObject], ref: Ref) -> None:
    try:
        found = await client.get(resource, ref.name, ref.namespace, type=kind)
    except NotFound:
        reconciler.receive([Seen(ref=ref, cause=Cause.NOT_FOUND)])
    except Forbidden:
        return  # what needs it stays closed, and its annotation says so
    else:
        reconciler.receive([Seen(ref=ref, object=found)])
