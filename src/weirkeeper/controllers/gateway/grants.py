"""Whether a reference may lead where it leads: the one resolver for all references of all kinds.

Comes in: who refers, and to what. Goes out: yes or no. Within a namespace always; into another one only with a ReferenceGrant there (Gateway API, ReferenceGrant). The
namespace of the *referrer* decides, never a name that it says of itself. A grant that goes takes its consent with it, at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

from weirkeeper.controllers.base import Inputs
from weirkeeper.flow import Graph, Index, Read
from weirkeeper.kube.gateway_types import ReferenceGrant
from weirkeeper.model.ids import Ref


class Consent(NamedTuple):
    """From all objects of a kind in a namespace, to one object, or with no name to all of its kind."""

    cluster: str
    from_group: str
    from_kind: str
    from_namespace: str
    to_group: str
    to_kind: str
    to_namespace: str
    to_name: str


Grants = Index[Consent, Ref, ReferenceGrant]


def declare_grants(graph: Graph, inputs: Inputs) -> Grants:
    """The index of all consents."""
    return graph.index("gateway.grants", inputs.of(ReferenceGrant), lambda ref, grant: tuple(_consents(ref, grant)))


def permitted(read: Read, grants: Grants, referrer: Ref, to: Ref) -> bool:
    """Whether the reference may be followed."""
    if (referrer.cluster, referrer.namespace) == (to.cluster, to.namespace):
        return True
    if referrer.cluster != to.cluster:
        return False
    asked = Consent(
        to.cluster, referrer.group, referrer.kind, referrer.namespace, to.group, to.kind, to.namespace, to.name
    )
    return bool(read.lookup(grants, asked) or read.lookup(grants, asked._replace(to_name="")))


def _consents(ref: Ref, grant: ReferenceGrant) -> Iterator[Consent]:
    for one in grant.spec.from_ or ():
        for to in grant.spec.to or ():
            yield Consent(
                ref.cluster, one.group, one.kind, one.namespace, to.group, to.kind, ref.namespace, to.name or ""
            )
