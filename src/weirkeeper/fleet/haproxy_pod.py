"""A HAProxy in its pod: a master with workers in a container of its own, and the agent that programs it. Pure.

Comes in: a place, a fleet. Goes out: containers as core/v1 has them. Neither is the other's parent: each is started again by the kubelet alone. HAProxy waits for the agent's files, and
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

SHARED = f"{RUN}/haproxy"
BELOW = 8_000
"""HAProxy itself answers probes so far below the agent's port: one that hangs is started again, whatever the agent does. A node that is short of processor time is
given ten seconds: what hangs is told by the agent long before."""
START = f"""\
mkdir -p {SHARED} && cd {SHARED} || exit 1
old=/proc/$(cat haproxy.pid 2>/dev/null)
[ "$(cat $old/comm 2>/dev/null)" = haproxy ] && kill -KILL "-$(cut -d ' ' -f 5 $old/stat)"
until [ -e haproxy.cfg ]; do sleep 0.1; done
haproxy -W -p haproxy.pid -S unix@master.sock,mode,600 -f haproxy.cfg 2>>complaints.log &
trap 'while kill -USR1 $! 2>/dev/null; do sleep 1; done; exit 0' TERM
wait $!
"""
"""What outlived an earlier life of this shell is ended first, with its group: it would keep its share of the connections. Complaints go to a file: HAProxy 2.6
tells them nobody else. A signal is lost on one that only starts: it is told to end until it does. Between two reloads the file that it starts from is a gate
(`docs/haproxy.md`)."""


def containers(place: FleetPlace, wish: FleetWish) -> Body:
    """Both stay, and the agent may end a worker that hangs: its processes are the pod's."""
    return {"shareProcessNamespace": True, "containers": [_haproxy(place, wish), _agent(place, wish)]}


def _haproxy(place: FleetPlace, wish: FleetWish) -> Body:
    own = health_port(wish.load_balancer) - BELOW
    return {
        "name": "haproxy",
        "image": place.haproxy_image,
        "command": ["/bin/sh", "-c", START],
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


def _agent(place: FleetPlace, wish: FleetWish) -> Body:
    health = health_port(wish.load_balancer)
    arguments = [
        "agent", "haproxy", *instance(wish), "--address=$(HOST_ADDRESS)",
        f"--control-plane={control_plane(place, place.streams_port)}", f"--exchange={control_plane(place, place.exchange_port)}",
        f"--engine-folder={SHARED}", f"--engine-listen={own_address(wish)}:{health - BELOW}", f"--listen={own_address(wish)}:{health}",
        f"--engine-option=stop-seconds={max(place.drain_seconds, 1)}",
    ]  # fmt: skip
    return {
        **weir(place, "agent", arguments, of_pod(wish)),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVING}}},
        "ports": [port("health", health, of_host=on_host(wish))],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "health"}, "periodSeconds": 2, "timeoutSeconds": 2},
        "livenessProbe": {
            "httpGet": {"path": "/started", "port": "health"},
            "initialDelaySeconds": 30, "periodSeconds": 10, "timeoutSeconds": 3,
        },
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
    }  # fmt: skip
