"""Routes put where they hang: a translated route at each of its homes.

Comes in: what a route means, and what it is attached to. Goes out: an ``Intent`` for each load balancer. The id of a model route begins with its rule's and match's number, so that the order
of rules decides between equals (Gateway API, HTTPRouteRule.matches).
"""

from collections.abc import Iterator, Mapping

import msgspec

from weirkeeper.controllers.base import CertificateWish, HostedRoute, Intent
from weirkeeper.controllers.gateway.attachment import Attached, Home
from weirkeeper.controllers.gateway.rules import Translated
from weirkeeper.controllers.gateway.sessions import placed
from weirkeeper.controllers.shared.ids import below, id_of, place
from weirkeeper.model.backend import Backend
from weirkeeper.model.finding import Finding
from weirkeeper.model.ids import Ref
from weirkeeper.model.route import Redirect, Route
from weirkeeper.model.text import Id

PORTS = {"http": 80, "https": 443}


def intents(
    route: Ref,
    attached: Attached,
    found: Translated,
    identities: Mapping[Id, CertificateWish],
    lost: tuple[Finding, ...],
) -> Iterator[tuple[Ref, Intent]]:
    """The part of a route in each load balancer that it hangs on; the first one's stands under the route's own name. ``identities`` are what load balancers show to backends, ``lost`` says which hosts it does not get."""
    by_front: dict[Id, dict[Home, None]] = {}
    for parent in attached.parents:
        by_front.setdefault(parent.load_balancer, {}).update(dict.fromkeys(parent.homes))
    for i, (front, homes) in enumerate(by_front.items()):
        identity = identities.get(front) if any(one.tls is not None for one in found.backends) else None
        yield (
            part_ref(route, front, i),
            Intent(
                load_balancer=front,
                routes=tuple(hosted for home in homes for one in found.routes for hosted in _hosted(route, home, one)),
                backends=tuple(_showing(one, identity) for one in found.backends) if homes else (),
                endpoint_sets=found.endpoint_sets if homes else (),
                certificates=(*found.certificates, *([identity] if identity is not None else [])) if homes else (),
                trust_bundles=found.trust_bundles if homes else (),
                findings=(*found.findings, *lost) if i == 0 else (),
            ),
        )


def _showing(one: Backend, identity: CertificateWish | None) -> Backend:
    if one.tls is None or identity is None or one.tls.client_certificate is not None:
        return one
    return msgspec.structs.replace(one, tls=msgspec.structs.replace(one.tls, client_certificate=identity.id))


def part_ref(route: Ref, front: Id, number: int) -> Ref:
    """What a route is called in its several load balancers; no object has the later ones' names."""
    return route if number == 0 else msgspec.structs.replace(route, name=f"{route.name} {front}")


def _hosted(route: Ref, home: Home, whole: Route) -> Iterator[HostedRoute]:
    parts = {_named(route, home, one): one for one in placed(whole, home.scheme)}
    plain = next(reversed(parts))
    for name, one in parts.items():
        action = _redirect(one.action, home) if isinstance(one.action, Redirect) else one.action
        made = msgspec.structs.replace(one, id=name, action=action, priority=home.rank)
        yield HostedRoute(
            load_balancer=home.load_balancer,
            group=home.group,
            hostname=home.hostname,
            follows=None if name == plain else plain,
            route=made,
        )


def _named(route: Ref, home: Home, one: Route) -> Id:
    rule = id_of(route.kind, place(route), route.name, *one.id.split("/"))
    return below(rule, *home.group.split("/"), home.hostname, joint="@")


def _redirect(one: Redirect, home: Home) -> Redirect:
    """With the port that the location has: the scheme's own where one is named, else the listener's (Gateway API, HTTPRequestRedirectFilter.port)."""
    if one.port is not None:
        return one if one.scheme is not None else msgspec.structs.replace(one, scheme=home.scheme)
    if one.scheme is not None:
        plain = home.port in PORTS.values()
        return one if plain else msgspec.structs.replace(one, port=PORTS[one.scheme])
    if one.host is None or home.port == PORTS[home.scheme]:
        return one
    return msgspec.structs.replace(one, port=home.port)
