"""Kubernetes Ingress (networking.k8s.io/v1) with the annotations of ingress-nginx.

Reading order: ``settings``, ``parameters``, ``classes``, ``claim``, ``annotations``, ``paths``, ``translate``, ``canary``, ``controller``.
"""

from weirkeeper.controllers.ingress.controller import IngressController
from weirkeeper.controllers.ingress.settings import IngressSettings

CONTROLLER = IngressController(IngressSettings())

__all__ = ["CONTROLLER", "IngressController", "IngressSettings"]
