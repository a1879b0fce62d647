"""Envoy's bootstrap as JSON: where its configuration comes from, its admin, its limits and which statistics it keeps. Pure.

Comes in: the node, the addresses and the limits. Goes out: bytes, equal for equal input: a changed bootstrap is the one reason to replace a
running Envoy. Values follow Envoy's edge practice; the reconnect back-off is docs/decisions/0005. Never YAML, which reads words as booleans.
"""

import hashlib
import json
from typing import Any

from weirkeeper.model.value import Value
from weirkeeper.providers.envoy.names import TYPE

SERVER = "weirkeeper"
_ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
STATISTICS = (
    "http.", "listener.", "listener_manager.", "server.", "cluster_manager.", "control_plane.", "overload.", "main_thread.",
    "cluster.weirkeeper.",
)  # fmt: skip


class BootstrapSettings(Value, frozen=True, kw_only=True):
    """What a bootstrap is made of."""

    node: str
    ads_socket: str
    admin_socket: str
    heap_bytes: int = 2 << 30
    connections: int = 50_000


def bootstrap(settings: BootstrapSettings) -> bytes:
    """The bootstrap as JSON."""
    document = {
        "node": {"id": settings.node, "cluster": SERVER},
        "admin": {"address": {"pipe": {"path": settings.admin_socket, "mode": 0o600}}},
        "dynamic_resources": {"ads_config": _ads(), "lds_config": _ADS, "cds_config": _ADS},
        "static_resources": {"clusters": [_server(settings.ads_socket)]},
        "cluster_manager": {"enable_deferred_cluster_creation": True},
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"prefix": p} for p in STATISTICS]}}},
        "overload_manager": _overload(settings.heap_bytes, settings.connections),
    }
    return json.dumps(document, sort_keys=True, indent=1).encode()


def digest(document: bytes) -> str:
    """The version of a bootstrap."""
    return hashlib.sha256(document).hexdigest()


def _ads() -> dict[str, Any]:
    back_off = {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [{"envoy_grpc": {"cluster_name": SERVER, "retry_policy": back_off}}],
    }


def _server(socket: str) -> dict[str, Any]:
    options = TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"connection_keepalive": {"interval": "10s", "timeout": "5s"}}
    return {
        "name": SERVER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": http2},
            }
        },
        "load_assignment": {
            "cluster_name": SERVER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": socket}}}}]}],
        },
    }


def _overload(heap: int, connections: int) -> dict[str, Any]:
    monitors = "envoy.resource_monitors."
    heap_monitor = TYPE + "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig"
    downstream = TYPE + "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": monitors + "fixed_heap",
                "typed_config": {"@type": heap_monitor, "max_heap_size_bytes": str(heap)},
            },
            {
                "name": monitors + "global_downstream_max_connections",
                "typed_config": {"@type": downstream, "max_active_downstream_connections": str(connections)},
            },
        ],
        "actions": [_action("shrink_heap", 0.95), _action("stop_accepting_requests", 0.98)],
    }


def _action(name: str, at: float) -> dict[str, Any]:
    trigger = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": at}}
    return {"name": "envoy.overload_actions." + name, "triggers": [trigger]}
