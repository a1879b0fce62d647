"""Every setting of the running program, typed, each with a sentence.

Comes in: nothing. Goes out: `Settings`, and where its state is kept. The command line fills it in; nothing reads the environment behind its back.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from weirkeeper.model.value import Value


def _said(sentence: str) -> msgspec.Meta:
    return msgspec.Meta(description=sentence)


class Settings(Value, frozen=True, kw_only=True):
    """What an installation decides. A test fails for a setting without a sentence."""

    controllers: Annotated[tuple[str, ...], _said("The controllers that read objects, by entry point.")] = (
        "ingress", "manifests", "gateway",
    )  # fmt: skip
    providers: Annotated[tuple[str, ...], _said("The providers that program engines; the first is the default.")] = (
        "envoy",
    )
    state_directory: Annotated[str, _said("Where engines keep their files, with the read API's socket.")]
    addresses: Annotated[
        tuple[str, ...], _said("Addresses that listeners bind where no class says so; empty: all.")
    ] = ()
    http_port: Annotated[int, _said("Port for HTTP where no class says so.")] = 80
    https_port: Annotated[int, _said("Port for HTTPS where no class says so.")] = 443
    loopback_endpoints: Annotated[bool, _said("Whether endpoints may be on this machine's loopback.")] = False
    concurrency: Annotated[int | None, _said("Workers of a local engine; nothing: one for each core.")] = None
    drain_seconds: Annotated[float, _said("How long removed backends stay for requests that run.")] = 5.0
    engine_options: Annotated[dict[str, str], _said("Options that only the provider's engine understands.")] = {}
    log_format: Annotated[Literal["text", "json"], _said("How log lines are written.")] = "text"
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _said("The least that is logged.")] = "info"


class RunSettings(Value, frozen=True, kw_only=True):
    """What an installation in a cluster decides. Each is a flag of `weir run`, a variable of the environment and a key of its configuration file.

    Every name that an install uses is here, so that several live side by side: no two may share `namespace` and `name`.
    """

    controllers: Annotated[
        tuple[str, ...],
        _said("The controllers that read objects; empty: every one installed, `gateway` as its own setting says."),
    ] = ()
    providers: Annotated[tuple[str, ...], _said("The providers that program engines; the first is the default.")] = (
        "envoy",
    )
    kubeconfig: Annotated[str, _said("Kubeconfig file; empty: $KUBECONFIG, then the pod's own account.")] = ""
    context: Annotated[str, _said("Context of the kubeconfig; empty: its current one.")] = ""
    name: Annotated[str, _said("Name of this install: of its Lease, Secrets and ConfigMaps.")] = "weirkeeper"
    namespace: Annotated[str, _said("Namespace of this install; empty: the pod's own.")] = ""
    instance_namespace: Annotated[
        str, _said("Namespace of the instances, with their accounts and what they trust; empty: that of this install.")
    ] = ""
    identity: Annotated[str, _said("Name of this replica; empty: the host's name.")] = ""
    pod_address: Annotated[str, _said("Address at which the other replicas reach this one.")] = ""
    watch_namespaces: Annotated[tuple[str, ...], _said("Namespaces to serve; empty: all.")] = ()
    watch_labels: Annotated[str, _said("Label selector of the Ingresses to serve; empty: all.")] = ""
    class_controllers: Annotated[tuple[str, ...], _said("The controller names whose IngressClasses are ours.")] = (
        "weirkeeper.io/ingress",
    )
    gateway: Annotated[
        bool, _said("Whether Gateway API is served, where the cluster has its kinds (docs/gateway.md).")
    ] = False
    gateway_controller: Annotated[str, _said("The controller name whose GatewayClasses are ours.")] = (
        "weirkeeper.io/gateway"
    )
    http_port: Annotated[int, _said("Port for HTTP where no class says so; 0: none.")] = 80
    https_port: Annotated[int, _said("Port for HTTPS where no class says so; 0: none.")] = 443
    tcp_services: Annotated[
        str, _said("ConfigMap (NAMESPACE/NAME) with ports of TCP, as ingress-nginx had it; empty: none.")
    ] = ""
    udp_services: Annotated[
        str, _said("ConfigMap (NAMESPACE/NAME) with ports of UDP, as ingress-nginx had it; empty: none.")
    ] = ""
    publish: Annotated[
        tuple[str, ...],
        _said("What statuses show: `instances`, `service:NAMESPACE/NAME`, or addresses and host names."),
    ] = ("instances",)
    ads_address: Annotated[str, _said("Where engines connect (mutual TLS).")] = "0.0.0.0:18000"
    exchange_address: Annotated[
        str, _said("Where instances trade a token for a certificate, and replicas meet (TLS).")
    ] = "0.0.0.0:18001"
    health_address: Annotated[str, _said("Where /livez, /readyz and /metrics answer (HTTP).")] = "0.0.0.0:8080"
    server_names: Annotated[
        tuple[str, ...], _said("DNS names of the control plane in its certificate; empty: those of its Service.")
    ] = ()
    authority_directory: Annotated[
        str, _said("Folder with tls.crt, tls.key and ca.crt made by somebody else; empty: an authority of our own.")
    ] = ""
    instance_accounts: Annotated[
        tuple[str, ...],
        _said("Who may run instances: `NAMESPACE/SERVICEACCOUNT=LOAD-BALANCER`, `*` for all; empty: `<name>-envoy`."),
    ] = ()
    fleet: Annotated[
        bool, _said("Whether instances are started where classes and Ingresses wish for it (docs/fleet.md).")
    ] = False
    fleet_namespaces: Annotated[
        tuple[str, ...],
        _said("Namespaces where instances of Gateways may be started beside them (docs/fleet.md); `*` for all."),
    ] = ()
    fleet_image: Annotated[str, _said("Image of the instances' sidecar: that of the control plane.")] = (
        "weirkeeper/weirkeeper:0.1.0"
    )
    fleet_envoy_image: Annotated[str, _said("Image of the instances' Envoy.")] = (
        "envoyproxy/envoy:distroless-v1.37-latest"
    )
    fleet_haproxy_image: Annotated[str, _said("Image of the instances' HAProxy (2.6 or newer, with a shell).")] = (
        "haproxy:2.6"
    )
    fleet_nginx_image: Annotated[
        str, _said("Image of the instances' NGINX (1.22 or newer with Lua, and a shell; deploy/Containerfile.nginx).")
    ] = "weirkeeper/nginx:0.1.0"
    fleet_drain_seconds: Annotated[
        int, _said("Longest time that an instance which is told to go may drain its connections.")
    ] = 30
    workloads: Annotated[
        bool,
        _said(
            "Whether workloads and their pods are read where an Ingress names them (docs/backends.md), and pods where an XBackend selects them (docs/gateway.md)."
        ),
    ] = False
    public_endpoints: Annotated[
        str,
        _said("Annotation in which Services and workloads say where they are reached from outside; empty: none."),
    ] = ""
    node_ports: Annotated[
        bool, _said("Whether nodes are read, so that classes may send requests to node ports (docs/backends.md).")
    ] = False
    certificate_seconds: Annotated[int, _said("Life of the certificates of instances and replicas.")] = 86_400
    token_audience: Annotated[str, _said("Audience that the tokens of instances must have.")] = "weirkeeper"
    lease_seconds: Annotated[float, _said("Life of the leader's lease.")] = 10.0
    renew_seconds: Annotated[float, _said("How long the leader tries to renew before it steps down.")] = 7.0
    retry_seconds: Annotated[float, _said("How often replicas look at the lease.")] = 1.5
    grace_seconds: Annotated[float, _said("How long an instance may be gone before its address goes.")] = 5.0
    drain_seconds: Annotated[float, _said("How long removed backends stay for requests that run.")] = 5.0
    snapshot_directory: Annotated[
        str, _said("Folder for the last good configuration; empty: none. Keys are kept only where it is in memory.")
    ] = ""
    snapshot_seconds: Annotated[float, _said("How often the last good configuration is written, if it changed.")] = 10.0
    snapshot_after_seconds: Annotated[
        float, _said("How long to wait for the API server at the start before the last good configuration is served.")
    ] = 2.0
    loopback_endpoints: Annotated[
        bool, _said("Whether endpoints may be on loopback: for tries on one machine only.")
    ] = False
    clear_status: Annotated[bool, _said("Whether to clear the statuses we wrote when this replica stops for good.")] = (
        False
    )
    state_directory: Annotated[str, _said("Where the read API's socket is; empty: a folder of this install.")] = ""
    log_format: Annotated[Literal["text", "json"], _said("How log lines are written.")] = "json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _said("The least that is logged; followed while running.")
    ] = "info"


def state_home(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the states of all folders are kept (XDG base directories)."""
    home = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME", "/tmp")) / ".local" / "state")  # noqa: S108
    return Path(home) / "weirkeeper"


def state_directory(source: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The state directory of a folder of manifests: the same for every way to write its path, so the next run finds the engine of the last."""
    return state_home(environment) / hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:16]


def run_states() -> Path:
    """Where the states of cluster programs are kept that were told no other place: a private folder for temporary files."""
    return Path(f"/tmp/weirkeeper-{os.getuid()}")  # noqa: S108 - made with mode 0700


def run_state(settings: RunSettings, namespace: str, replica: str) -> str:
    """Where a replica of a cluster install keeps its read API's socket."""
    return str(run_states() / f"{namespace}-{settings.name}-{replica}")


def read_socket(state: Path) -> Path:
    """The Unix socket of the read API. A path too long for a socket gets a short one beside the runtime files."""
    path = state / "read.sock"
    if len(os.fsencode(path)) < 100:
        return path
    short = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    folder = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/weirkeeper-{os.getuid()}")  # noqa: S108 - made with mode 0700 and owner-checked
    return folder / f"weir-{short}.sock"
