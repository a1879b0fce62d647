"""What the owner of a class may choose: ``LoadBalancerClassParameters`` (weirkeeper.io/v1alpha1, cluster-scoped; schema in deploy/crds)."""

from weirkeeper.kube.types import KubeObject, KubeStruct, ServiceBackendPort
from weirkeeper.model.listener import ClientAddress
from weirkeeper.model.text import Cidr, Refused, parse

GROUP = "weirkeeper.io"


class Ports(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Where it listens; 0 switches a listener off, nothing takes the program's setting."""

    http: int | None = None
    https: int | None = None


class ClassBackend(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A Service that answers what no rule takes."""

    namespace: str
    service: str
    port: ServiceBackendPort = ServiceBackendPort()


class SecretReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A Secret with a certificate."""

    namespace: str
    name: str


class Hsts(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Strict-Transport-Security (RFC 6797)."""

    max_age_seconds: int = 31_536_000
    include_subdomains: bool = False
    preload: bool = False


class ClassTimeouts(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Time limits in seconds; nothing takes the engine's default, a request of 0 has none."""

    request_seconds: float | None = None
    idle_seconds: float | None = None


class ClassTls(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """TLS towards clients."""

    min_version: str = "1.2"
    max_version: str | None = None
    ciphers: tuple[str, ...] = ()


class ServiceReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A Service."""

    namespace: str
    name: str


class ConfigMapReference(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A ConfigMap."""

    namespace: str
    name: str


class Publish(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Which addresses statuses say: one of the three; nothing takes the program's setting."""

    instances: bool = False
    service: ServiceReference | None = None
    addresses: tuple[str, ...] = ()


class FleetToleration(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A taint that does not keep instances away; without a value any value, without an effect every effect."""

    key: str = ""
    value: str | None = None
    effect: str = ""


class FleetChoice(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Instances that the control plane starts: one load balancer for the class, or one for each Ingress. A Gateway's may live in its own namespace, and have addresses of these ranges."""

    granularity: str = "class"
    namespace: str = "install"
    addresses: tuple[str, ...] = ()
    mode: str = "deployment"
    exposure: str = "hostNetwork"
    service_annotations: dict[str, str] = {}
    replicas: int = 1
    node_selector: dict[str, str] = {}
    tolerations: tuple[FleetToleration, ...] = ()


class ClassSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """All choices."""

    provider: str = ""
    ports: Ports = Ports()
    publish: Publish = Publish()
    fleet: FleetChoice | None = None
    endpoint_mode: str = "pods"
    default_backend: ClassBackend | None = None
    default_certificate: SecretReference | None = None
    tcp_services: ConfigMapReference | None = None
    udp_services: ConfigMapReference | None = None
    ssl_redirect: bool = True
    allow_external_name: bool = False
    allow_external_auth: bool = True
    allow_cross_namespace: bool = False
    trusted_hops: int = 0
    trusted_ranges: tuple[str, ...] = ()
    proxy_protocol: str = ""
    access_log: bool = True
    hsts: Hsts | None = None
    timeouts: ClassTimeouts = ClassTimeouts()
    tls: ClassTls = ClassTls()


class LoadBalancerClassParameters(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """weirkeeper.io/v1alpha1 LoadBalancerClassParameters."""

    spec: ClassSpec = ClassSpec()


def client_address(spec: ClassSpec) -> ClientAddress:
    """Whom a class believes. Where ranges are named and none is one, nobody: hops alone would be everybody."""
    found = (parse(Cidr, text) for text in spec.trusted_ranges)
    trusted = tuple(one for one in found if not isinstance(one, Refused))
    hops = max(spec.trusted_hops, 0) if trusted or not spec.trusted_ranges else 0
    return ClientAddress(trusted_hops=hops, trusted=trusted)
