"""The parts of an intent as rows, a function for each kind of part.

Comes in: what one object means. Goes out: rows by the keys of their tables. A spread may not yield a key twice, and an object may name the same thing twice: the first one stands.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from weirkeeper.compose.certificates import CertificateClaim
from weirkeeper.controllers.base import CertificateWish, EndpointSetWish, HostedRoute, Intent
from weirkeeper.flow import Read
from weirkeeper.model.backend import Backend
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.config import LoadBalancer
from weirkeeper.model.ids import Part, Ref
from weirkeeper.model.listener import Listener
from weirkeeper.model.route import L4Route
from weirkeeper.model.text import Id

R = TypeVar("R")
W = TypeVar("W")


def load_balancers(_: Read, __: Ref, intent: Intent) -> Iterator[tuple[Id, LoadBalancer]]:
    if intent.defines is not None:
        yield intent.defines.id, intent.defines


def listeners(_: Read, __: Ref, intent: Intent) -> Iterator[tuple[Part, Listener]]:
    return first_of_each((Part(listener.load_balancer, listener.id), listener) for listener in intent.listeners)


def routes(_: Read, __: Ref, intent: Intent) -> Iterator[tuple[Id, HostedRoute]]:
    return first_of_each((hosted.route.id, hosted) for hosted in intent.routes)


def l4_routes(_: Read, __: Ref, intent: Intent) -> Iterator[tuple[Part, L4Route]]:
    return first_of_each((Part(route.load_balancer, route.id), route) for route in intent.l4_routes)


def backends(_: Read, __: Ref, intent: Intent) -> Iterator[tuple[Part, Backend]]:
    return first_of_each((Part(intent.load_balancer, backend.id), backend) for backend in intent.backends)


def bundles(_: Read, __: Ref, intent: Intent) -> Iterator[tuple[Part, TrustBundle]]:
    return first_of_each((Part(intent.load_balancer, bundle.id), bundle) for bundle in intent.trust_bundles)


def endpoint_sets(_: Read, __: Ref, intent: Intent) -> Iterator[tuple[Part, EndpointSetWish]]:
    return first_of_each((Part(intent.load_balancer, wish.id), wish) for wish in intent.endpoint_sets)


def certificates(_: Read, ref: Ref, intent: Intent) -> Iterator[tuple[CertificateClaim, CertificateWish]]:
    for position, wish in enumerate(intent.certificates):
        yield CertificateClaim(Part(intent.load_balancer, wish.id), ref, position), wish


def first_of_each(rows: Iterable[tuple[R, W]]) -> Iterator[tuple[R, W]]:
    """The rows without those whose key was there before."""
    found: dict[R, W] = {}
    for key, value in rows:
        found.setdefault(key, value)
    return iter(found.items())
