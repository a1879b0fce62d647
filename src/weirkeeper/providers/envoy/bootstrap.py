"""Envoy's bootstrap as JSON: where its configuration comes from, its admin, its limits and which statistics it keeps. Pure.

Comes in: the node, the addresses and the limits. Goes out: bytes, equal for equal input: a changed bootstrap is the one reason to replace a
running Envoy. Values follow Envoy's edge practice; the reconnect back-off is docs/decisions/0005. Never YAML, which reads words as booleans.

On one machine the control plane is a Unix socket. Elsewhere it is several addresses on TCP with mutual TLS: Envoy asks the next one when one refuses or
does not answer. Its certificate and the roots it trusts are then two files (``certificate_document``, ``trust_document``) that are replaced by renaming,
which Envoy notices by itself.
"""

import hashlib
import json
from typing import Any

from weirkeeper.distribute.wire import ADDRESSES
from weirkeeper.model.value import Value
from weirkeeper.providers.envoy.names import TYPE

SERVER = "weirkeeper"
CERTIFICATE, TRUST = "certificate", "trust"
"""The names of our two secrets; their files are called ``<name>.json``."""

_ADS: dict[str, Any] = {"ads": {}, "resource_api_version": "V3"}
STATISTICS = (
    "http.", "listener.", "listener_manager.", "server.", "cluster_manager.", "control_plane.", "overload.", "main_thread.",
    "cluster.weirkeeper.",
)  # fmt: skip


class Remote(Value, frozen=True, kw_only=True):
    """A control plane elsewhere: its addresses (``host:port``), the DNS name in its certificate, and the folder with our certificate and its roots."""

    servers: tuple[str, ...]
    server_name: str
    folder: str


class BootstrapSettings(Value, frozen=True, kw_only=True):
    """What a bootstrap is made of."""

    node: str
    ads_socket: str = ""
    remote: Remote | None = None
    admin_socket: str
    addresses: tuple[str, ...] = ()
    heap_bytes: int = 2 << 30
    connections: int = 50_000


def bootstrap(settings: BootstrapSettings) -> bytes:
    """The bootstrap as JSON."""
    node: dict[str, Any] = {"id": settings.node, "cluster": SERVER}
    if settings.addresses:
        node["metadata"] = {ADDRESSES: list(settings.addresses)}
    document = {
        "node": node,
        "admin": {"address": {"pipe": {"path": settings.admin_socket, "mode": 0o600}}},
        "dynamic_resources": {"ads_config": _ads(), "lds_config": _ADS, "cds_config": _ADS},
        "static_resources": {"clusters": [_server(settings)]},
        "cluster_manager": {"enable_deferred_cluster_creation": True},
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
        "typed_dns_resolver_config": _resolver(),
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


def certificate_document(chain: str, key: str) -> bytes:
    """The file with the instance's certificate and key, as Envoy reads it: both in one, so that they always fit each other."""
    pair = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": key}}
    return _secret_document(CERTIFICATE, {"tls_certificate": pair})


def trust_document(authority: str, server_name: str) -> bytes:
    """The file with the roots that the control plane's certificate must come from, and the name that must be in it."""
    names = [{"san_type": "DNS", "matcher": {"exact": server_name}}]
    context = {"trusted_ca": {"inline_string": authority}, "match_typed_subject_alt_names": names}
    return _secret_document(TRUST, {"validation_context": context})


def _secret_document(name: str, content: dict[str, Any]) -> bytes:
    secret = {"@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.Secret", "name": name, **content}
    return json.dumps({"resources": [secret]}, sort_keys=True).encode()


def _server(settings: BootstrapSettings) -> dict[str, Any]:
    options = TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"connection_keepalive": {"interval": "10s", "timeout": "5s"}}
    return {
        "name": SERVER,
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": http2},
            }
        },
        **(_near(settings.ads_socket) if settings.remote is None else _far(settings.remote)),
    }


def _near(socket: str) -> dict[str, Any]:
    return {"type": "STATIC", "load_assignment": _assignment([{"pipe": {"path": socket}}])}


def _far(remote: Remote) -> dict[str, Any]:
    """All addresses that the names have are tried in turn: a Service without an address of its own names each replica."""
    places = [server.rpartition(":") for server in remote.servers]
    context = {
        "alpn_protocols": ["h2"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [_file(CERTIFICATE, f"{remote.folder}/{CERTIFICATE}.json")],
        "validation_context_sds_secret_config": _file(TRUST, f"{remote.folder}/{TRUST}.json"),
    }
    tls = {
        "@type": TYPE + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "sni": remote.server_name,
        "common_tls_context": context,
    }
    addresses = [{"socket_address": {"address": h.strip("[]"), "port_value": int(p)}} for h, _, p in places]
    return {
        "type": "STRICT_DNS",
        "dns_refresh_rate": "5s",
        "dns_failure_refresh_rate": {"base_interval": "0.2s", "max_interval": "1s"},
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": _assignment(addresses),
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
    }


def _resolver() -> dict[str, Any]:
    """How names are asked for: a question that is not answered is asked again soon, from another port. Envoy keeps to one port otherwise, and where the way of that one port is lost it waits a minute for nothing."""
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "udp_max_queries": 1,
            "query_timeout_seconds": 1,
            "query_tries": 4,
        },
    }


def _file(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "sds_config": {"path_config_source": {"path": path}, "resource_api_version": "V3"}}


def _assignment(addresses: list[dict[str, Any]]) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": address}} for address in addresses]
    return {"cluster_name": SERVER, "endpoints": [{"lb_endpoints": endpoints}]}


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
