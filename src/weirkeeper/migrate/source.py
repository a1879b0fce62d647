"""What Ingresses mean, gathered from the settled tables: fronts with listeners, hosts, routes in their order of matching, certificates and backends.

Comes in: a settled program. Goes out: ``Front``, one for each load balancer that an Ingress is for. Nothing is read from Ingresses here: what their annotations mean was decided by
the controller, and only there.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from weirkeeper.controllers.base import CertificateWish, EndpointSetWish, Intent
from weirkeeper.controllers.shared.ids import id_of
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import L4Route, Route
from weirkeeper.model.text import Hostname, Id
from weirkeeper.tables import Program

INGRESS = "Ingress"


class HostRoutes(NamedTuple):
    """A host with its routes in the order of matching; ``guarded`` are those of the listener that asks its clients for certificates."""

    routes: tuple[Route, ...] = ()
    guarded: tuple[Route, ...] = ()


class Front(NamedTuple):
    """One load balancer with all that hangs on it; ``only`` is the namespace that it stands for, where there is one for each."""

    load_balancer: LoadBalancer
    name: str
    listeners: tuple[Listener, ...]
    hosts: Mapping[Hostname, HostRoutes]
    streams: tuple[L4Route, ...]
    certificates: tuple[CertificateWish, ...]
    backends: Mapping[Id, Backend]
    wishes: Mapping[Id, EndpointSetWish]
    bundles: Mapping[Id, TrustBundle]
    only: str = ""

    @property
    def namespaces(self) -> list[str]:
        """The namespaces of what it serves."""
        hosts = self.hosts.values()
        routes = [route.origin.ref for host in hosts for route in (*host.routes, *host.guarded)]
        return sorted({ref.namespace for ref in (*routes, *(one.origin.ref for one in self.streams)) if ref.namespace})

    def port(self, protocol: str) -> int | None:
        """Where it listens for HTTP or HTTPS."""
        return next((one.port for one in self.listeners if one.protocol == protocol), None)

    def within(self, namespace: str) -> "Front":
        """What of it belongs to a namespace."""
        hosts = {
            name: HostRoutes(_of(one.routes, namespace), _of(one.guarded, namespace))
            for name, one in self.hosts.items()
        }
        return self._replace(
            hosts={name: one for name, one in hosts.items() if one.routes or one.guarded},
            streams=tuple(one for one in self.streams if one.origin.ref.namespace == namespace),
            only=namespace,
        )


def _of(routes: Iterable[Route], namespace: str) -> tuple[Route, ...]:
    return tuple(one for one in routes if one.origin.ref.namespace in {"", namespace})


def fronts(program: Program) -> list[Front]:
    """Every load balancer that serves something."""
    graph = program.graph
    intents = [intent for _, intent in sorted(graph.rows(program.intents).items())]
    found = [
        _front(program, front, [one for one in intents if one.load_balancer == name])
        for name, front in sorted(graph.rows(program.load_balancers).items())
    ]
    return [one for one in found if one.hosts or one.streams]


def _front(program: Program, front: LoadBalancer, intents: list[Intent]) -> Front:
    return Front(
        load_balancer=front,
        name=_name(front),
        listeners=tuple(
            one for key, one in sorted(program.graph.rows(program.listeners).items()) if key.load_balancer == front.id
        ),
        hosts=_hosts(program, front.id),
        streams=tuple(
            one for key, one in sorted(program.graph.rows(program.l4_routes).items()) if key.load_balancer == front.id
        ),
        certificates=tuple(sorted((wish for one in intents for wish in one.certificates if not wish.client), key=_age)),
        backends={one.id: one for intent in intents for one in intent.backends},
        wishes={one.id: one for intent in intents for one in intent.endpoint_sets},
        bundles={one.id: one for intent in intents for one in intent.trust_bundles},
    )


def _age(wish: CertificateWish) -> tuple[str, str]:
    return wish.origin.created_at or "9999", wish.origin.ref.key


def _name(front: LoadBalancer) -> str:
    """The class's name, save where an Ingress has a load balancer of its own."""
    if front.class_name and front.id == id_of("ingress", front.class_name):
        return front.class_name
    return front.id.partition("/")[2] or front.id


def _hosts(program: Program, front: Id) -> dict[Hostname, HostRoutes]:
    found: dict[Hostname, HostRoutes] = {}
    for key, host in sorted(program.graph.rows(program.virtual_hosts).items()):
        if key.load_balancer == front:
            known = found.get(key.hostname, HostRoutes())
            shared = key.group == Id(f"{front}/main")
            found[key.hostname] = known._replace(routes=host.routes) if shared else known._replace(guarded=host.routes)
    return found


def refs_of(route: Route) -> list[Ref]:
    """The Ingresses that had a part in a route."""
    return list(dict.fromkeys([route.origin.ref, *(one.ref for one in route.also)]))


def without_scheme(route: Route) -> Route:
    """The route at a listener, which has but one scheme."""
    return msgspec.structs.replace(route, match=msgspec.structs.replace(route.match, scheme=None))
