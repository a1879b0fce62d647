"""An engine in its pod with the agent that programs it, each in a container of its own. Pure.

Comes in: a place, a fleet, how the engine is started. Goes out: containers as core/v1 has them. Neither is the other's parent: each is started again by the kubelet alone. The engine waits for the agent's files, and
listens nowhere before it was programmed; told to go, it answers what is under way.
"""

from weirkeeper.fleet.containers import (
    FILES,
    LEAVING,
    POWERLESS,
    RUN,
    Body,
    control_plane,
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

BELOW = 8_000
"""The engine itself answers probes so far below the agent's port: one that hangs is started again, whatever the agent does. A node that is short of processor time is
given ten seconds: what hangs is told by the agent long before."""


def shared(engine: str) -> str:
    """The folder that an engine has in common with its agent."""
    return f"{RUN}/{engine}"


def containers(place: FleetPlace, wish: FleetWish, engine: str, image: str, start: str) -> Body:
    """Both stay, and the agent may end a worker that hangs: its processes are the pod's. ``start`` is a shell script."""
    return {
        "shareProcessNamespace": True,
        "containers": [_engine(wish, engine, image, start), _agent(place, wish, engine)],
    }


def _engine(wish: FleetWish, engine: str, image: str, start: str) -> Body:
    own = health_port(wish.load_balancer) - BELOW
    return {
        "name": engine,
        "image": image,
        "command": ["/bin/sh", "-c", start],
        "ports": [*listening(wish), port("alive", own, of_host=on_host(wish))],
        "livenessProbe": {
            "httpGet": {"path": "/", "port": "alive"},
            "initialDelaySeconds": 10, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 5,
        },
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "3Gi"}},
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING}}},
        "securityContext": {**POWERLESS, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}},
        "volumeMounts": FILES[:1],
    }  # fmt: skip


def _agent(place: FleetPlace, wish: FleetWish, engine: str) -> Body:
    health = health_port(wish.load_balancer)
    arguments = [
        "agent", engine, *instance(wish), "--address=$(HOST_ADDRESS)",
        f"--control-plane={control_plane(place, place.streams_port)}", f"--exchange={control_plane(place, place.exchange_port)}",
        f"--engine-folder={shared(engine)}", f"--engine-listen={own_address(wish)}:{health - BELOW}", f"--listen={own_address(wish)}:{health}",
        f"--engine-option=stop-seconds={max(place.drain_seconds, 1)}",
    ]  # fmt: skip
    return {
        **weir(place, "agent", arguments, of_pod(wish)),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING}}},
        "ports": [port("health", health, of_host=on_host(wish))],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "health"}, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {
            "httpGet": {"path": "/started", "port": "health"},
            "initialDelaySeconds": 120, "periodSeconds": 10, "timeoutSeconds": 3,
        },
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
    }  # fmt: skip
