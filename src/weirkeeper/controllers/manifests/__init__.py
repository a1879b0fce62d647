"""Our own manifest: a whole load balancer in one object, ``LoadBalancer`` of weirkeeper.io/v1alpha1 (schema in deploy/crds)."""

from weirkeeper.controllers.manifests.controller import ManifestController

CONTROLLER = ManifestController()

__all__ = ["CONTROLLER", "ManifestController"]
