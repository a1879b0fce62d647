"""The root: everything that one load balancer is to do, in words that no engine owns.

It is put together only on demand (golden cases, ``weir translate``, ``weir explain``) and never kept as a table in the running program: a value that
holds all routes is made anew at every change of one. It is not a user-facing Kubernetes resource either; our manifest kind is a type of its own.
"""

from typing import Annotated

from weirkeeper.model.address import AddressClaim, Published
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import Certificate, TrustBundle
from weirkeeper.model.endpoint import EndpointSet
from weirkeeper.model.features import Need
from weirkeeper.model.filters import ErrorPages, HeaderEdit, Timeouts
from weirkeeper.model.finding import Finding
from weirkeeper.model.fleet import Fleet
from weirkeeper.model.listener import Listener
from weirkeeper.model.origin import Origin
from weirkeeper.model.route import L4Route, VirtualHost
from weirkeeper.model.text import Id, IpAddress, Label, Name
from weirkeeper.model.value import Value


class Defaults(Value, frozen=True, kw_only=True):
    """What holds for every route that does not say otherwise."""

    timeouts: Timeouts = Timeouts()
    error_pages: Annotated[ErrorPages | None, Need("CustomErrorPages")] = None
    response_headers: Annotated[HeaderEdit | None, Need("HTTPRouteResponseHeaderModification")] = None
    access_log: Annotated[bool, Need("AccessLog")] = True
    tracing: Annotated[bool, Need("Tracing")] = False


class Infrastructure(Value, frozen=True, kw_only=True):
    """How its instances are wished. ``fleet``: those that we start; nothing where somebody else starts them. The rest is as in ``FleetWish``."""

    labels: tuple[tuple[Label, Label], ...] = ()
    annotations: tuple[tuple[Label, Label], ...] = ()
    namespace: Name | None = None
    addresses: tuple[IpAddress, ...] = ()
    fleet: Fleet | None = None


NOTHING_STARTED = Infrastructure()
"""Somebody else starts the instances."""


class LoadBalancer(Value, frozen=True, kw_only=True):
    """The front itself, without what hangs on it: a small value that changes seldom."""

    id: Id
    class_name: Name | None = None
    provider: Name = Name("envoy")
    defaults: Defaults = Defaults()
    infrastructure: Infrastructure = NOTHING_STARTED
    published: Published | None = None
    origin: Origin


class LoadBalancerConfig(Value, frozen=True, kw_only=True):
    """One load balancer, whole. Sequences are in a fixed order."""

    load_balancer: LoadBalancer
    listeners: tuple[Listener, ...] = ()
    virtual_hosts: tuple[VirtualHost, ...] = ()
    l4_routes: tuple[L4Route, ...] = ()
    backends: tuple[Backend, ...] = ()
    endpoint_sets: tuple[EndpointSet, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    trust_bundles: tuple[TrustBundle, ...] = ()
    address_claims: tuple[AddressClaim, ...] = ()
    findings: tuple[Finding, ...] = ()
