"""Whose an Ingress is.

In this order: ``spec.ingressClassName``; the legacy annotation ``kubernetes.io/ingress.class``; the default class (the oldest, then first by name, when
there are several). A class that another controller has is not ours, and nothing is said. Where no IngressClass object is there at all (a folder of
plain manifests), the built-in class serves every Ingress and says so.
"""

from collections.abc import Sequence

import msgspec

from weirkeeper.controllers.ingress.classes import OurClass
from weirkeeper.controllers.shared.report import info, warning
from weirkeeper.kube.types import Ingress, IngressClass
from weirkeeper.model.finding import Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import shown

LEGACY = "kubernetes.io/ingress.class"


class Wanted(msgspec.Struct, frozen=True):
    """The class that an Ingress names, and in which field; no name is the default class."""

    name: str
    field: str


def wanted(ingress: Ingress) -> Wanted:
    """The class that an Ingress names."""
    if ingress.spec.ingress_class_name:
        return Wanted(ingress.spec.ingress_class_name, "spec.ingressClassName")
    legacy = ingress.annotations.get(LEGACY, "")
    return Wanted(legacy, f"metadata.annotations[{LEGACY}]") if legacy else Wanted("", "spec.ingressClassName")


def default_class(defaults: Sequence[tuple[Ref, IngressClass]]) -> Ref | None:
    """The default class: the oldest, then the first by name."""
    if not defaults:
        return None
    return min(defaults, key=lambda pair: (pair[1].metadata.creation_timestamp or "9999", pair[0]))[0]


def several_defaults(ingress: Ingress, defaults: Sequence[tuple[Ref, IngressClass]]) -> tuple[Finding, ...]:
    """What to say when more than one class is the default."""
    if len(defaults) < 2:
        return ()
    names = ", ".join(shown(ref.name) for ref, _ in defaults[:5])
    return (
        warning(
            Reason.SEVERAL_DEFAULT_CLASSES,
            ingress.origin("spec.ingressClassName"),
            f"several classes are the default: {names}; the oldest one is taken",
            "name the class in spec.ingressClassName, or leave one default class",
        ),
    )


def served_without_class(ingress: Ingress, named: Wanted, ours: OurClass) -> tuple[Finding, ...]:
    """What to say when the built-in class serves an Ingress that names another one. One that names none means just that."""
    if not named.name:
        return ()
    said = f"names the class {shown(named.name)}, which is not there"
    return (
        info(
            Reason.UNKNOWN_CLASS,
            ingress.origin(named.field),
            f"the Ingress {said}; there is no IngressClass at all, so the built-in class {shown(ours.name)} serves it",
            "nothing to do; add an IngressClass to choose who serves it",
        ),
    )
