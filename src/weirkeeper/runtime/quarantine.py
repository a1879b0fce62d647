"""Engine items that an engine refused, as objects that all replicas read: no replica sends again what another one knows to be refused.

Comes in: the graph's rejections and items. Goes out: `Quarantine` objects (weirkeeper.io/v1alpha1) on the leader, refusals for the distribution on every replica.

An item is in quarantine while its wished version is the refused one. It leaves when the item changes or goes; a refusal that nobody has repeated since is never a reason
to keep it out longer than that.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from weirkeeper.distribute.kinds import LDS
from weirkeeper.kube.resources import Resource
from weirkeeper.kube.types import KubeObject, KubeStruct
from weirkeeper.model.observation import ItemObservation, ItemState
from weirkeeper.model.text import Digest, Id, Label, Name, Refused, Sentence, parse
from weirkeeper.providers.base import ItemKey
from weirkeeper.reconcile import Reconciler

RESOURCE = Resource("weirkeeper.io", "v1alpha1", "quarantines", "Quarantine")


class QuarantineSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The item, its version, the engine's version and its words."""

    provider: str = ""
    load_balancer: str = ""
    kind: str = ""
    name: str = ""
    version: str = ""
    engine_version: str = ""
    message: str = ""


class Quarantine(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """weirkeeper.io/v1alpha1 Quarantine."""

    spec: QuarantineSpec = QuarantineSpec()


def wished(reconciler: Reconciler, present: Mapping[str, Quarantine]) -> Mapping[str, Mapping[str, Any]]:
    """The objects that should be there, by name: what is refused now, and what was and is still wished in that version."""
    program, graph = reconciler.program, reconciler.graph
    found = dict(_entries(reconciler))
    for name, one in present.items():
        table = program.items.get(one.spec.provider)
        key = ItemKey(Id(one.spec.load_balancer), one.spec.kind, one.spec.name)
        item = graph.get(table, key) if table is not None else None
        if item is not None and item.version == one.spec.version:
            found.setdefault(name, {})
    return found


def _entries(reconciler: Reconciler) -> Iterator[tuple[str, Mapping[str, Any]]]:
    program, graph = reconciler.program, reconciler.graph
    for rejected, seen in graph.rows(program.rejections).items():
        table = program.items.get(rejected.provider)
        item = graph.get(table, rejected.key) if table is not None else None
        if seen.kind != LDS and item is not None and item.version == seen.version:
            yield name_of(seen), spec_of(seen)


def name_of(seen: ItemObservation) -> str:
    """The object's name: of what is refused, and by which engine version, made short."""
    parts = (seen.provider, seen.load_balancer, seen.kind, seen.name, seen.version, seen.engine_version)
    return f"{seen.provider}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}"


def spec_of(seen: ItemObservation) -> dict[str, str]:
    """What the object says."""
    return {
        "provider": seen.provider, "loadBalancer": seen.load_balancer, "kind": seen.kind, "name": seen.name,
        "version": seen.version, "engineVersion": seen.engine_version, "message": seen.message[:1024],
    }  # fmt: skip


def refusals(present: Mapping[str, Quarantine]) -> list[ItemObservation]:
    """What the objects say, for the distribution; objects that say nothing sensible are passed over."""
    return [row for one in present.values() if (row := _refusal(one.spec)) is not None]


def _refusal(spec: QuarantineSpec) -> ItemObservation | None:
    typed = (
        parse(Name, spec.provider), parse(Id, spec.load_balancer), parse(Label, spec.kind), parse(Label, spec.name),
        parse(Digest, spec.version), parse(Label, spec.engine_version), parse(Sentence, spec.message),
    )  # fmt: skip
    provider, load_balancer, kind, name, version, engine, message = typed
    if any(isinstance(one, Refused) for one in typed):
        return None
    return ItemObservation(
        provider=provider, load_balancer=load_balancer, kind=kind, name=name, version=version,  # type: ignore[arg-type]
        state=ItemState.REJECTED, message=message, engine_version=engine,  # type: ignore[arg-type]
    )  # fmt: skip
