"""Which routes hang on which listeners: the same for every kind of route.

Comes in: a route's parents and host names, and the judged listeners. Goes out: ``Attached``: for each parent of ours whether it was accepted, and where its hosts are served. A parent
that is not ours is passed over: what is said of it is its own controller's.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from weirkeeper.controllers.base import Inputs
from weirkeeper.controllers.gateway.classes import OurGateway
from weirkeeper.controllers.gateway.hosts import behind, meeting, narrower
from weirkeeper.controllers.gateway.listeners import Claim, EntryKey, Listening
from weirkeeper.controllers.gateway.namespaces import SAME, allows
from weirkeeper.controllers.shared.report import warning
from weirkeeper.flow import Index, Read, Table
from weirkeeper.kube.conditions import Judgement
from weirkeeper.kube.gateway_types import GROUP, ParentReference
from weirkeeper.model.finding import Effect, Finding, Reason
from weirkeeper.model.ids import Ref
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Hostname, Id
from weirkeeper.model.value import Value

EVERY = "All"
"""The scope of default Gateways; there is no other but ``None``."""


class Home(NamedTuple):
    """A place in the model where a route's host is served; ``port`` and ``scheme`` are those that clients use. ``rank`` is below zero where the route names more than the host (``behind``)."""

    load_balancer: Id
    group: Id
    hostname: Hostname
    port: int
    scheme: str
    rank: int = 0


class Parent(Value, frozen=True, kw_only=True):
    """What became of one parent reference. ``sections`` are the listeners that it counts for; ``missed`` is where it would be served, were it not for a narrower listener."""

    reference: ParentReference
    gateway: Ref
    load_balancer: Id
    accepted: Judgement
    sections: tuple[EntryKey, ...] = ()
    homes: tuple[Home, ...] = ()
    missed: tuple[Home, ...] = ()


class Attached(Value, frozen=True, kw_only=True):
    """All parents of a route that are ours."""

    parents: tuple[Parent, ...]


class Reach(NamedTuple):
    """A route leads requests of a Gateway to a Service."""

    service: Ref
    gateway: Ref
    route: Ref


class Tables(NamedTuple):
    """What attachment reads."""

    inputs: Inputs
    gateways: Table[Ref, OurGateway]
    homes_of_sets: Table[Ref, Ref]
    """The Gateway of each ListenerSet that was let in."""
    by_owner: Index[Ref, EntryKey, Listening]
    claims: Table[Claim, EntryKey]
    by_default: Index[str, Ref, OurGateway]
    """The Gateways of a cluster that are parents of all routes that wish for it (GEP-3793)."""


class Wished(NamedTuple):
    """What a route says of its parents."""

    named: Sequence[ParentReference]
    default_scope: str | None


def attached(read: Read, tables: Tables, route: Ref, wished: Wished, hostnames: Sequence[Hostname]) -> Attached | None:
    """What becomes of a route's parents; nothing when none of them is ours."""
    parents = [*wished.named, *_defaults(read, tables, route, wished)]
    found = [_parent(read, tables, route, one, hostnames) for one in parents]
    ours = tuple(one for one in found if one is not None)
    return Attached(parents=ours) if ours else None


def _defaults(read: Read, tables: Tables, route: Ref, wished: Wished) -> Iterator[ParentReference]:
    """The default Gateways, as if the route named them; not those that it does name as a whole."""
    if wished.default_scope != EVERY:
        return
    named = {parent_ref(route, one) for one in wished.named if not (one.section_name or one.port)}
    for gateway, _ in sorted(read.lookup(tables.by_default, route.cluster), key=lambda row: row[0]):
        if gateway not in named:
            yield ParentReference(namespace=gateway.namespace, name=gateway.name)


def parent_ref(route: Ref, one: ParentReference) -> Ref:
    """The object that a route names as its parent."""
    return Ref(
        cluster=route.cluster,
        group=GROUP if one.group is None else one.group,
        kind=one.kind or "Gateway",
        namespace=one.namespace or route.namespace,
        name=one.name,
    )


