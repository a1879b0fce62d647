"""Which cluster is meant: a kubeconfig that was named, `KUBECONFIG`, the pod that this runs in, `~/.kube/config`; the first that there is.

Comes in: what the user said and the environment. Goes out: an `Access`, or `AccessRefused` with what to give.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from weirkeeper.kube.access import Access
from weirkeeper.kube.errors import AccessRefused
from weirkeeper.kube.in_cluster import FOLDER, from_pod, in_pod
from weirkeeper.kube.kubeconfig import from_files


def find_access(
    kubeconfig: Path | None = None,
    context: str | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    pod: Path = FOLDER,
) -> Access:
    """The access to the cluster that is meant. A context that was asked for is looked for in kubeconfigs only: a pod has none."""
    if kubeconfig is not None:
        return from_files([kubeconfig], context, environment=environment)
    named = [Path(one) for one in environment.get("KUBECONFIG", "").split(os.pathsep) if one]
    if named:
        return from_files(named, context, environment=environment)
    if context is None and in_pod(pod, environment):
        return from_pod(pod, environment)
    usual = Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config"
    if usual.exists():
        return from_files([usual], context, environment=environment)
    raise AccessRefused("the cluster", "none is known", f"give --kubeconfig, set KUBECONFIG, or write {usual}")
