"""TLS to clients: certificates on demand by SNI, or named ones for listeners with a policy of their own (decisions 0003 and 0004)."""

from typing import Any

from envoy.config.core.v3 import base_pb2, extension_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from google.protobuf import any_pb2

from weirkeeper.model.listener import ClientValidation, ListenerTls
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.upstream_tls import sds, tls_parameters
from weirkeeper.providers.envoy.translate.values import from_ads, packed
from weirkeeper.providers.envoy.translate.wire import nested

SELECTOR = names.TYPE + "envoy.extensions.transport_sockets.tls.cert_selectors.on_demand_secret.v3.Config"
BY_SNI = names.TYPE + "envoy.extensions.transport_sockets.tls.cert_mappers.sni.v3.SNI"
NO_NAME = "/"
"""What Envoy would ask for without a server name; the chain matcher never lets such a connection here."""


def on_demand_socket(tls: ListenerTls) -> Any:
    """Certificates are fetched by server name during the handshake."""
    common = _common(tls)
    common.custom_tls_certificate_selector.CopyFrom(
        extension_pb2.TypedExtensionConfig(name="on-demand", typed_config=_selector())
    )
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=common, disable_stateless_session_resumption=True, disable_stateful_session_resumption=True
    )
    return _socket(context, tls)


def named_socket(tls: ListenerTls, certificates: tuple[str, ...]) -> Any:
    """These certificates; Envoy chooses among them by server name."""
    common = _common(tls)
    common.tls_certificate_sds_secret_configs.extend(sds(names.certificate_name(one)) for one in certificates)
    return _socket(tls_pb2.DownstreamTlsContext(common_tls_context=common), tls)


def _common(tls: ListenerTls) -> Any:
    parameters = tls_parameters(tls.min_version, tls.max_version, tuple(tls.ciphers), tuple(tls.curves))
    return tls_pb2.CommonTlsContext(tls_params=parameters, alpn_protocols=tls.alpn)


def _socket(context: Any, tls: ListenerTls) -> Any:
    if tls.client_validation:
        _validate(context, tls.client_validation)
    return base_pb2.TransportSocket(name="tls", typed_config=packed(context))


def _validate(context: Any, wished: ClientValidation) -> None:
    context.require_client_certificate.value = wished.mode == "require"
    combined = context.common_tls_context.combined_validation_context
    combined.validation_context_sds_secret_config.CopyFrom(sds(names.bundle_name(wished.trust)))
    checks = combined.default_validation_context
    checks.SetInParent()
    if wished.depth is not None:
        checks.max_verify_depth.value = wished.depth
    for name in wished.san_dns:
        checks.match_typed_subject_alt_names.add(san_type=common_pb2.SubjectAltNameMatcher.DNS).matcher.exact = name
    if wished.mode == "allow-insecure-fallback":
        checks.trust_chain_verification = common_pb2.CertificateValidationContext.ACCEPT_UNTRUSTED


def _selector() -> Any:
    """Two messages that the compiled protobufs lack; their fields are written by number: source 1, mapper 2, default name 1."""
    mapper = extension_pb2.TypedExtensionConfig(
        name="sni", typed_config=any_pb2.Any(type_url=BY_SNI, value=nested(1, NO_NAME.encode()))
    )
    source = from_ads().SerializeToString(deterministic=True)
    body = nested(1, source) + nested(2, mapper.SerializeToString(deterministic=True))
    return any_pb2.Any(type_url=SELECTOR, value=body)
