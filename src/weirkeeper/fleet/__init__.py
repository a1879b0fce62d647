"""Instances as Kubernetes objects. Pure: from wishes to bodies."""
