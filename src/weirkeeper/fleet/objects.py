"""The Kubernetes objects that wished fleets come to, and what to do about those that are there.

Comes in: wishes, and marks and digests of what an API server has. Goes out: bodies, and steps in order: accounts before the pods that use them, and nothing that is not
ours is ever named. A body carries the digest of itself; an object whose digest is another one was made by another version or for another wish.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from weirkeeper.fleet.containers import Body, ports_of
from weirkeeper.fleet.place import INSTALL, LOAD_BALANCER, OF, FleetPlace, fleet_name, home, marks, text_of
from weirkeeper.fleet.pods import CONTAINERS, pod_template, rollout
from weirkeeper.kube.resources import KNOWN, GroupKind, Resource
from weirkeeper.model.fleet import FleetExposure, FleetWish

Roots = Mapping[str, str]
NO_ROOTS: Roots = {}
DIGEST = "weirkeeper.io/digest"
ACCOUNT: GroupKind = ("", "ServiceAccount")
DEPLOYMENT: GroupKind = ("apps", "Deployment")
DAEMON_SET: GroupKind = ("apps", "DaemonSet")
SERVICE: GroupKind = ("", "Service")
CONFIG_MAP: GroupKind = ("", "ConfigMap")
KINDS: tuple[Resource, ...] = (KNOWN[ACCOUNT], KNOWN[SERVICE], KNOWN[DEPLOYMENT], KNOWN[DAEMON_SET])
"""In the order in which they are made."""
KINDS_ELSEWHERE = (KNOWN[CONFIG_MAP], *KINDS)
"""Outside of the namespace of the install's instances they need a copy of what they have to trust."""
SERVICE_TYPES: Mapping[FleetExposure, str] = {
    "nodePort": "NodePort",
    "loadBalancer": "LoadBalancer",
    "clusterIP": "ClusterIP",
}


class Key(NamedTuple):
    """An object of ours."""

    kind: GroupKind
    name: str
    namespace: str


class Found(NamedTuple):
    """What is there: enough to say whether it is ours, whether it is right, and to write over it and nothing else."""

    uid: str
    version: str
    labels: Mapping[str, str]
    digest: str
    annotations: Mapping[str, str] = {}
    finalizers: tuple[str, ...] = ()
    leaving: bool = False


class Step(NamedTuple):
    """One write. ``body`` of a deletion is empty."""

    what: Literal["create", "replace", "delete"]
    key: Key
    body: Mapping[str, Any]
    found: Found | None = None


def fleet_objects(place: FleetPlace, wish: FleetWish, roots: Roots = NO_ROOTS) -> dict[Key, Body]:
    """The objects of one fleet; none where its engine is one that we cannot start. ``roots`` is what its pods have to trust, by file."""
    if wish.provider not in CONTAINERS:
        return {}
    kind = DAEMON_SET if wish.fleet.mode == "daemonset" else DEPLOYMENT
    spec = {
        "selector": {"matchLabels": marks(place, wish.load_balancer)},
        "template": pod_template(place, wish),
        **rollout(wish.fleet),
    }
    bodies = {
        ACCOUNT: _body(ACCOUNT, place, wish, {"automountServiceAccountToken": False}),
        kind: _body(kind, place, wish, {"spec": spec}),
    }
    if wish.fleet.exposure in SERVICE_TYPES and ports_of(wish):
        bodies[SERVICE] = _service(place, wish)
    if elsewhere(place, wish):
        bodies[CONFIG_MAP] = _body(CONFIG_MAP, place, wish, {"data": dict(roots)})
    name, namespace = fleet_name(place, wish.load_balancer), home(place, wish)
    return {Key(of_kind, name, namespace): _stamped(body) for of_kind, body in bodies.items()}


def elsewhere(place: FleetPlace, wish: FleetWish) -> bool:
    """Whether the fleet lives outside of the namespace of the install's instances."""
    return home(place, wish) != place.namespace


