"""An Envoy in its pod: the bootstrap, the first certificate, Envoy, the sidecar. Pure.

Comes in: a place, a fleet. Goes out: containers as core/v1 has them.
"""

from weirkeeper.fleet.containers import (
    FILES,
    LEAVING,
    POWERLESS,
    RUN,
    Body,
    control_plane,
    drain,
    health_port,
    instance,
    listening,
    of_pod,
    on_host,
    own_address,
    port,
    weir,
)
from weirkeeper.fleet.place import FleetPlace
from weirkeeper.model.fleet import FleetWish


def containers(place: FleetPlace, wish: FleetWish) -> Body:
    """Those that come first, and those that stay."""
    return {
        "initContainers": [_bootstrap(place, wish), _first_certificate(place, wish)],
        "containers": [_envoy(place, wish), _sidecar(place, wish)],
    }


def _bootstrap(place: FleetPlace, wish: FleetWish) -> Body:
    arguments = [
        "bootstrap", *instance(wish), "--address=$(HOST_ADDRESS)",
        f"--control-plane={control_plane(place, place.streams_port)}", f"--output={RUN}/bootstrap.json",
    ]  # fmt: skip
    return weir(place, "bootstrap", arguments)


def _first_certificate(place: FleetPlace, wish: FleetWish) -> Body:
    """Envoy does not start without a certificate; so the first one is fetched before."""
    exchange = f"--control-plane={control_plane(place, place.exchange_port)}"
    return weir(place, "first-certificate", ["sidecar", "--once", *instance(wish), exchange])


def _sidecar(place: FleetPlace, wish: FleetWish) -> Body:
    exchange = f"--control-plane={control_plane(place, place.exchange_port)}"
    arguments = [
        "sidecar",
        *instance(wish),
        exchange,
        f"--listen={own_address(wish)}:{health_port(wish.load_balancer)}",
    ]
    return {
        **weir(place, "sidecar", arguments, (*of_pod(wish), drain(place))),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING}}},
        "ports": [port("health", health_port(wish.load_balancer), of_host=on_host(wish))],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "health"}, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {
            "httpGet": {"path": "/started", "port": "health"},
            "initialDelaySeconds": 120, "periodSeconds": 10, "timeoutSeconds": 3,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
    }  # fmt: skip


def _envoy(place: FleetPlace, wish: FleetWish) -> Body:
    return {
        "name": "envoy",
        "image": place.envoy_image,
        "args": ["-c", f"{RUN}/bootstrap.json", "--disable-hot-restart", "-l", "warn", "--drain-strategy", "immediate"],
        "ports": listening(wish),
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "3Gi"}},
        "lifecycle": {"preStop": {"httpGet": {"path": "/drained", "port": health_port(wish.load_balancer)}}},
        "securityContext": {**POWERLESS, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        "volumeMounts": FILES,
    }
