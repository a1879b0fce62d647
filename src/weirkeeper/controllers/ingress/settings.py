"""Settings of the Ingress controller, given by whoever runs the program; what owners of classes may choose is in ``parameters``."""

from weirkeeper.model.address import Published
from weirkeeper.model.ids import Ref
from weirkeeper.model.text import IpAddress, Name
from weirkeeper.model.value import Value

OURS = "weirkeeper.io/ingress"
INGRESS_NGINX = "k8s.io/ingress-nginx"


class IngressSettings(Value, frozen=True, kw_only=True):
    """The defaults suit a folder of files; ``in_cluster`` gives those of a cluster.

    ``controllers``: whose IngressClasses are ours. ``implicit_class``: where no IngressClass object is there at all, one named like this serves
    every Ingress. ``addresses``: where listeners bind; none: everywhere. ``api_server``: names and addresses that no backend may have, besides the well-known ones.
    ``fleets``: whether we start instances where that is wished. ``node_ports``: whether nodes are read, so that classes may send requests to node ports.
    ``workloads``: whether workloads and their pods are read where a backend names them.
    ``tcp_services``, ``udp_services``: the ConfigMaps with ports of bytes of classes that name none.
    ``published``: which addresses statuses say where a class does not choose; nothing: those of its instances.
    """

    controllers: tuple[str, ...] = (OURS, INGRESS_NGINX)
    implicit_class: Name | None = Name("weirkeeper")
    http_port: int = 80
    https_port: int = 443
    addresses: tuple[IpAddress, ...] = ()
    provider: Name = Name("envoy")
    api_server: tuple[str, ...] = ()
    published: Published | None = None
    fleets: bool = False
    node_ports: bool = True
    workloads: bool = True
    tcp_services: Ref | None = None
    udp_services: Ref | None = None

    @property
    def reads_nodes(self) -> bool:
        """Whether nodes are read, for node ports or for fleets."""
        return self.node_ports or self.fleets


def in_cluster(api_server: tuple[str, ...] = (), *, nginx_classes: bool = False) -> IngressSettings:
    """Settings for a cluster: only classes that name our controller (and ingress-nginx's where wished)."""
    controllers = (OURS, INGRESS_NGINX) if nginx_classes else (OURS,)
    return IngressSettings(controllers=controllers, implicit_class=None, api_server=api_server)
