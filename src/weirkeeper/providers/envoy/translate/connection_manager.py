"""The connection manager: how HTTP is spoken to clients, with the edge-safe values of Envoy's best practices for edge proxies.

The scope key is set by early header mutation, which overwrites what a client sends; internal headers of ours are removed there.
"""

from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import extension_pb2, protocol_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.http.original_ip_detection.custom_header.v3 import custom_header_pb2
from envoy.extensions.http.original_ip_detection.xff.v3 import xff_pb2

from weirkeeper.model.filters import Timeouts
from weirkeeper.model.listener import ClientAddress, ClientValidation, HttpOptions, Listener
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.options import EnvoyOptions
from weirkeeper.providers.envoy.translate.access_log import access_log
from weirkeeper.providers.envoy.translate.client_certificates import CERTIFICATE_HEADERS, certificate_headers
from weirkeeper.providers.envoy.translate.headers import formatted
from weirkeeper.providers.envoy.translate.hosts import group_token
from weirkeeper.providers.envoy.translate.http_filters import http_filters
from weirkeeper.providers.envoy.translate.values import cidr, duration, from_ads, number, packed

Manager = hcm.HttpConnectionManager
ESCAPED = {
    "reject": Manager.REJECT_REQUEST,
    "keep": Manager.KEEP_UNCHANGED,
    "unescape": Manager.UNESCAPE_AND_FORWARD,
    "redirect": Manager.UNESCAPE_AND_REDIRECT,
}
SERVER = {"pass": Manager.PASS_THROUGH, "overwrite": Manager.OVERWRITE, "append": Manager.APPEND_IF_ABSENT}


def connection_manager(listener: Listener, options: EnvoyOptions, defaults: Timeouts, *, strict: bool) -> Any:
    """The network filter of one listener. ``strict``: a host that its group does not have is misdirected (421)."""
    wished = listener.http
    made = Manager(
        stat_prefix="http",
        http_filters=http_filters(scoped=options.layout == "scoped"),
        common_http_protocol_options=_common(wished),
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(
            accept_http_10=True, default_host_for_http_10="http10.invalid"
        ),
        http2_protocol_options=_http2(wished),
        codec_type=_codec(listener),
        max_request_headers_kb=number(max(1, min(wished.max_request_headers // 1024, 8192))),
        stream_idle_timeout=duration(defaults.idle if defaults.idle is not None else wished.request_idle),
        request_headers_timeout=duration(wished.header_timeout),
        server_header_transformation=SERVER.get(wished.server_header, Manager.PASS_THROUGH),
        normalize_path={"value": wished.normalise_path},
        merge_slashes=wished.merge_slashes,
        path_with_escaped_slashes_action=ESCAPED.get(wished.escaped_slashes, Manager.REJECT_REQUEST),
        strip_trailing_host_dot=True,
        generate_request_id={"value": True},
        append_x_forwarded_port=True,
        upgrade_configs=[Manager.UpgradeConfig(upgrade_type="websocket")],
        early_header_mutation_extensions=[_early(listener)],
    )
    _routes(made, listener, options)
    _client_address(made, wished.client_address)
    if strict:
        mapper = made.local_reply_config.mappers.add()
        mapper.filter.response_flag_filter.flags.append("NR")
        mapper.status_code.value = 421
    if listener.access_log and options.access_log:
        made.access_log.append(access_log(options.access_log))
    _client_certificate(made, listener)
    return made


def _common(wished: HttpOptions) -> Any:
    action = protocol_pb2.HttpProtocolOptions
    made = action(
        idle_timeout=duration(wished.connection_idle),
        max_headers_count=number(100),
        headers_with_underscores_action=action.REJECT_REQUEST if wished.reject_underscores else action.ALLOW,
    )
    if wished.max_connection_age:
        made.max_connection_duration.CopyFrom(duration(wished.max_connection_age))
    return made


def _http2(wished: HttpOptions) -> Any:
    return protocol_pb2.Http2ProtocolOptions(
        max_concurrent_streams=number(wished.max_streams),
        initial_stream_window_size=number(65536),
        initial_connection_window_size=number(1048576),
    )


def _codec(listener: Listener) -> Any:
    if listener.http.http1 and listener.http.http2:
        return Manager.AUTO
    return Manager.HTTP2 if listener.http.http2 else Manager.HTTP1


def _routes(made: Any, listener: Listener, options: EnvoyOptions) -> None:
    group = group_token(listener.group)
    if options.layout == "rds":
        made.rds.route_config_name = group
        made.rds.config_source.CopyFrom(from_ads())
        return
    scopes = made.scoped_routes
    scopes.name = "scopes"
    scopes.rds_config_source.CopyFrom(from_ads())
    scopes.scoped_rds.scoped_rds_config_source.CopyFrom(from_ads())
    extractor = scopes.scope_key_builder.fragments.add().header_value_extractor
    extractor.name, extractor.element_separator, extractor.index = names.SCOPE_HEADER, ":", 0


def _early(listener: Listener) -> Any:
    """The scope key; and where nothing in front is trusted, what a client says about its own address, host and certificate is replaced."""
    client, validation = listener.http.client_address, _validation(listener)
    removed = list(names.INTERNAL_HEADERS)
    added = [formatted(names.SCOPE_HEADER, group_token(listener.group) + "|%REQ(:authority)%")]
    if not (client.trusted_hops or client.trusted or client.header):
        removed += [
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "forwarded",
            "x-real-ip",
        ]
        added.append(formatted("x-forwarded-host", "%REQ(:authority)%"))
    if validation is not None:
        removed += CERTIFICATE_HEADERS
        added += certificate_headers(validation)
    mutations = [mutation_rules_pb2.HeaderMutation(remove=name) for name in removed]
    mutations += [mutation_rules_pb2.HeaderMutation(append=header) for header in added]
    config = header_mutation_pb2.HeaderMutation(mutations=mutations)
    return extension_pb2.TypedExtensionConfig(name="scope", typed_config=packed(config))


def _client_address(made: Any, wished: ClientAddress) -> None:
    """The client's address: that of the connection, unless something in front is trusted."""
    if wished.header:
        config = custom_header_pb2.CustomHeaderConfig(
            header_name=wished.header, allow_extension_to_set_address_as_trusted=True
        )
        made.original_ip_detection_extensions.append(_detection("header", config))
        made.use_remote_address.value = False
    elif wished.trusted:
        ranges = [found for found in map(cidr, wished.trusted) if found is not None]
        config = xff_pb2.XffConfig(xff_trusted_cidrs={"cidrs": ranges})
        config.skip_xff_append.value = False
        made.original_ip_detection_extensions.append(_detection("xff", config))
        made.use_remote_address.value = False
    else:
        made.use_remote_address.value = True
        made.xff_num_trusted_hops = wished.trusted_hops


def _detection(name: str, config: Any) -> Any:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(config))


def _client_certificate(made: Any, listener: Listener) -> None:
    """What a backend is told of the client's certificate; what a client says of one is removed."""
    validation = _validation(listener)
    if validation is None or not validation.forward_details:
        made.forward_client_cert_details = Manager.SANITIZE
        return
    made.forward_client_cert_details = Manager.SANITIZE_SET
    made.set_current_client_cert_details.subject.value = True
    made.set_current_client_cert_details.dns = True
    made.set_current_client_cert_details.uri = True
    made.set_current_client_cert_details.cert = validation.forward_certificate


def _validation(listener: Listener) -> ClientValidation | None:
    return listener.tls.client_validation if listener.tls else None
