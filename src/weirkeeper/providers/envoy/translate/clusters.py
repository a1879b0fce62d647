"""One cluster for each backend: how it is spoken to. Its members come apart, except those found by DNS."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, assert_never

import msgspec
from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import base_pb2, health_check_pb2, protocol_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as http

from weirkeeper.model.backend import (
    Backend,
    BackendTls,
    ConsistentHash,
    FromDns,
    FromEndpointSet,
    FromServiceAddress,
    HealthCheck,
    LeastRequest,
    Limits,
    LoadBalancing,
    PassiveHealth,
    PeakEwma,
    RandomChoice,
    RequestAs,
    RetryBudget,
    RoundRobin,
)
from weirkeeper.model.text import Id
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.newer import script_values, share_machine
from weirkeeper.providers.envoy.translate.upstream_tls import secrets_of, upstream_socket
from weirkeeper.providers.envoy.translate.values import duration, from_ads, number, packed
from weirkeeper.providers.envoy.translate.wire import fields, nested

Cluster = cluster_pb2.Cluster
BUFFER = 32 * 1024
INSTEAD = """
function envoy_on_request(h)
  local wished, headers = h:filterContext(), h:headers()
  for name, value in pairs(wished) do headers:replace(name, value) end
end

function envoy_on_response(h)
  local headers = h:headers()
  local status = tonumber(headers:get(":status"))
  if status > 200 and status < 300 then headers:replace(":status", "200") end
end
"""
"""The filter of Envoy that asks knows no yes but 200; services say 202 and 204 as well."""
PLENTY = 1_000_000
CLUSTER_NAME, CLUSTER_MEMBERS = fields(Cluster, "name", "eds_cluster_config")
(MEMBERS_NAME,) = fields(Cluster.EdsClusterConfig, "service_name")
NOBODY = Id("")
NOWHERE = FromEndpointSet(id=NOBODY)
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(backend: Backend) -> bytes:
    """The bytes of the backend's cluster. Most backends differ by their names alone: the rest is made once."""
    if isinstance(backend.source, FromDns) or backend.stats_name:
        return _cluster(backend)
    manner = _cluster_of(msgspec.structs.replace(backend, id=NOBODY, source=NOWHERE, origins=()))
    members = nested(MEMBERS_NAME, backend.source.id.encode())
    return nested(CLUSTER_NAME, backend.id.encode()) + nested(CLUSTER_MEMBERS, members) + manner


def _cluster(backend: Backend) -> bytes:
    made = Cluster(
        name=backend.id,
        connect_timeout=duration(backend.connect_timeout),
        per_connection_buffer_limit_bytes=number(BUFFER),
        lb_policy=_policy(backend.balancing),
        circuit_breakers=_limits(backend.limits or Limits(), backend.retry_budget),
        ignore_health_on_host_removal=True,
    )
    _members(made, backend)
    made.common_lb_config.healthy_panic_threshold.value = 0 if backend.health else 50
    if backend.stats_name:
        made.alt_stat_name = backend.stats_name
    if backend.limits and backend.limits.buffer:
        made.per_connection_buffer_limit_bytes.value = backend.limits.buffer
    made.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(packed(_protocol(backend)))
    if backend.tls or backend.send_proxy_protocol:
        made.transport_socket.CopyFrom(_socket(backend))
    if backend.health:
        made.health_checks.append(_probe(backend.health))
    if backend.passive_health:
        made.outlier_detection.CopyFrom(_passive(backend.passive_health))
    if backend.slow_start:
        _slow_start(made, backend.slow_start)
    body: bytes = made.SerializeToString(deterministic=True)
    return body


@lru_cache(maxsize=256)
def _cluster_of(backend: Backend) -> bytes:
    return _cluster(backend)


def cluster_needs(backend: Backend) -> list[tuple[str, str]]:
    """What must be there before the cluster can warm."""
    secrets = secrets_of(backend.tls) if backend.tls else []
    members = [] if isinstance(backend.source, FromDns) else [(names.ENDPOINTS, str(backend.source.id))]
    return members + [(names.SECRET, name) for name in secrets]


def _members(made: Any, backend: Backend) -> None:
    match backend.source:
        case FromEndpointSet(id=id) | FromServiceAddress(id=id):
            made.type = Cluster.EDS
            made.eds_cluster_config.eds_config.CopyFrom(from_ads())
            made.eds_cluster_config.service_name = id
        case FromDns(name=name, port=port):
            made.type = Cluster.STRICT_DNS
            made.dns_lookup_family = Cluster.ALL
            made.respect_dns_ttl = True
            made.load_assignment.cluster_name = backend.id
            one = made.load_assignment.endpoints.add().lb_endpoints.add()
            one.endpoint.address.socket_address.address = name
            one.endpoint.address.socket_address.port_value = port
            one.endpoint.hostname = name
        case _:
            assert_never(backend.source)
    if backend.prefer_local_zone:
        made.common_lb_config.zone_aware_lb_config.SetInParent()
    elif not isinstance(backend.balancing, ConsistentHash):
        made.common_lb_config.locality_weighted_lb_config.SetInParent()


