"""TLS to backends."""

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from weirkeeper.model.backend import BackendTls
from weirkeeper.providers.envoy import names
from weirkeeper.providers.envoy.translate.values import from_ads, packed

VERSIONS = {"1.0": "TLSv1_0", "1.1": "TLSv1_1", "1.2": "TLSv1_2", "1.3": "TLSv1_3"}

SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt"
"""The authorities of the machine that Envoy runs on: where Debian, Ubuntu, Alpine and Envoy's own images have them."""


def upstream_socket(wished: BackendTls, alpn: tuple[str, ...]) -> Any:
    """The transport socket; without ``verify`` nothing is checked."""
    common = tls_pb2.CommonTlsContext(
        alpn_protocols=alpn, tls_params=tls_parameters(wished.min_version, wished.max_version, wished.ciphers)
    )
    if wished.client_certificate:
        common.tls_certificate_sds_secret_configs.append(sds(names.certificate_name(wished.client_certificate)))
    if wished.verify:
        _verify(common, wished)
    context = tls_pb2.UpstreamTlsContext(common_tls_context=common, sni=wished.server_name or "")
    return base_pb2.TransportSocket(name="tls", typed_config=packed(context))


def secrets_of(wished: BackendTls) -> list[str]:
    """The secrets that must be there first."""
    found = [names.certificate_name(wished.client_certificate)] if wished.client_certificate else []
    return found + ([names.bundle_name(wished.trust)] if wished.verify and wished.trust else [])


def tls_parameters(
    least: str | None, most: str | None, ciphers: tuple[str, ...] = (), curves: tuple[str, ...] = ()
) -> Any:
    """Versions and ciphers; never below TLS 1.2 unless that is wished."""
    return common_pb2.TlsParameters(
        tls_minimum_protocol_version=_version(least) or "TLSv1_2",
        tls_maximum_protocol_version=_version(most) or "TLS_AUTO",
        cipher_suites=ciphers,
        ecdh_curves=curves,
    )


def _version(text: str | None) -> str | None:
    return None if text is None else VERSIONS.get(text.lower().removeprefix("tls").removeprefix("v").replace("_", "."))


def sds(name: str) -> Any:
    """A secret that comes on the aggregated stream."""
    return secret_pb2.SdsSecretConfig(name=name, sds_config=from_ads())


def _verify(common: Any, wished: BackendTls) -> None:
    checks = common_pb2.CertificateValidationContext()
    for name in wished.san_dns or ((wished.server_name,) if wished.server_name and not wished.san_uri else ()):
        checks.match_typed_subject_alt_names.append(_san(common_pb2.SubjectAltNameMatcher.DNS, name))
    for uri in wished.san_uri:
        checks.match_typed_subject_alt_names.append(_san(common_pb2.SubjectAltNameMatcher.URI, uri))
    if wished.depth is not None:
        checks.max_verify_depth.value = wished.depth
    if wished.trust:
        combined = common.combined_validation_context
        combined.default_validation_context.CopyFrom(checks)
        combined.validation_context_sds_secret_config.CopyFrom(sds(names.bundle_name(wished.trust)))
    else:
        checks.trusted_ca.filename = (
            SYSTEM_TRUST  # system_root_certs is there in the API, but Envoy 1.40 knows nothing of it
        )
        common.validation_context.CopyFrom(checks)


def _san(kind: int, name: str) -> Any:
    return common_pb2.SubjectAltNameMatcher(san_type=kind, matcher=string_pb2.StringMatcher(exact=name))
