"""Mass disappearances that are held until somebody confirms them, as objects: `kubectl` shows what is held, and an annotation on one lets it go, on every replica.

Comes in: what the feed's brake holds. Goes out: `Hold` objects (weirkeeper.io/v1alpha1) on the leader; confirmations for the feed on every replica.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from weirkeeper.kube.resources import Resource
from weirkeeper.kube.types import KubeObject, KubeStruct

RESOURCE = Resource("weirkeeper.io", "v1alpha1", "holds", "Hold")
CONFIRM = "weirkeeper.io/confirm"


class HoldSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What is held."""

    kind: str = ""
    count: int = 0


class Hold(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """weirkeeper.io/v1alpha1 Hold."""

    spec: HoldSpec = HoldSpec()


def wished(held: Mapping[str, int]) -> Mapping[str, Mapping[str, Any]]:
    """The objects that should be there, by name."""
    return {kind.lower(): {"kind": kind, "count": count} for kind, count in held.items()}


def confirmed(present: Mapping[str, Hold]) -> Iterator[str]:
    """The kinds whose disappearance somebody has confirmed."""
    return (one.spec.kind for one in present.values() if one.annotations.get(CONFIRM) == "true")
