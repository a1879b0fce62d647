"""The fields of a ``LoadBalancer`` manifest, as written; deploy/crds/loadbalancers.yaml is its schema."""

from weirkeeper.kube.types import KubeObject, KubeStruct, ServiceBackendPort


class ManifestListener(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A port; ``secretRefs`` are Secrets with certificates, the first one answers for hosts that none names. ``passthrough``: TLS goes on unopened (tls)."""

    name: str
    port: int
    protocol: str = "http"
    passthrough: bool = False
    proxy_protocol: str = ""
    secret_refs: tuple[str, ...] = ()


class ManifestPath(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """One of exact, prefix (by segment) and regex; nothing is the prefix /."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None


class ManifestHeader(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A header with its value."""

    name: str
    value: str


class ManifestEdit(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Headers to set, add and remove."""

    set: tuple[ManifestHeader, ...] = ()
    add: tuple[ManifestHeader, ...] = ()
    remove: tuple[str, ...] = ()


class ManifestForward(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A backend by name, with its share."""

    backend: str
    weight: int = 1


class ManifestRedirect(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What changes; the rest stays as in the request."""

    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None
    status: int = 302


class ManifestRespond(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """An answer of the load balancer's own."""

    status: int
    body: str = ""


class ManifestRewrite(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What the backend sees: another host, another path, or another prefix."""

    host: str | None = None
    path: str | None = None
    prefix: str | None = None


class ManifestRoute(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A match and exactly one of forward, redirect and respond."""

    name: str = ""
    path: ManifestPath = ManifestPath()
    methods: tuple[str, ...] = ()
    headers: tuple[ManifestHeader, ...] = ()
    forward: tuple[ManifestForward, ...] = ()
    redirect: ManifestRedirect | None = None
    respond: ManifestRespond | None = None
    rewrite: ManifestRewrite | None = None
    request_headers: ManifestEdit | None = None
    response_headers: ManifestEdit | None = None
    request_timeout_seconds: float | None = None
    idle_timeout_seconds: float | None = None


class ManifestHost(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A host, exact, ``*.suffix`` or nothing for all, with its routes."""

    hostname: str = ""
    routes: tuple[ManifestRoute, ...] = ()


class ManifestService(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A Service of the same namespace and its port."""

    name: str
    port: ServiceBackendPort = ServiceBackendPort()


class ManifestBackend(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Addresses (``ip:port``), or a Service."""

    name: str
    addresses: tuple[str, ...] = ()
    service: ManifestService | None = None
    protocol: str = ""
    proxy_protocol: str = ""


class ManifestStream(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """Connections or datagrams of a listener, led on as they are; ``hostnames`` are names that TLS asks for, none takes all others."""

    listener: str
    hostnames: tuple[str, ...] = ()
    forward: tuple[ManifestForward, ...] = ()
    idle_timeout_seconds: float | None = None


class ManifestSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """A whole load balancer."""

    provider: str = "envoy"
    listeners: tuple[ManifestListener, ...] = ()
    hosts: tuple[ManifestHost, ...] = ()
    streams: tuple[ManifestStream, ...] = ()
    backends: tuple[ManifestBackend, ...] = ()


class LoadBalancerManifest(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """weirkeeper.io/v1alpha1 LoadBalancer."""

    spec: ManifestSpec = ManifestSpec()
