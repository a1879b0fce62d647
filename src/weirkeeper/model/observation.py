"""What a provider saw. Comes back in through the same front door as objects do."""

from enum import StrEnum

from weirkeeper.model.address import PublicAddress
from weirkeeper.model.text import Id, Sentence
from weirkeeper.model.value import Value


class ItemState(StrEnum):
    """What became of one engine item."""

    PENDING = "pending"
    PROGRAMMED = "programmed"
    REJECTED = "rejected"


class ItemObservation(Value, frozen=True, kw_only=True):
    """The state of one engine item (``provider:kind:name``), the version it holds for, and the engine's words where it was rejected."""

    item: Id
    version: str
    state: ItemState
    message: Sentence = Sentence("")
    provider_version: str = ""


class LoadBalancerObservation(Value, frozen=True, kw_only=True):
    """The addresses at which a load balancer answers; only instances that have acknowledged count."""

    load_balancer: Id
    provider: str
    addresses: tuple[PublicAddress, ...] = ()
    instances: int = 0
