"""The pod of an instance: Envoy, as a rule on its host's network, with the sidecar that gets its certificate and answers its probes.

Comes in: a place, a fleet. Goes out: a pod template (core/v1 PodTemplateSpec) as the API takes it. It is the same pod as that of the shipped DaemonSet; a test holds
the two together. The account of its token is the fleet's own, which may have certificates of its own load balancer and of no other.

Why root: ports below 1024 on the host's network are root's, or of whoever has NET_BIND_SERVICE, which a program that is not root cannot be given without a changed
binary. So Envoy is root with this one capability, and the sidecar root with none, to share its files.
"""

import hashlib
from typing import Any

from weirkeeper.fleet.place import OF, FleetPlace, fleet_name, marks
from weirkeeper.model.fleet import ON_HOST_PORTS, Fleet, FleetWish, Toleration
from weirkeeper.model.text import Id

Body = dict[str, Any]

RUN = "/run/weirkeeper"
HEALTH_PORTS = range(21_000, 29_000)
"""Where sidecars answer probes: of each fleet at another port, as several may meet on one host. Below the ports that Linux gives out by itself."""
LEAVING = 15
"""Seconds that an instance goes on as before after its pod was told to go: so long its address may still be in use. Then it drains."""
ENDING = 15
"""Seconds for everything else, until the pod is killed."""
LOST_AFTER = 10
"""Seconds on a host that is not heard of, before the instance is started elsewhere."""

POWERLESS: Body = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
FILES: list[Body] = [
    {"name": "run", "mountPath": RUN},
    {"name": "token", "mountPath": "/var/run/secrets/weirkeeper", "readOnly": True},
    {"name": "authority", "mountPath": "/etc/weirkeeper/authority", "readOnly": True},
]
ENVIRONMENT: list[Body] = [
    {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    {"name": "HOST_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
]
POD_ADDRESS: Body = {"name": "POD_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}


def pod_template(place: FleetPlace, wish: FleetWish) -> Body:
    """The template of a fleet's pods."""
    labels = {**marks(place, wish.load_balancer), "app.kubernetes.io/component": "instance"}
    spec = {
        "serviceAccountName": fleet_name(place, wish.load_balancer),
        "automountServiceAccountToken": False,
        **_network(wish.fleet),
        "terminationGracePeriodSeconds": LEAVING + place.drain_seconds + ENDING,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": 0, "runAsGroup": 0},
        "nodeSelector": dict(wish.fleet.node_selector),
        "tolerations": [*map(_toleration, wish.fleet.tolerations), *_lost_hosts()],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_apart(place, wish)]}},
        "initContainers": [_bootstrap(place, wish), _first_certificate(place, wish)],
        "containers": [_envoy(place, wish), _sidecar(place, wish)],
        "volumes": _volumes(place),
    }
    return {
        "metadata": {"labels": labels, "annotations": {OF: wish.load_balancer}},
        "spec": spec if wish.fleet.node_selector else _without(spec, "nodeSelector"),
    }


def health_port(load_balancer: Id) -> int:
    """The port at which the sidecars of a fleet answer."""
    return HEALTH_PORTS[int(hashlib.sha256(load_balancer.encode()).hexdigest(), 16) % len(HEALTH_PORTS)]


def rollout(fleet: Fleet) -> Body:
    """How a new template comes in: one host after the other. A host takes no second instance beside the first."""
    rolling = {"maxUnavailable": 1, "maxSurge": 0}
    if fleet.mode == "daemonset":
        return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}
    return {"replicas": fleet.replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}


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


def _bootstrap(place: FleetPlace, wish: FleetWish) -> Body:
    arguments = [
        "bootstrap", *_instance(wish), "--address=$(HOST_ADDRESS)",
        f"--control-plane={_control_plane(place, place.streams_port)}", f"--output={RUN}/bootstrap.json",
    ]  # fmt: skip
    return _weir(place, "bootstrap", arguments)


def _first_certificate(place: FleetPlace, wish: FleetWish) -> Body:
    """Envoy does not start without a certificate; so the first one is fetched before."""
    exchange = f"--control-plane={_control_plane(place, place.exchange_port)}"
    return _weir(place, "first-certificate", ["sidecar", "--once", *_instance(wish), exchange])


def _sidecar(place: FleetPlace, wish: FleetWish) -> Body:
    exchange = f"--control-plane={_control_plane(place, place.exchange_port)}"
    on_host = wish.fleet.exposure == "hostNetwork"
    own = "$(HOST_ADDRESS)" if on_host else "$(POD_ADDRESS)"
    arguments = ["sidecar", *_instance(wish), exchange, f"--listen={own}:{health_port(wish.load_balancer)}"]
    return {
        **_weir(place, "sidecar", arguments, (*(() if on_host else (POD_ADDRESS,)), _drain(place))),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING}}},
        "ports": [_port("health", health_port(wish.load_balancer), of_host=on_host)],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "health"}, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {
            "httpGet": {"path": "/started", "port": "health"},
            "initialDelaySeconds": 30, "periodSeconds": 10, "timeoutSeconds": 3,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }  # fmt: skip


def _envoy(place: FleetPlace, wish: FleetWish) -> Body:
    return {
        "name": "envoy",
        "image": place.envoy_image,
        "args": ["-c", f"{RUN}/bootstrap.json", "--disable-hot-restart", "-l", "warn", "--drain-strategy", "immediate"],
        "ports": [_port(f"port-{p}", p, of_host=wish.fleet.exposure in ON_HOST_PORTS) for p in wish.ports],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "3Gi"}},
        "lifecycle": {"preStop": {"httpGet": {"path": "/drained", "port": health_port(wish.load_balancer)}}},
        "securityContext": {**POWERLESS, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        "volumeMounts": FILES,
    }


def _weir(place: FleetPlace, name: str, arguments: list[str], more: tuple[Body, ...] = ()) -> Body:
    return {
        "name": name,
        "image": place.image,
        "args": arguments,
        "env": [*ENVIRONMENT, *more],
        "securityContext": POWERLESS,
        "volumeMounts": FILES,
    }


def _drain(place: FleetPlace) -> Body:
    return {"name": "WEIR_DRAIN_SECONDS", "value": str(place.drain_seconds)}


def _port(name: str, port: int, *, of_host: bool) -> Body:
    """A port of the host is named as that: two instances that want it are never put on one host."""
    return {"name": name, "containerPort": port, **({"hostPort": port} if of_host else {}), "protocol": "TCP"}


def _volumes(place: FleetPlace) -> list[Body]:
    """Private keys are in the first, so it is memory."""
    token = {"serviceAccountToken": {"audience": place.audience, "path": "token", "expirationSeconds": 3600}}
    return [
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "token", "projected": {"sources": [token]}},
        {"name": "authority", "configMap": {"name": f"{place.install}-authority"}},
    ]


def _instance(wish: FleetWish) -> list[str]:
    return [f"--load-balancer={wish.load_balancer.replace('$', '$$')}", "--instance=$(POD_NAME)"]


def _control_plane(place: FleetPlace, port: int) -> str:
    return f"{place.control_plane}:{port}"


def _without(body: Body, name: str) -> Body:
    return {key: value for key, value in body.items() if key != name}