def _policy(balancing: LoadBalancing) -> Any:
    match balancing:
        case RoundRobin():
            return Cluster.ROUND_ROBIN
        case LeastRequest() | PeakEwma():
            return Cluster.LEAST_REQUEST
        case RandomChoice():
            return Cluster.RANDOM
        case ConsistentHash():
            return Cluster.RING_HASH
        case _:
            assert_never(balancing)


def _slow_start(made: Any, window: int) -> None:
    config = made.least_request_lb_config if made.lb_policy == Cluster.LEAST_REQUEST else made.round_robin_lb_config
    config.slow_start_config.slow_start_window.CopyFrom(duration(window))


def _protocol(backend: Backend) -> Any:
    made = http.HttpProtocolOptions()
    match backend.protocol:
        case "h2c" | "h2" | "grpc":
            made.explicit_http_config.http2_protocol_options.CopyFrom(_http2())
        case "auto" if backend.tls:
            made.auto_config.http2_protocol_options.CopyFrom(_http2())
        case _:
            made.explicit_http_config.http_protocol_options.SetInParent()
    common = made.common_http_protocol_options
    common.idle_timeout.CopyFrom(duration(backend.idle_timeout if backend.idle_timeout is not None else 60_000))
    if backend.max_connection_age:
        common.max_connection_duration.CopyFrom(duration(backend.max_connection_age))
    if backend.limits and backend.limits.requests_per_connection:
        common.max_requests_per_connection.value = backend.limits.requests_per_connection
    if backend.tls and not backend.tls.server_name:
        made.upstream_http_protocol_options.auto_sni = True
    if backend.requests_as:
        made.http_filters.extend(_instead(backend.requests_as))
    return made


def _instead(wished: RequestAs) -> Iterator[Any]:
    """Filters of the cluster of a service that is asked: another host and method go in, every success comes out as the same. A constant script with typed values."""
    lua = lua_pb2.Lua(default_source_code=base_pb2.DataSource(inline_string=INSTEAD))
    values = {":authority": wished.host, ":method": wished.method}
    script_values(lua, {name: text for name, text in values.items() if text is not None})
    share_machine(lua, "instead", INSTEAD)
    yield hcm.HttpFilter(name="instead", typed_config=packed(lua))
    yield hcm.HttpFilter(name="codec", typed_config=packed(upstream_codec_pb2.UpstreamCodec()))


def _http2() -> Any:
    return protocol_pb2.Http2ProtocolOptions(
        initial_stream_window_size=number(65536), initial_connection_window_size=number(1048576)
    )


def _socket(backend: Backend) -> Any:
    inner = _tls(backend.tls, backend.protocol) if backend.tls else _raw()
    if not backend.send_proxy_protocol:
        return inner
    version = protocol_version(backend.send_proxy_protocol)
    wrapped = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport(
        config={"version": version}, transport_socket=inner
    )
    return base_pb2.TransportSocket(name="proxy-protocol", typed_config=packed(wrapped))


def protocol_version(text: str) -> str:
    """Envoy's name of a version of the PROXY protocol."""
    return "V2" if text.lower().endswith("2") else "V1"


def _raw() -> Any:
    return base_pb2.TransportSocket(name="raw", typed_config=packed(raw_buffer_pb2.RawBuffer()))


def _tls(wished: BackendTls, protocol: str) -> Any:
    alpn = {"h2": ("h2",), "grpc": ("h2",), "h2c": ("h2",), "auto": ("h2", "http/1.1"), "tcp": ()}.get(
        protocol, ("http/1.1",)
    )
    return upstream_socket(wished, alpn)


def _limits(limits: Limits, budget: RetryBudget | None) -> Any:
    """High by default: Envoy's own 1,024 is a surprise at the edge. A budget takes the place of the number of retries."""
    most = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=number(limits.connections or PLENTY),
        max_pending_requests=number(limits.pending or PLENTY),
        max_requests=number(limits.requests or PLENTY),
        max_retries=number(limits.retries or 64),
    )
    if budget is not None:
        most.retry_budget.budget_percent.value = budget.percent
        most.retry_budget.min_retry_concurrency.value = budget.at_least
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[most])


def _probe(wished: HealthCheck) -> Any:
    made = health_check_pb2.HealthCheck(
        timeout=duration(wished.timeout),
        interval=duration(wished.interval),
        healthy_threshold=number(wished.healthy),
        unhealthy_threshold=number(wished.unhealthy),
        no_traffic_interval=duration(wished.interval),
    )
    if wished.kind == "http":
        made.http_health_check.path, made.http_health_check.host = wished.path, wished.host or ""
    elif wished.kind == "grpc":
        made.grpc_health_check.SetInParent()
    else:
        made.tcp_health_check.SetInParent()
    return made


def _passive(wished: PassiveHealth) -> Any:
    return outlier_detection_pb2.OutlierDetection(
        consecutive_5xx=number(wished.consecutive_errors),
        consecutive_gateway_failure=number(wished.consecutive_errors),
        base_ejection_time=duration(wished.ejection),
        max_ejection_percent=number(wished.max_ejected_percent),
    )
