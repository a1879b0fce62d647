"""Kubernetes objects, as far as we read them."""
