"""Where connections come in.

Several listeners may share a port; they differ by host name then, and each serves the hosts of its own route group. That is how a host
with a TLS policy of its own is kept apart: its listener has its own group, so a request that came in elsewhere cannot reach its routes.
"""

from typing import Annotated

from weirkeeper.model.features import Need
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Cidr, CipherName, HeaderName, Hostname, Id, IpAddress
from weirkeeper.model.value import ByteCount, Milliseconds, Value
from weirkeeper.model.words import (
    Alpn,
    ClientCertificates,
    EscapedSlashes,
    ListenerProtocol,
    ProxyVersion,
    ServerHeader,
    TlsMode,
    TlsVersion,
)


class ClientValidation(Value, frozen=True, kw_only=True):
    """Clients must, or may, show a certificate. ``mode``: require, optional, or allow-insecure-fallback.

    ``forward_details`` tells backends who the client is (``X-Forwarded-Client-Cert`` and ingress-nginx's ``ssl-client-*``), ``forward_certificate`` sends the
    certificate as well.
    """

    trust: Id
    mode: Annotated[
        ClientCertificates,
        Need("GatewayFrontendClientCertificateValidationInsecureFallback", only=("allow-insecure-fallback",)),
    ] = "require"
    depth: Annotated[int | None, Need("CertificateDepth")] = None
    san_dns: tuple[Hostname, ...] = ()
    forward_details: bool = False
    forward_certificate: bool = False


class ListenerTls(Value, frozen=True, kw_only=True):
    """TLS of one listener. Certificates are chosen by SNI among all that the load balancer holds for the group; ``default_certificate`` answers the rest."""

    mode: Annotated[TlsMode, Need("TLSPassthrough", only=("passthrough",))] = "terminate"
    certificates: tuple[Id, ...] = ()
    default_certificate: Id | None = None
    min_version: Annotated[TlsVersion | None, Need("TlsVersions")] = None
    max_version: Annotated[TlsVersion | None, Need("TlsVersions")] = None
    ciphers: Annotated[tuple[CipherName, ...], Need("TlsCiphers")] = ()
    curves: Annotated[tuple[CipherName, ...], Need("TlsCiphers")] = ()
    alpn: tuple[Alpn, ...] = ("h2", "http/1.1")
    client_validation: Annotated[ClientValidation | None, Need("ClientCertificateValidation")] = None


class ClientAddress(Value, frozen=True, kw_only=True):
    """How the client's address is found: so many trusted hops in X-Forwarded-For, or only from these ranges, or a header."""

    trusted_hops: int = 0
    trusted: tuple[Cidr, ...] = ()
    header: HeaderName | None = None


class HttpOptions(Value, frozen=True, kw_only=True):
    """How HTTP is spoken to clients. The defaults are the edge-safe ones of Envoy's best practices for edge proxies."""

    http1: bool = True
    http2: bool = True
    http3: Annotated[bool, Need("Http3")] = False
    max_request_headers: ByteCount = ByteCount(61440)
    reject_underscores: bool = True
    normalise_path: bool = True
    merge_slashes: bool = True
    escaped_slashes: EscapedSlashes = "reject"
    client_address: ClientAddress = ClientAddress()
    request_idle: Milliseconds = Milliseconds(60_000)
    header_timeout: Milliseconds = Milliseconds(10_000)
    connection_idle: Milliseconds = Milliseconds(3_600_000)
    max_connection_age: Milliseconds | None = None
    server_header: ServerHeader = "append"
    max_streams: int = 100


class Listener(Value, frozen=True, kw_only=True):
    """An address, a port and a protocol (http, https, tls, tcp, udp). ``redirect_https`` is compiled into routes, not kept here."""

    id: Id
    load_balancer: Id
    group: Id
    section: Id | None = None
    addresses: tuple[IpAddress, ...] = ()
    port: int
    protocol: Annotated[
        ListenerProtocol,
        Need("TLSRoute", only=("tls",)),
        Need("TCPRoute", only=("tcp",)),
        Need("UDPRoute", only=("udp",)),
    ] = "http"
    hostname: Hostname | None = None
    tls: Annotated[ListenerTls | None, Need("TLSTermination")] = None
    http: HttpOptions = HttpOptions()
    accept_proxy_protocol: Annotated[ProxyVersion | None, Need("ProxyProtocol")] = None
    connection_limit: Annotated[int | None, Need("ListenerConnectionLimit")] = None
    access_log: Annotated[bool, Need("AccessLog")] = True
    origin: Origin
