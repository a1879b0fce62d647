"""What a provider saw. Comes back in through the same front door as objects do."""

from enum import StrEnum

from weirkeeper.model.address import PublicAddress
from weirkeeper.model.fleet import FleetExposure
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import Digest, Id, IpAddress, Label, Name, Sentence, Timestamp
from weirkeeper.model.value import Told, Value


class ItemState(StrEnum):
    """What became of one engine item."""

    PENDING = "pending"
    PROGRAMMED = "programmed"
    REJECTED = "rejected"


class ItemObservation(Told, frozen=True, kw_only=True):
    """The state of one engine item, the version it holds for, and the engine's words where it was rejected."""

    provider: Name
    load_balancer: Id
    kind: Label
    name: Label
    version: Digest
    state: ItemState
    message: Sentence = Sentence("")
    engine_version: Label = Label("")


class LoadBalancerObservation(Value, frozen=True, kw_only=True):
    """The addresses at which a load balancer answers; only instances that have acknowledged count."""

    load_balancer: Id
    provider: Name
    addresses: tuple[PublicAddress, ...] = ()
    instances: int = 0


class InstanceObservation(Told, frozen=True, kw_only=True):
    """One instance of a load balancer, as one replica of the control plane sees it through the instance's own stream.

    ``replica`` is the control plane replica that the stream ends at (an instance that moves to another one is seen twice until the first lets go).
    ``addresses`` are where clients reach the instance, by its own word. ``serving``: it has acknowledged a first full configuration; without it the
    instance is gone, or its engine has not done what is wished for longer than the grace time. ``trouble`` says why the engine does not, by its agent's word.
    """

    load_balancer: Id
    provider: Name
    instance: Label
    replica: Label = Label("")
    addresses: tuple[IpAddress, ...] = ()
    serving: bool = True
    trouble: Sentence = Sentence("")

    @property
    def stands(self) -> bool:
        """Whether there is something to say of it."""
        return self.serving or bool(self.trouble)


class InstanceLeaving(Value, frozen=True, kw_only=True):
    """An instance that was told to go and still serves: its address is nobody's any more. ``leaving`` is off when it has been gone for a while."""

    load_balancer: Id
    instance: Label
    leaving: bool = True


class FleetService(Value, frozen=True, kw_only=True):
    """The Service in front of a fleet, as the API server has it: the ports that clients use (none: it is gone), and for a load balancer its addresses."""

    load_balancer: Id
    exposure: FleetExposure
    ports: tuple[int, ...] = ()
    addresses: tuple[PublicAddress, ...] = ()


class InstancesMissing(Value, frozen=True, kw_only=True):
    """A load balancer has had too few instances for so long that its owner should know. ``lasting`` is off when it has all again, or nobody watches."""

    load_balancer: Id
    lasting: bool = True


class StatusWish(Value, frozen=True, kw_only=True):
    """What an object's status should say: addresses of its load balancer, as pairs of IP address and host name, one of which is empty."""

    ref: Ref
    addresses: tuple[tuple[str, str], ...] = ()
    ports: tuple[int, ...] = ()


class Today(Value, frozen=True, kw_only=True):
    """What day it is, given by the shell (RFC 3339): the core reads no clock."""

    day: Timestamp
