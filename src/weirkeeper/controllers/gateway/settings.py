"""Settings of the Gateway API controller, given by whoever runs the program; what owners of classes may choose is in ``shared.parameters``."""

from weirkeeper.model.address import Published
from weirkeeper.model.text import IpAddress, Label, Name
from weirkeeper.model.value import Value

OURS = Label("weirkeeper.io/gateway")


class GatewaySettings(Value, frozen=True, kw_only=True):
    """The defaults suit a folder of files.

    ``controller``: whose GatewayClasses are ours; it stands in every status entry that is ours too. ``addresses``: where listeners bind; none: everywhere.
    ``api_server``: names and addresses that no backend may have, besides the well-known ones. ``fleets``: whether we start instances;
    ``fleet_namespaces``: where they may live besides the install's own namespace, ``*`` for everywhere.
    ``pods``: whether pods are read where an XBackend selects them. ``features``: what a class may claim with each provider (Gateway API's names). ``published``: which addresses statuses say where a class does not choose; nothing: those of its instances.
    """

    controller: Label = OURS
    addresses: tuple[IpAddress, ...] = ()
    provider: Name = Name("envoy")
    api_server: tuple[str, ...] = ()
    published: Published | None = None
    pods: bool = True
    fleets: bool = False
    fleet_namespaces: tuple[str, ...] = ()
    features: tuple[tuple[Name, tuple[Label, ...]], ...] = ()
