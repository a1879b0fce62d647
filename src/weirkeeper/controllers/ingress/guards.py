"""Hosts whose clients must show a certificate (auth-tls-secret): who decides for a host, what is demanded, and the listener that demands it.

Theory of operation. A certificate is a matter of the connection, so one Ingress decides for the whole host: the oldest one with the annotation, and only
in the namespace of the oldest Ingress that has the host at all, so that no stranger can lock a host. Its HTTPS listener for that host has a route group of its own
(decision 0004), into which the routes of every Ingress of the host go. What is left of the host elsewhere sends plain HTTP to HTTPS and refuses (421) requests
that came in by another connection. Where the demand cannot be met, nobody passes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from weirkeeper.controllers.base import HostedRoute
from weirkeeper.controllers.ingress.claimed import Claimed, first_of
from weirkeeper.controllers.ingress.classes import https_listener, part_of
from weirkeeper.controllers.ingress.scope import Scope
from weirkeeper.controllers.shared.ids import id_of
from weirkeeper.controllers.shared.report import error
from weirkeeper.controllers.shared.secrets import secret_text
from weirkeeper.flow import Index
from weirkeeper.kube.types import Secret
from weirkeeper.model.certificate import TrustBundle
from weirkeeper.model.finding import Effect, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.listener import ClientValidation, Listener
from weirkeeper.model.match import RouteMatch
from weirkeeper.model.route import Redirect, Respond, Route
from weirkeeper.model.text import Hostname, Id, PemText, Refused, parse
from weirkeeper.model.words import ClientCertificates

Claims = Index[tuple[Id, Hostname], Ref, Claimed]
MODES: dict[str, ClientCertificates] = {
    "on": "require",
    "optional": "optional",
    "optional_no_ca": "allow-insecure-fallback",
}
DEFAULT_DEPTH = 1
MISDIRECTED = 421
BELOW_EVERYTHING = -10_000


class Guard(NamedTuple):
    """The Ingress that decides for a host, and the route group of its listener; no group where the demand cannot be met."""

    owner: Claimed
    group: Id | None


class Demand(NamedTuple):
    """What is demanded of clients, and the authorities that their certificates must lead to."""

    validation: ClientValidation
    trust: TrustBundle


def wishes_guard(claimed: Claimed) -> bool:
    """Whether an Ingress asks for client certificates."""
    options = claimed.options
    return options.tls_secret is not None and options.tls_verify in MODES and not options.canary


def guard_of(scope: Scope, guarded: Claims, mains: Claims, host: Hostname, own: Demand | None) -> Guard | None:
    """What holds for a host; ``own`` is what the Ingress itself demands."""
    key = (scope.ours.load_balancer, host)
    asking = scope.read.lookup(guarded, key)
    if not asking or host.startswith("*"):
        return None
    owner_of_all, _ = first_of(scope.read.lookup(mains, key), host)
    fitting = [found for found in asking if found[0].namespace == owner_of_all.namespace]
    if not fitting:
        return None
    _, owner = first_of(fitting, host)
    others = owner.ingress.ref != scope.ref
    wished = demanded(Scope(scope.read, scope.inputs, scope.settings, owner)) if others else own
    return Guard(owner, None if wished is None else _group(owner, host))


def demanded(scope: Scope) -> Demand | None:
    """What an Ingress demands of clients; nothing, and the Ingress closed, where it demands nothing or it cannot be met."""
    if not wishes_guard(scope.claimed):
        return None
    options, at = scope.options, scope.annotation("auth-tls-secret")
    trust = _authorities(scope)
    if trust is None:
        return None
    if https_listener(scope.ours, scope.settings) is None:
        scope.close(
            Reason.INVALID_ANNOTATION, at, "the class has no HTTPS port", "give it one, or take auth-tls-secret out"
        )
        return None
    validation = ClientValidation(
        trust=trust.id,
        mode=MODES[options.tls_verify],
        depth=DEFAULT_DEPTH if options.tls_depth is None else options.tls_depth,
        forward_details=True,
        forward_certificate=options.tls_pass,
    )
    return Demand(validation, trust)


def guard_listener(scope: Scope, host: Hostname, wished: Demand) -> Listener | None:
    """The HTTPS listener of a host that this Ingress decides for."""
    front = https_listener(scope.ours, scope.settings)
    if front is None or front.tls is None:
        return None
    return msgspec.structs.replace(
        front,
        id=part_of(scope.ours, "https", host),
        group=_group(scope.claimed, host),
        hostname=host,
        tls=msgspec.structs.replace(front.tls, default_certificate=None, client_validation=wished.validation),
        origin=scope.annotation("auth-tls-secret"),
    )


def elsewhere(scope: Scope, host: Hostname) -> Iterator[HostedRoute]:
    """What the host answers outside of its own listener: plain HTTP goes to HTTPS, all else was misdirected."""
    front = https_listener(scope.ours, scope.settings)
    port = None if front is None or front.port == 443 else front.port
    for kind, match, action in (
        ("to-https", RouteMatch(scheme="http"), Redirect(scheme="https", port=port, status=308)),
        ("misdirected", RouteMatch(), Respond(status=MISDIRECTED)),
    ):
        route = Route(
            id=id_of(scope.place, scope.name, host, kind),
            match=match,
            action=action,
            priority=BELOW_EVERYTHING,
            created_at=scope.origin.created_at,
            origin=scope.annotation("auth-tls-secret"),
        )
        yield HostedRoute(load_balancer=scope.ours.load_balancer, group=scope.ours.group, hostname=host, route=route)


def as_wished(scope: Scope, guard: Guard | None, host: Hostname) -> Guard | None:
    """The guard; or one that lets nobody pass, where the Ingress asks for certificates which are not demanded as it wishes."""
    if not wishes_guard(scope.claimed):
        return guard
    if guard is None:
        why = f"auth-tls-secret cannot hold for {host}: only exact hosts of one's own can ask for client certificates"
        remedy = "give the rule an exact host that no older Ingress of another namespace has"
        return _closed(scope, Reason.INVALID_HOST, why, remedy)
    if _asked(guard.owner) != _asked(scope.claimed):
        why = f"{guard.owner.ingress.ref} decides which certificates clients of {host} must show, and it wishes others"
        return _closed(scope, Reason.ANNOTATION_CONFLICT, why, "let the auth-tls annotations of both say the same")
    return guard


def _closed(scope: Scope, reason: Reason, why: str, remedy: str) -> Guard:
    at, text = scope.annotation("auth-tls-secret"), f"{why}; its requests are answered 503"
    scope.tell(error(reason, at, text, remedy, Effect.FAILS_CLOSED))
    return Guard(scope.claimed, None)


def _asked(claimed: Claimed) -> tuple[object, ...]:
    o = claimed.options
    return o.tls_secret, o.tls_verify, o.tls_depth


def _group(owner: Claimed, host: Hostname) -> Id:
    return Id(f"{owner.ours.load_balancer}/tls/{host}")


def _authorities(scope: Scope) -> TrustBundle | None:
    at = scope.annotation("auth-tls-secret")
    ref = scope.reference(scope.options.tls_secret or "", "Secret")
    if isinstance(ref, Refused):
        scope.close(Reason.CROSS_NAMESPACE, at, f"auth-tls-secret {ref.why}", "name a Secret of the same namespace")
        return None
    secret = scope.read.get(scope.inputs.of(Secret), ref)
    if secret is None:
        scope.close_without(ref, at, Reason.SECRET_NOT_FOUND)
        return None
    text = secret_text(secret, "ca.crt")
    pem = text if isinstance(text, Refused) else parse(PemText, text)
    if isinstance(pem, Refused) or "-----BEGIN CERTIFICATE-----" not in pem:
        why = f"the Secret {ref.key} has no authorities"
        scope.close(Reason.INVALID_SECRET, at, why, "put PEM certificates under the key ca.crt")
        return None
    return TrustBundle(id=id_of(scope.place, scope.name, ref.name, "client-ca"), certificates=pem, origin=at)
