"""The controller of ``LoadBalancer`` manifests: one object, one intent."""

from weirkeeper.controllers.base import Inputs, Intent, Kind
from weirkeeper.controllers.manifests.translate import manifest_intent
from weirkeeper.controllers.manifests.types import LoadBalancerManifest
from weirkeeper.flow import Graph, Table
from weirkeeper.model.ids import Ref


class ManifestController:
    """Reads LoadBalancer manifests."""

    name = "manifests"
    kinds = (Kind(group="weirkeeper.io", version="v1alpha1", kind="LoadBalancer", type=LoadBalancerManifest),)

    def declare(self, graph: Graph, inputs: Inputs) -> tuple[Table[Ref, Intent], ...]:
        """Declare the table of intents."""
        parent = inputs.of(LoadBalancerManifest)
        return (graph.derive("manifests.intents", parent, lambda read, _, found: manifest_intent(read, inputs, found)),)
