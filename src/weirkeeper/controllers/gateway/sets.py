"""ListenerSets: whose they are, and whether their Gateway lets them in.

Comes in: a ListenerSet. Goes out: ``SetParent``, or nothing where its Gateway is not ours. A Gateway that says nothing lets nobody in (Gateway API, Gateway.spec.allowedListeners).
"""

from weirkeeper.controllers.base import Inputs
from weirkeeper.controllers.gateway.classes import OurGateway
from weirkeeper.controllers.gateway.listeners import referred
from weirkeeper.controllers.gateway.namespaces import allows
from weirkeeper.flow import Read, Table
from weirkeeper.kube.conditions import Judgement
from weirkeeper.kube.gateway_types import GROUP, ListenerSet
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Id
from weirkeeper.model.value import Value


class SetParent(Value, frozen=True, kw_only=True):
    """A ListenerSet with its Gateway, and whether it was let in."""

    found: ListenerSet
    gateway: Ref
    load_balancer: Id
    let_in: Judgement


def set_parent(read: Read, inputs: Inputs, gateways: Table[Ref, OurGateway], found: ListenerSet) -> SetParent | None:
    """The Gateway of a ListenerSet, where it is ours."""
    gateway = referred(found.ref, found.spec.parent_ref, "Gateway", GROUP)
    ours = read.get(gateways, gateway)
    if ours is None:
        return None
    wished = ours.gateway.spec.allowed_listeners
    good = allows(read, inputs, wished.namespaces if wished is not None else None, gateway, found.ref, default="None")
    let_in = Judgement(good=True, reason="Accepted")
    if not good:
        why = "the Gateway lets no ListenerSet of this namespace in (spec.allowedListeners)"
        let_in = Judgement(good=False, reason="NotAllowed", message=why)
    elif ours.wrong:
        let_in = Judgement(good=False, reason="ParentNotAccepted", message="the Gateway itself is not accepted")
    return SetParent(found=found, gateway=gateway, load_balancer=ours.load_balancer, let_in=let_in)
