"""Addresses wished and addresses given."""

from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Hostname, Id, IpAddress, Label
from weirkeeper.model.value import Value


class AddressClaim(Value, frozen=True, kw_only=True):
    """A load balancer's wish for addresses: families (4, 6), certain addresses or a pool, and who may share them."""

    id: Id
    load_balancer: Id
    families: tuple[int, ...] = (4,)
    requested: tuple[IpAddress, ...] = ()
    pool: Label | None = None
    sharing_key: Label | None = None
    announce: Label | None = None
    origin: Origin


class AddressGrant(Value, frozen=True, kw_only=True):
    """Addresses that were given for a claim."""

    claim: Id
    addresses: tuple[IpAddress, ...] = ()


class PublicAddress(Value, frozen=True, kw_only=True):
    """Where clients reach a load balancer: an IP address or a host name, with its ports."""

    ip: IpAddress | None = None
    hostname: Hostname | None = None
    ports: tuple[int, ...] = ()


class Published(Value, frozen=True, kw_only=True):
    """Which addresses the statuses of a load balancer's objects say: those of a Service in front of it, or these. Without it: its instances' own."""

    service: Ref | None = None
    addresses: tuple[PublicAddress, ...] = ()
