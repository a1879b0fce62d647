"""The access that a pod has: the service account's projected token and the cluster's own authority.

Comes in: the folder that the kubelet mounts and the variables that it sets. Goes out: an `Access`, or `AccessRefused`. The token file is read again once a minute
and after a 401, the authority when its file changes (KEP-1205: projected tokens are replaced before they expire).
"""

import os
from collections.abc import Mapping
from pathlib import Path

from weirkeeper.kube.access import Access, FileToken, Trust
from weirkeeper.kube.errors import AccessRefused

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def in_pod(folder: Path = FOLDER, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this looks like a pod with a service account."""
    return bool(environment.get("KUBERNETES_SERVICE_HOST")) and (folder / "token").exists()


def from_pod(folder: Path = FOLDER, environment: Mapping[str, str] = os.environ) -> Access:
    """The access of this pod's service account. Proxies of the environment do not count: the API server is a neighbour."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise AccessRefused("KUBERNETES_SERVICE_HOST", "is not set", "run in a pod, or give a kubeconfig")
    if not (folder / "token").exists():
        raise AccessRefused(
            str(folder / "token"), "is not there", "mount the service account's token (automountServiceAccountToken)"
        )
    return Access(
        f"https://{f'[{host}]' if ':' in host else host}:{port}",
        credentials=FileToken(folder / "token"),
        trust=Trust(authority=folder / "ca.crt"),
        namespace=_namespace(folder),
    )


def _namespace(folder: Path) -> str:
    try:
        return (folder / "namespace").read_text("ascii").strip() or "default"
    except (OSError, UnicodeDecodeError):
        return "default"