def _service(place: FleetPlace, wish: FleetWish) -> Body:
    """Local traffic only: a node without an instance takes nothing, and the client's address stays what it is."""
    spec = {
        "type": SERVICE_TYPES[wish.fleet.exposure],
        **({} if wish.fleet.exposure == "clusterIP" else {"externalTrafficPolicy": "Local"}),
        **_addresses(wish),
        "selector": marks(place, wish.load_balancer),
        "ports": [
            {"name": name, "port": port, "targetPort": port, "protocol": protocol}
            for name, port, protocol in ports_of(wish)
        ],
    }
    body = _body(SERVICE, place, wish, {"spec": spec})
    chosen = {**dict(wish.fleet.service_annotations), **body["metadata"]["annotations"]}
    return {**body, "metadata": {**body["metadata"], "annotations": chosen}}


def _addresses(wish: FleetWish) -> Body:
    """Certain addresses: a cloud is asked for one (core/v1 ServiceSpec.loadBalancerIP), nodes are told to take them for theirs (externalIPs)."""
    if not wish.addresses or wish.fleet.exposure == "nodePort":
        return {}
    if wish.fleet.exposure == "loadBalancer":
        return {"loadBalancerIP": wish.addresses[0]}
    return {"externalIPs": list(wish.addresses)}


def steps(
    place: FleetPlace, wishes: Iterable[FleetWish], found: Mapping[Key, Found], roots: Roots = NO_ROOTS
) -> tuple[Step, ...]:
    """What to write, in order: what is too much goes first, since it may have the ports of what comes."""
    wished = {key: body for wish in wishes for key, body in fleet_objects(place, wish, roots).items()}
    ours = {key: one for key, one in found.items() if _is_ours(place, one)}
    order = {(one.group, one.kind): at for at, one in enumerate(KINDS_ELSEWHERE)}
    too_much = sorted(ours.keys() - wished.keys(), key=lambda key: (-order[key.kind], key.name, key.namespace))
    made = sorted(wished, key=lambda key: (order[key.kind], key.name))
    gone = [Step("delete", key, {}, ours[key]) for key in too_much if not ours[key].leaving]
    return (*gone, *(step for key in made for step in _step(key, wished[key], found.get(key), key in ours)))


def accounts(place: FleetPlace, wishes: Iterable[FleetWish]) -> dict[str, frozenset[str]]:
    """Which load balancer each fleet's service account may run instances of: its own."""
    return {
        f"{home(place, wish)}/{fleet_name(place, wish.load_balancer)}": frozenset({wish.load_balancer})
        for wish in wishes
        if wish.provider in CONTAINERS
    }


def selector(place: FleetPlace) -> str:
    """The label selector of all objects of ours."""
    return f"{INSTALL}={place.install},{LOAD_BALANCER}"


def unstartable(wishes: Sequence[FleetWish]) -> tuple[FleetWish, ...]:
    """Fleets of engines that we cannot start."""
    return tuple(wish for wish in wishes if wish.provider not in CONTAINERS)


def over(body: Body, found: Found) -> Body:
    """The body as it replaces what was found, and nothing newer. What controllers of others note in the metadata stays: a cloud keeps there what it has made."""
    meta = body["metadata"]
    annotations = {**found.annotations, **meta["annotations"]}
    kept = {"annotations": annotations, "finalizers": list(found.finalizers), "resourceVersion": found.version}
    return {**body, "metadata": {**meta, **kept}}


def _step(key: Key, body: Body, there: Found | None, ours: bool) -> tuple[Step, ...]:
    if there is None:
        return (Step("create", key, body),)
    if not ours or there.leaving or there.digest == body["metadata"]["annotations"][DIGEST]:
        return ()
    return (Step("replace", key, body, there),)


def _is_ours(place: FleetPlace, one: Found) -> bool:
    return one.labels.get(INSTALL) == place.install and LOAD_BALANCER in one.labels


def _body(kind: GroupKind, place: FleetPlace, wish: FleetWish, more: Body) -> Body:
    meta = {
        "name": fleet_name(place, wish.load_balancer),
        "namespace": home(place, wish),
        "labels": {
            **text_of(wish.labels),
            **marks(place, wish.load_balancer),
            "app.kubernetes.io/part-of": "weirkeeper",
        },
        "annotations": {**text_of(wish.annotations), OF: wish.load_balancer},
    }
    return {"apiVersion": KNOWN[kind].api_version, "kind": kind[1], "metadata": meta, **more}


def _stamped(body: Body) -> Body:
    digest = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()[:16]
    meta = {**body["metadata"], "annotations": {**body["metadata"]["annotations"], DIGEST: digest}}
    return {**body, "metadata": meta}
