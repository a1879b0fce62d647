"""Neutral configuration as an object: what no Ingress can say goes in through the same door.

In: an `Intent` on an object of a kind of our own. Out: that intent, through compose, fit and the provider like any other.
"""

from weirkeeper.controllers.base import Inputs, Intent, Kind
from weirkeeper.flow import Graph, Table
from weirkeeper.kube.types import KubeObject
from weirkeeper.model.ids import Ref

GROUP = "conformance.weirkeeper.io"


class Neutral(KubeObject, frozen=True, kw_only=True):
    """An object that says its intent outright."""

    intent: Intent


class NeutralController:
    """Takes objects at their word."""

    name = "neutral"
    kinds: tuple[Kind, ...] = (Kind(group=GROUP, version="v1", kind="Neutral", type=Neutral),)

    def declare(self, graph: Graph, inputs: Inputs) -> tuple[Table[Ref, Intent], ...]:
        """One intent for each object."""
        return (graph.derive("neutral.intents", inputs.of(Neutral), lambda _, __, found: found.intent),)
