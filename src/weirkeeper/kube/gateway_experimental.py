"""Fields of Gateway API's experimental channel that have no home among the standard ones (sigs.k8s.io/gateway-api v1.6 and v1.7).

Comes in: JSON or YAML of an object. Goes out: small frozen structs, as in ``gateway_types``. Where the channel is not installed they are never there.
"""

from weirkeeper.kube.types import KubeObject, KubeStruct

CERTIFICATES = "certificates.k8s.io"


class CookieConfig(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """How long a cookie of a session lives: ``Session`` (until the browser ends) or ``Permanent``; since v1.7 its name and path too."""

    lifetime_type: str | None = None
    name: str | None = None
    path: str | None = None


class HeaderConfig(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The header of a session (v1.7)."""

    name: str | None = None


class SessionPersistence(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What keeps a client on one endpoint: ``Cookie`` or ``Header``. ``session_name`` and ``cookie_config`` are v1.6's, ``cookie`` and ``header`` v1.7's."""

    session_name: str | None = None
    absolute_timeout: str | None = None
    type: str | None = None
    cookie_config: CookieConfig | None = None
    cookie: CookieConfig | None = None
    header: HeaderConfig | None = None

    @property
    def of_cookie(self) -> CookieConfig:
        """What is said of the cookie, by either version."""
        return self.cookie or self.cookie_config or CookieConfig()

    @property
    def name(self) -> str | None:
        """The name of the cookie or header, by either version."""
        own = self.header if self.type == "Header" else self.cookie
        return (own.name if own is not None else None) or self.session_name


class GrpcAuthConfig(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What a service that decides by gRPC gets of a request."""

    allowed_headers: tuple[str, ...] | None = ()


class HttpAuthConfig(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """What a service that decides by HTTP gets of a request, and what of its answer goes to the backend."""

    path: str | None = None
    allowed_headers: tuple[str, ...] | None = ()
    allowed_response_headers: tuple[str, ...] | None = ()


class ForwardBody(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """How much of a body a service gets that decides; nothing for 0."""

    max_size: int | None = None


class TrustBundleSpec(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """PEM certificates of authorities."""

    trust_bundle: str = ""


class ClusterTrustBundle(KubeObject, frozen=True, kw_only=True, rename="camel"):
    """Authorities that a whole cluster may trust (certificates.k8s.io)."""

    spec: TrustBundleSpec = TrustBundleSpec()


class BudgetDetails(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """The share of requests that may be retries."""

    percent: int | None = None
    interval: str | None = None


class RequestRate(KubeStruct, frozen=True, kw_only=True, rename="camel"):
    """So many requests in a time."""

    count: int | None = None
    interval: str | None = None