def reaches(route: Ref, at: Attached, services: Iterable[Ref]) -> Iterator[tuple[Reach, bool]]:
    """Which Services the Gateways of a route send to."""
    gateways = {parent.gateway for parent in at.parents if parent.accepted.good}
    yield from ((Reach(service, gateway, route), True) for service in services for gateway in gateways)


def unserved(at: Attached, origin: Origin) -> Iterator[Finding]:
    """What the owner of a route should know of hosts that it names and nowhere gets."""
    served = {(one.load_balancer, one.port, one.hostname) for parent in at.parents for one in parent.homes}
    for parent in at.parents:
        lost = [one for one in parent.missed if (one.load_balancer, one.port, one.hostname) not in served]
        for name, port in dict.fromkeys((one.hostname, one.port) for one in lost):
            text = f"{name} is the host of a narrower listener at port {port} of {parent.gateway}, which does not have this route; requests for it do not come here"
            remedy = "attach the route to that listener, if its owner lets it in, or choose another host name"
            yield warning(Reason.HOST_OF_ANOTHER, origin, text, remedy, Effect.RULE_DROPPED)


def _parent(
    read: Read, tables: Tables, route: Ref, one: ParentReference, hostnames: Sequence[Hostname]
) -> Parent | None:
    owner = parent_ref(route, one)
    gateway = owner if owner.kind == "Gateway" else read.get(tables.homes_of_sets, owner)
    ours = read.get(tables.gateways, gateway) if gateway is not None and owner.group == GROUP else None
    if gateway is None or ours is None:
        return None
    listeners = read.lookup(tables.by_owner, owner)
    named = [row for row in listeners if _named(row, one)]
    allowed = [row for row in named if _allowed(read, tables, row, route)]
    met = [(row, meeting(row[1].hostname, hostnames)) for row in allowed]
    fitting = [(row, hosts) for row, hosts in met if hosts]
    judged = _judged(one, len(named), len(allowed), len(fitting))
    places = [row for (key, at), hosts in fitting if at.serves for row in _homes(read, tables, key, at, hosts)]
    homes = [home._replace(rank=behind(home.hostname, hostnames)) for home, own in places if own]
    return Parent(
        reference=one,
        gateway=gateway,
        load_balancer=ours.load_balancer,
        accepted=judged,
        sections=tuple(key for (key, _), _ in fitting),
        homes=tuple(dict.fromkeys(homes)),
        missed=tuple(dict.fromkeys(home for home, own in places if not own)),
    )


def _named(row: tuple[EntryKey, Listening], one: ParentReference) -> bool:
    key, at = row
    return (not one.section_name or one.section_name == key.name) and (not one.port or one.port == at.port)


def _allowed(read: Read, tables: Tables, row: tuple[EntryKey, Listening], route: Ref) -> bool:
    key, at = row
    wished = at.allowed.namespaces if at.allowed is not None else None
    return route.kind in at.kinds and allows(read, tables.inputs, wished, key.owner, route, default=SAME)


def _judged(one: ParentReference, named: int, allowed: int, fitting: int) -> Judgement:
    if not named:
        place = " and ".join([*(["section"] if one.section_name else []), *(["port"] if one.port else [])])
        why = f"the parent has no listener with this {place}" if place else "the parent has no listeners"
        return Judgement(good=False, reason="NoMatchingParent", message=why)
    if not allowed:
        why = "no listener of the parent allows routes of this kind from this namespace"
        return Judgement(good=False, reason="NotAllowedByListeners", message=why)
    if not fitting:
        why = "no host name of the route is one of the listener's"
        return Judgement(good=False, reason="NoMatchingListenerHostname", message=why)
    return Judgement(good=True, reason="Accepted")


def _homes(
    read: Read, tables: Tables, key: EntryKey, at: Listening, hosts: Sequence[Hostname]
) -> Iterator[tuple[Home, bool]]:
    """The hosts, and whether no narrower listener of the port has them: those are its own, whether a route of it has them or not."""
    scheme = "https" if at.family == "tls" else "http"
    for host in hosts:
        taken = (
            read.contains(tables.claims, Claim(key.gateway, at.port, at.family, one))
            for one in narrower(host, at.hostname)
        )
        yield Home(at.load_balancer, at.group, host, at.port, scheme), not any(taken)
