"""A named group that routes forward to, and how it is spoken to. Its members live apart, in an ``EndpointSet``."""

from typing import Annotated, ClassVar

from weirkeeper.model.features import Need
from weirkeeper.model.origin import Origin
from weirkeeper.model.text import Authority, CipherName, HeaderValue, Hostname, Id, Label, Method, PathText
from weirkeeper.model.value import ByteCount, Milliseconds, Value
from weirkeeper.model.words import BackendProtocol, HealthKind, ProxyVersion, TlsVersion


class FromEndpointSet(Value, frozen=True, kw_only=True, tag="endpoint-set", tag_field="type"):
    """Members come from the endpoint set of that id."""

    id: Id


class FromDns(Value, frozen=True, kw_only=True, tag="dns", tag_field="type"):
    """Members are the addresses of a DNS name (ExternalName)."""

    name: Hostname
    port: int
    NEED: ClassVar[str] = "DnsBackend"


class FromServiceAddress(Value, frozen=True, kw_only=True, tag="service-address", tag_field="type"):
    """One member: the Service's cluster address."""

    id: Id
    NEED: ClassVar[str] = "ServiceAddressBackend"


EndpointSource = FromEndpointSet | FromDns | FromServiceAddress


class BackendTls(Value, frozen=True, kw_only=True):
    """TLS to the backend. ``trust`` is a bundle's id, ``system`` the platform's; with ``verify`` off nothing is checked, and that is a finding."""

    server_name: Hostname | None = None
    trust: Id | None = None
    system_trust: Annotated[bool, Need("BackendSystemTrust")] = False
    verify: Annotated[bool, Need("BackendTLSPolicy")] = False
    san_dns: Annotated[tuple[Hostname, ...], Need("BackendTLSPolicySANValidation")] = ()
    san_uri: Annotated[tuple[HeaderValue, ...], Need("BackendTLSPolicySANValidation")] = ()
    client_certificate: Annotated[Id | None, Need("BackendClientCertificate")] = None
    depth: Annotated[int | None, Need("CertificateDepth")] = None
    min_version: Annotated[TlsVersion | None, Need("TlsVersions")] = None
    max_version: Annotated[TlsVersion | None, Need("TlsVersions")] = None
    ciphers: Annotated[tuple[CipherName, ...], Need("TlsCiphers")] = ()


class RoundRobin(Value, frozen=True, kw_only=True, tag="round-robin", tag_field="type"):
    """In turn, by weight."""


class LeastRequest(Value, frozen=True, kw_only=True, tag="least-request", tag_field="type"):
    """The one of two with fewer requests under way."""

    NEED: ClassVar[str] = "LeastRequest"


class RandomChoice(Value, frozen=True, kw_only=True, tag="random", tag_field="type"):
    """By chance."""

    NEED: ClassVar[str] = "RandomBalancing"


class PeakEwma(Value, frozen=True, kw_only=True, tag="ewma", tag_field="type"):
    """The one of two that answered faster of late (ingress-nginx: ``ewma``)."""

    NEED: ClassVar[str] = "PeakEwma"


class ConsistentHash(Value, frozen=True, kw_only=True, tag="consistent-hash", tag_field="type"):
    """By the hash that the route names (``Route.affinity``)."""

    NEED: ClassVar[str] = "ConsistentHash"


LoadBalancing = RoundRobin | LeastRequest | RandomChoice | PeakEwma | ConsistentHash


class HealthCheck(Value, frozen=True, kw_only=True):
    """An active probe."""

    kind: HealthKind = "http"
    path: PathText = PathText("/")
    host: Authority | None = None
    port: int | None = None
    interval: Milliseconds = Milliseconds(5000)
    timeout: Milliseconds = Milliseconds(2000)
    healthy: int = 2
    unhealthy: int = 3


class PassiveHealth(Value, frozen=True, kw_only=True):
    """An endpoint that fails so often in a row is left out for a time."""

    consecutive_errors: int = 5
    ejection: Milliseconds = Milliseconds(30000)
    max_ejected_percent: int = 50


class Limits(Value, frozen=True, kw_only=True):
    """What may be under way to one backend; ``None`` is the engine's maximum."""

    connections: int | None = None
    pending: int | None = None
    requests: int | None = None
    retries: int | None = None
    requests_per_connection: int | None = None
    buffer: ByteCount | None = None


class RetryBudget(Value, frozen=True, kw_only=True):
    """The share of requests under way that may be retries, in percent, and how many may always be."""

    percent: int
    at_least: int = 3


class RequestAs(Value, frozen=True, kw_only=True):
    """What every request to a backend says instead of its own host and method: a service that is asked by us, not by clients, needs its own."""

    host: Authority | None = None
    method: Method | None = None


class Backend(Value, frozen=True, kw_only=True):
    """How one group of endpoints is spoken to. ``protocol``: http1, h2c, h2, grpc, auto, tcp or udp (TLS is ``tls``, not the protocol)."""

    id: Id
    protocol: Annotated[
        BackendProtocol, Need("HTTPRouteBackendProtocolH2C", only=("h2c",)), Need("BackendProtocolGRPC", only=("grpc",))
    ] = "http1"
    source: EndpointSource
    tls: Annotated[BackendTls | None, Need("BackendProtocolHTTPS")] = None
    balancing: LoadBalancing = RoundRobin()
    health: Annotated[HealthCheck | None, Need("ActiveHealthChecks")] = None
    passive_health: Annotated[PassiveHealth | None, Need("PassiveHealthChecks")] = None
    limits: Annotated[Limits | None, Need("CircuitBreakers")] = None
    retry_budget: Annotated[RetryBudget | None, Need("RetryBudget")] = None
    connect_timeout: Milliseconds = Milliseconds(5000)
    idle_timeout: Milliseconds | None = None
    max_connection_age: Milliseconds | None = None
    send_proxy_protocol: Annotated[ProxyVersion | None, Need("BackendProxyProtocol")] = None
    prefer_local_zone: bool = False
    slow_start: Annotated[Milliseconds | None, Need("SlowStart")] = None
    requests_as: Annotated[RequestAs | None, Need("ExternalAuthHost")] = None
    stats_name: Annotated[Label | None, Need("StatsName")] = None
    origins: tuple[Origin, ...] = ()
