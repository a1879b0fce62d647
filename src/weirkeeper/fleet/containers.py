"""The parts of which pods of instances are made, whatever their engine. Pure.

Comes in: a place, a fleet. Goes out: containers of ours, ports, arguments, as core/v1 has them.
"""

import hashlib
from typing import Any

from weirkeeper.fleet.place import FleetPlace
from weirkeeper.model.fleet import ON_HOST_PORTS, FleetWish
from weirkeeper.model.text import Id
from weirkeeper.model.words import Transport

Body = dict[str, Any]

RUN = "/run/weirkeeper"
HEALTH_PORTS = range(21_000, 29_000)
"""Where sidecars answer probes: of each fleet at another port, as several may meet on one host. Below the ports that Linux gives out by itself."""
LEAVING = 15
"""Seconds that an instance goes on as before after its pod was told to go: so long its address may still be in use. Then it drains."""
ENDING = 15
"""Seconds for everything else, until the pod is killed."""

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


def health_port(load_balancer: Id) -> int:
    """The port at which the sidecars of a fleet answer."""
    return HEALTH_PORTS[int(hashlib.sha256(load_balancer.encode()).hexdigest(), 16) % len(HEALTH_PORTS)]


def weir(place: FleetPlace, name: str, arguments: list[str], more: tuple[Body, ...] = ()) -> Body:
    """A container of ours, without any power."""
    return {
        "name": name,
        "image": place.image,
        "args": arguments,
        "env": [*ENVIRONMENT, *more],
        "securityContext": POWERLESS,
        "volumeMounts": FILES,
    }


def drain(place: FleetPlace) -> Body:
    """How long an instance may drain, as a variable."""
    return {"name": "WEIR_DRAIN_SECONDS", "value": str(place.drain_seconds)}


def port(name: str, port: int, *, of_host: bool, protocol: Transport = "TCP") -> Body:
    """A port of the host is named as that: two instances that want it are never put on one host."""
    return {"name": name, "containerPort": port, **({"hostPort": port} if of_host else {}), "protocol": protocol}


def instance(wish: FleetWish) -> list[str]:
    """Who it is."""
    return [f"--load-balancer={wish.load_balancer.replace('$', '$$')}", "--instance=$(POD_NAME)"]


def control_plane(place: FleetPlace, port: int) -> str:
    """Where it turns to."""
    return f"{place.control_plane}:{port}"


def on_host(wish: FleetWish) -> bool:
    """Whether the pod is on the network of its host."""
    return wish.fleet.exposure == "hostNetwork"


def own_address(wish: FleetWish) -> str:
    """Where probes reach the pod."""
    return "$(HOST_ADDRESS)" if on_host(wish) else "$(POD_ADDRESS)"


def of_pod(wish: FleetWish) -> tuple[Body, ...]:
    """The variable of the pod's own address, where it has one."""
    return () if on_host(wish) else (POD_ADDRESS,)


def listening(wish: FleetWish) -> list[Body]:
    """The ports of the listeners, where they are taken from the host. Behind a Service nobody has to be told (core/v1, Container.ports), and a new port starts no pod anew."""
    if wish.fleet.exposure not in ON_HOST_PORTS:
        return []
    return [port(name, number, of_host=True, protocol=protocol) for name, number, protocol in ports_of(wish)]


def ports_of(wish: FleetWish) -> list[tuple[str, int, Transport]]:
    """The ports of the listeners by name, with what carries them."""
    streams: list[tuple[str, int, Transport]] = [(f"port-{number}", number, "TCP") for number in wish.ports]
    return streams + [(f"udp-{number}", number, "UDP") for number in wish.datagram_ports]
