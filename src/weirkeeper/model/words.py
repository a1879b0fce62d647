"""Closed vocabularies: fields that are one of a few words of ours, never a text of a tenant.

Comes in: a text, through `word`. Goes out: the word, or nothing. Whoever reads the text says what is wrong with another one.
"""

from typing import Any, Literal, get_args

Scheme = Literal["http", "https"]
"""How a client came, or is sent."""

TlsVersion = Literal["1.0", "1.1", "1.2", "1.3"]
"""A version of TLS."""

ProxyVersion = Literal["v1", "v2", "either"]
"""A version of the PROXY protocol; ``either`` only where it is accepted."""

ListenerProtocol = Literal["http", "https", "tls", "tcp", "udp"]
"""What a listener speaks."""

BackendProtocol = Literal["http1", "h2c", "h2", "grpc", "auto", "tcp", "udp"]
"""What a backend is spoken to in."""

Transport = Literal["TCP", "UDP"]
"""What carries the bytes of a Service port, as Kubernetes writes it."""

RouteProtocol = Literal["http", "grpc"]
"""What passes along a route."""

Upgrade = Literal["websocket", "connect"]
"""What a connection may become."""

Alpn = Literal["h3", "h2", "http/1.1", "http/1.0"]
"""A protocol that is negotiated in the TLS handshake."""

EndpointMode = Literal["pods", "clusterIP", "nodePort"]
"""Where requests for a Service are sent: to its pods, to the Service's own address, or to a port of every node."""

HealthKind = Literal["http", "grpc", "tcp"]
"""How an endpoint is probed."""

RetryCondition = Literal[
    "connect", "reset", "5xx", "gateway-error", "refused-stream",
    "cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
]  # fmt: skip
"""What makes a request worth another try; the last five are gRPC codes."""

HashSource = Literal["ip", "header", "cookie", "query", "host", "path", "path-only", "uri"]
"""What consistent hashing looks at."""

SameSite = Literal["Strict", "Lax", "None"]
"""The SameSite attribute of a cookie (RFC 6265bis)."""

CookieAttribute = Literal["path", "domain"]
"""The attribute of a Set-Cookie header that is rewritten."""

EscapedSlashes = Literal["reject", "keep", "unescape", "redirect"]
"""What is done with %2F and %5C in paths."""

ServerHeader = Literal["pass", "overwrite", "append"]
"""What is done with the Server header of answers."""

ClientCertificates = Literal["require", "optional", "allow-insecure-fallback"]
"""Whether clients must show a certificate."""

TlsMode = Literal["terminate", "passthrough"]
"""Where TLS ends."""

RecordKind = Literal["A", "AAAA", "CNAME", "TXT"]
"""A kind of DNS record."""


def word(kind: Any, text: str | None) -> Any:
    """The text as a word of this vocabulary, or ``None`` where it is not one of them."""
    return text if text in get_args(kind) else None
