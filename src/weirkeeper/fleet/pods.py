"""The pod of an instance: its engine, as a rule on its host's network, with a program of ours that gets its certificate and answers its probes.

Comes in: a place, a fleet. Goes out: a pod template (core/v1 PodTemplateSpec) as the API takes it. With Envoy it is the same pod as that of the shipped DaemonSet; a test holds
the two together. The account of its token is the fleet's own, which may have certificates of its own load balancer and of no other.

Why root: ports below 1024 on the host's network are root's, or of whoever has NET_BIND_SERVICE, which a program that is not root cannot be given without a changed
binary. So the engine is root with this one capability, and what is ours is root with none, to share its files.
"""

from collections.abc import Callable, Mapping

from weirkeeper.fleet import envoy_pod, haproxy_pod, nginx_pod
from weirkeeper.fleet.containers import ENDING, LEAVING, Body
from weirkeeper.fleet.place import OF, FleetPlace, authority, fleet_name, marks, text_of
from weirkeeper.model.fleet import Fleet, FleetWish, Toleration

CONTAINERS: Mapping[str, Callable[[FleetPlace, FleetWish], Body]] = {
    "envoy": envoy_pod.containers,
    "haproxy": haproxy_pod.containers,
    "nginx": nginx_pod.containers,
}
"""The engines that we can start, each with its containers."""
MEMORY = {"envoy": "64Mi", "haproxy": "512Mi", "nginx": "256Mi"}
"""How large the files are that an engine shares with what is ours, at most: HAProxy's are its whole configuration, NGINX's its log and what bodies it holds."""
SETTLING = 10
"""Seconds from an instance that is ready to the next one that is told to go: until clients have heard of its address."""
LOST_AFTER = 5
"""Seconds on a host that is not heard of, before the instance is started elsewhere."""


def pod_template(place: FleetPlace, wish: FleetWish) -> Body:
    """The template of a fleet's pods."""
    labels = {**text_of(wish.labels), **marks(place, wish.load_balancer), "app.kubernetes.io/component": "instance"}
    spec = {
        "serviceAccountName": fleet_name(place, wish.load_balancer),
        "automountServiceAccountToken": False,
        **_network(wish.fleet),
        "terminationGracePeriodSeconds": LEAVING + place.drain_seconds + ENDING,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": 0, "runAsGroup": 0},
        "nodeSelector": dict(wish.fleet.node_selector),
        "tolerations": [*map(_toleration, wish.fleet.tolerations), *_lost_hosts()],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_apart(place, wish)]}},
        **CONTAINERS[wish.provider](place, wish),
        "volumes": _volumes(place, wish),
    }
    return {
        "metadata": {"labels": labels, "annotations": {**text_of(wish.annotations), OF: wish.load_balancer}},
        "spec": spec if wish.fleet.node_selector else _without(spec, "nodeSelector"),
    }


def rollout(fleet: Fleet) -> Body:
    """How a new template comes in: one host after the other. A host takes no second instance beside the first."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    if fleet.mode == "daemonset":
        return {"minReadySeconds": SETTLING, "updateStrategy": rolling}
    return {"replicas": fleet.replicas, "minReadySeconds": SETTLING, "strategy": rolling}


def _network(fleet: Fleet) -> Body:
    on_host = fleet.exposure == "hostNetwork"
    return {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"} if on_host else {}


def _apart(place: FleetPlace, wish: FleetWish) -> Body:
    selector = {"matchLabels": marks(place, wish.load_balancer)}
    return {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}


def _toleration(one: Toleration) -> Body:
    found: Body = {"operator": "Exists" if one.value is None else "Equal"}
    if one.key:
        found["key"] = one.key
    if one.value is not None:
        found["value"] = one.value
    if one.effect is not None:
        found["effect"] = one.effect
    return found


def _lost_hosts() -> list[Body]:
    keys = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
    return [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": LOST_AFTER} for key in keys]


def _volumes(place: FleetPlace, wish: FleetWish) -> list[Body]:
    """Private keys are in the first, so it is memory."""
    token = {"serviceAccountToken": {"audience": place.audience, "path": "token", "expirationSeconds": 3600}}
    return [
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": MEMORY[wish.provider]}},
        {"name": "token", "projected": {"sources": [token]}},
        {"name": "authority", "configMap": {"name": authority(place, wish)}},
    ]


def _without(body: Body, name: str) -> Body:
    return {key: value for key, value in body.items() if key != name}
