"""Weirkeeper: a load-balancing control plane for Kubernetes."""
