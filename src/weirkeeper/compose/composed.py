"""The tables that composing ends in, and that a provider begins with."""

from typing import NamedTuple

from weirkeeper.flow import Table
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.ids import HostKey, Part
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import VirtualHost
from weirkeeper.model.text import Id


class Composed(NamedTuple):
    """The tables that a provider translates: only rows of load balancers that name it, fitted to what it can do."""

    load_balancers: Table[Id, LoadBalancer]
    listeners: Table[Part, Listener]
    virtual_hosts: Table[HostKey, VirtualHost]
    backends: Table[Part, Backend]
    endpoint_sets: Table[Part, EndpointSet]
    certificates: Table[Part, Certificate]
    trust_bundles: Table[Part, TrustBundle]
