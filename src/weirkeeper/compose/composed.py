"""The tables that composing ends in, and that a provider begins with."""

from typing import NamedTuple

from weirkeeper.flow import Table
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.ids import HostKey, Part, ServerName
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import L4Route, VirtualHost
from weirkeeper.model.text import Id


class Composed(NamedTuple):
    """The tables that a provider translates: only rows of load balancers that name it, fitted to what it can do.

    ``server_names`` are the hosts for which objects name a certificate, with its id; it goes before the ``names`` of certificates.
    """

    load_balancers: Table[Id, LoadBalancer]
    listeners: Table[Part, Listener]
    virtual_hosts: Table[HostKey, VirtualHost]
    backends: Table[Part, Backend]
    endpoint_sets: Table[Part, EndpointSet]
    certificates: Table[Part, Certificate]
    server_names: Table[ServerName, Id]
    trust_bundles: Table[Part, TrustBundle]
    l4_routes: Table[Part, L4Route]
